/** Qwen2 and Qwen2.5, and what is distilled into them: RMSNorm before, rotary positions, grouped queries with biases, gated MLP. */
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

export const qwen2 = defineArch({
  name: "qwen2",
  claims: ["qwen2"],
  className: "Qwen2ForCausalLM",
  config: (hf) => ({ ...usualConfig("qwen2", hf), attentionBias: true, ...windows(hf) }),
  configJson: (c) => {
    const { attention_bias: _, ...json } = usualJson(c);
    return { ...json, use_sliding_window: c.window !== undefined, ...(c.kinds && { layer_types: c.kinds }) };
  },
  weights: (c) => ({
    ...usualEnds(c),
    ...blockWeights(
      "model.layers",
      {
        ln1: ["input_layernorm", c.width],
        ln2: ["post_attention_layernorm", c.width],
        ...usualAttention(c),
        ...usualMlp(c),
      },
      ["attn.q", "attn.k", "attn.v"],
    ),
  }),
  gguf: ggufNames("qwen2", "qwen2", { config: (c) => ({ ...c, attentionBias: true }) }),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, layer, at) =>
    inTurn(
      x,
      at,
      (h) => attended(h.rmsNorm(at.weight("ln1"), c.normEps), c, at, { how: { window: windowOf(c, layer) } }),
      (h) => gated(h.rmsNorm(at.weight("ln2"), c.normEps), at),
    ),
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
});
