/** Qwen2 on a random checkpoint with biases of queries, keys and values. */
import * as vitest from "vitest";
import { qwen2 } from "../../../src/model/arch/qwen2.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  qwen2,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "qwen2",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      rope_parameters: { rope_type: "default", rope_theta: 10000 },
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      use_sliding_window: true,
      sliding_window: 3,
      max_window_layers: 1,
    },
    gguf: { use_sliding_window: false },
  },
  vitest,
);
