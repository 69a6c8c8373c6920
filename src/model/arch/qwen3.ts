/** Qwen3: as Qwen2, with a norm of each head's queries and keys in place of the biases. */
import { defineArch } from "./arch.ts";
import { ggufNames, usualConfig, usualJson, usualNorms, usualWeights } from "./usual.ts";
import { preNormed, RMS_MODEL } from "./usual-blocks.ts";
import { windowJson, windowOf, windows } from "./windows.ts";

export const qwen3 = defineArch({
  name: "qwen3",
  claims: ["qwen3"],
  className: "Qwen3ForCausalLM",
  config: (hf) => ({ ...usualConfig("qwen3", hf), ...windows(hf) }),
  configJson: (c) => ({ ...usualJson(c), ...windowJson(c) }),
  weights: (c) => {
    const heads = { "attn.q_norm": ["self_attn.q_norm", c.headSize], "attn.k_norm": ["self_attn.k_norm", c.headSize] } as const;
    return usualWeights(c, { norms: { ...usualNorms(c), ...heads } });
  },
  gguf: ggufNames("qwen3", "qwen3"),
  ...RMS_MODEL,
  block: (x, c, layer, at) =>
    preNormed(x, c, at, {
      norm: (heads, which) => heads.rmsNorm(at.weight(`attn.${which}_norm`), c.normEps),
      how: { window: windowOf(c, layer) },
    }),
});
