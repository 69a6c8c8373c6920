/** Qwen3 on a random checkpoint with norms of heads. */
import * as vitest from "vitest";
import { qwen3 } from "../../../src/model/arch/qwen3.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  qwen3,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "qwen3",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      rope_parameters: { rope_type: "default", rope_theta: 10000 },
      head_dim: 16,
      tie_word_embeddings: false,
    },
  },
  vitest,
);
