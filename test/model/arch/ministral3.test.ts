/** Ministral 3 on a random checkpoint with queries that grow with their position. */
import * as vitest from "vitest";
import { ministral3 } from "../../../src/model/arch/ministral3.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  ministral3,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "ministral3",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      head_dim: 8,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      rope_parameters: {
        rope_type: "yarn",
        rope_theta: 10000,
        factor: 4,
        original_max_position_embeddings: 2,
        beta_fast: 4,
        beta_slow: 1,
        llama_4_scaling_beta: 0.5,
      },
    },
  },
  vitest,
);
