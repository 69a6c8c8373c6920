/** OPT on a random checkpoint with learned positions that count from two. */
import * as vitest from "vitest";
import { opt } from "../../../src/model/arch/opt.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  opt,
  {
    config: {
      model_type: "opt",
      vocab_size: 1536,
      hidden_size: 32,
      word_embed_proj_dim: 32,
      ffn_dim: 48,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      max_position_embeddings: 64,
      activation_function: "relu",
      do_layer_norm_before: true,
      tie_word_embeddings: true,
    },
  },
  vitest,
);
