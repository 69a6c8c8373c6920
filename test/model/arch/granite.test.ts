/** Granite on a random checkpoint with multipliers. */
import * as vitest from "vitest";
import { granite } from "../../../src/model/arch/granite.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  granite,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "granite",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      embedding_multiplier: 3,
      residual_multiplier: 0.6,
      attention_multiplier: 0.2,
      logits_scaling: 2,
      tie_word_embeddings: true,
      rope_parameters: { rope_type: "default", rope_theta: 10000 },
    },
  },
  vitest,
);
