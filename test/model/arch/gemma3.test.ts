/** Gemma 3 on a random checkpoint with windows and two rotary tables. */
import * as vitest from "vitest";
import { gemma3 } from "../../../src/model/arch/gemma3.ts";
import { archConforms } from "../../../src/testing/arch.ts";

archConforms(
  gemma3,
  {
    config: {
      vocab_size: 1536,
      hidden_size: 32,
      num_hidden_layers: 2,
      bos_token_id: 0,
      eos_token_id: 2,
      pad_token_id: 0,
      model_type: "gemma3_text",
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 48,
      max_position_embeddings: 64,
      head_dim: 8,
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: 5,
      sliding_window: 3,
      layer_types: ["sliding_attention", "full_attention"],
      tie_word_embeddings: true,
      rope_parameters: {
        full_attention: { rope_type: "linear", factor: 4, rope_theta: 5000 },
        sliding_attention: { rope_type: "default", rope_theta: 100 },
      },
    },
    gguf: { query_pre_attn_scalar: 8 },
  },
  vitest,
);
