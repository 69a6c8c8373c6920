/** GPT-J on a random checkpoint with rotation of neighbours. */
import * as vitest from "vitest";
import { gptj } from "../../../src/model/arch/gptj.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  gptj,
  {
    config: {
      model_type: "gptj",
      vocab_size: 1536,
      n_embd: 32,
      n_layer: 2,
      n_head: 2,
      n_positions: 64,
      n_inner: 48,
      rotary_dim: 8,
      activation_function: "gelu_new",
      layer_norm_epsilon: 1e-5,
      tie_word_embeddings: false,
    },
  },
  vitest,
);
