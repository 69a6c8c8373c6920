/** Gemma 2 on a random checkpoint with caps and windows. */
import * as vitest from "vitest";
import { gemma2 } from "../../../src/model/arch/gemma2.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  gemma2,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "gemma2",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      rope_parameters: { rope_type: "default", rope_theta: 10000 },
      head_dim: 8,
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: 5,
      attn_logit_softcapping: 2,
      final_logit_softcapping: 12,
      sliding_window: 3,
      tie_word_embeddings: true,
    },
    gguf: { query_pre_attn_scalar: 8 },
  },
  vitest,
);
