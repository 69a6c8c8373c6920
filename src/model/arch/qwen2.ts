/** Qwen2 and Qwen2.5, and what is distilled into them: RMSNorm before, rotary positions, grouped queries with biases, gated MLP. */
import { defineArch } from "./arch.ts";
import { ggufNames, usualConfig, usualJson, usualWeights } from "./usual.ts";
import { preNormed, RMS_MODEL } from "./usual-blocks.ts";
import { windowJson, windowOf, windows } from "./windows.ts";

export const qwen2 = defineArch({
  name: "qwen2",
  claims: ["qwen2"],
  className: "Qwen2ForCausalLM",
  config: (hf) => ({ ...usualConfig("qwen2", hf), attentionBias: true, ...windows(hf) }),
  configJson: (c) => {
    const { attention_bias: _, ...json } = usualJson(c);
    return { ...json, ...windowJson(c) };
  },
  weights: (c) => usualWeights(c, { biased: ["attn.q", "attn.k", "attn.v"] }),
  gguf: ggufNames("qwen2", "qwen2", { config: (c) => ({ ...c, attentionBias: true }) }),
  ...RMS_MODEL,
  block: (x, c, layer, at) => preNormed(x, c, at, { how: { window: windowOf(c, layer) } }),
});
