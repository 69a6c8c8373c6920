/** SmolLM3 on a random checkpoint with a block without rotation. */
import * as vitest from "vitest";
import { smollm3 } from "../../../src/model/arch/smollm3.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  smollm3,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "smollm3",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      rope_parameters: { rope_type: "default", rope_theta: 10000 },
      no_rope_layers: [1, 0],
      tie_word_embeddings: true,
    },
    gguf: { num_hidden_layers: 4, no_rope_layers: [1, 1, 1, 0] },
  },
  vitest,
);
