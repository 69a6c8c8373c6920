/** OLMo 2 and 3 on a random checkpoint with norms behind each part, windows and YaRN. */
import * as vitest from "vitest";
import { olmo2 } from "../../../src/model/arch/olmo2.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  olmo2,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "olmo3",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
      sliding_window: 3,
      layer_types: ["sliding_attention", "full_attention"],
      tie_word_embeddings: false,
      rope_parameters: {
        sliding_attention: { rope_type: "default", rope_theta: 10000 },
        full_attention: {
          rope_type: "yarn",
          rope_theta: 10000,
          factor: 4,
          original_max_position_embeddings: 16,
          beta_fast: 4,
          beta_slow: 1,
        },
      },
    },
  },
  vitest,
);
