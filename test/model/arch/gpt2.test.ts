/** GPT-2 on a random checkpoint with learned positions. */
import * as vitest from "vitest";
import { gpt2 } from "../../../src/model/arch/gpt2.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  gpt2,
  {
    config: {
      model_type: "gpt2",
      vocab_size: 1536,
      n_embd: 32,
      n_layer: 2,
      n_head: 4,
      n_positions: 64,
      activation_function: "gelu_new",
      layer_norm_epsilon: 1e-5,
      tie_word_embeddings: true,
    },
  },
  vitest,
);
