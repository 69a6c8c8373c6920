/** Qwen3: as Qwen2, with a norm of each head's queries and keys in place of the biases. */
import { defineArch } from "./arch.ts";
import {
  attended,
  blockWeights,
  gated,
  ggufNames,
  inTurn,
  usualAttention,
  usualConfig,
  usualEnds,
  usualJson,
  USUAL_MEMORY,
  usualMlp,
} from "./usual.ts";
import { windows, windowOf } from "./windows.ts";

export const qwen3 = defineArch({
  name: "qwen3",
  claims: ["qwen3"],
  className: "Qwen3ForCausalLM",
  config: (hf) => ({ ...usualConfig("qwen3", hf), ...windows(hf) }),
  configJson: (c) => ({ ...usualJson(c), use_sliding_window: c.window !== undefined, ...(c.kinds && { layer_types: c.kinds }) }),
  weights: (c) => ({
    ...usualEnds(c),
    ...blockWeights(
      "model.layers",
      {
        ln1: ["input_layernorm", c.width],
        ln2: ["post_attention_layernorm", c.width],
        "attn.q_norm": ["self_attn.q_norm", c.headSize],
        "attn.k_norm": ["self_attn.k_norm", c.headSize],
        ...usualAttention(c),
        ...usualMlp(c),
      },
      c.attentionBias ? ["attn.q", "attn.k", "attn.v", "attn.o"] : [],
    ),
  }),
  gguf: ggufNames("qwen3", "qwen3"),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, layer, at) =>
    inTurn(
      x,
      at,
      (h) =>
        attended(h.rmsNorm(at.weight("ln1"), c.normEps), c, at, {
          norm: (heads, which) => heads.rmsNorm(at.weight(`attn.${which}_norm`), c.normEps),
          how: { window: windowOf(c, layer) },
        }),
      (h) => gated(h.rmsNorm(at.weight("ln2"), c.normEps), at),
    ),
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
});
