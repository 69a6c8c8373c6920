/** GPT-NeoX on a random checkpoint with both parts side by side. */
import * as vitest from "vitest";
import { gptNeox } from "../../../src/model/arch/gpt-neox.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  gptNeox,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "gpt_neox",
      num_attention_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      hidden_act: "gelu",
      layer_norm_eps: 1e-5,
      use_parallel_residual: true,
      tie_word_embeddings: false,
      rope_parameters: { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 0.5 },
    },
  },
  vitest,
);
