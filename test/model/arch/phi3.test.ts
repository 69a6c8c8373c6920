/** Phi-3 on a random checkpoint with joint matrices. */
import * as vitest from "vitest";
import { phi3 } from "../../../src/model/arch/phi3.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  phi3,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "phi3",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
      original_max_position_embeddings: 64,
      tie_word_embeddings: false,
      rope_parameters: { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 0.5 },
    },
  },
  vitest,
);
