/** Phi on a random checkpoint with a bias of the head. */
import * as vitest from "vitest";
import { phi } from "../../../src/model/arch/phi.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  phi,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "phi",
      num_attention_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      hidden_act: "gelu_new",
      layer_norm_eps: 1e-5,
      tie_word_embeddings: false,
      rope_parameters: { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 0.5 },
    },
  },
  vitest,
);
