/** StableLM on a random checkpoint with norms of heads, side by side. */
import * as vitest from "vitest";
import { stablelm } from "../../../src/model/arch/stablelm.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  stablelm,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "stablelm",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      layer_norm_eps: 1e-5,
      use_parallel_residual: true,
      qk_layernorm: true,
      tie_word_embeddings: false,
      rope_parameters: { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 0.25 },
    },
    gguf: { qk_layernorm: false },
  },
  vitest,
);
