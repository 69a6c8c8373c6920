/** Ministral 3: as Llama, with YaRN, and queries that grow with their position beyond the original context. */
import { defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { usualConfig, usualJson, usualWeights } from "./usual.ts";
import { preNormed, RMS_MODEL } from "./usual-blocks.ts";
import { oneWindow } from "./windows.ts";

export const ministral3 = defineArch({
  name: "ministral3",
  claims: ["ministral3"],
  className: "Ministral3ForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const usual = usualConfig("ministral3", hf, { rope: { theta: 1e6 } });
    const rope = reader("config.json: rope", read.object("rope_parameters") ?? read.object("rope_scaling") ?? {});
    return {
      ...usual,
      normEps: read.number("rms_norm_eps", 1e-5),
      own: {
        growth: rope.number("llama_4_scaling_beta", 0),
        original: rope.size("original_max_position_embeddings", usual.context),
      },
      ...oneWindow(hf),
    };
  },
  configJson: (c) => {
    const { attention_bias: _, mlp_bias: __, rope_parameters: rope, rope_scaling: scaling, ...json } = usualJson(c);
    const growth = { llama_4_scaling_beta: c.own!["growth"], original_max_position_embeddings: c.own!["original"] };
    return {
      ...json,
      rope_parameters: { ...(rope as object), ...growth },
      rope_scaling: { rope_type: "default", ...(scaling as object | undefined), ...growth },
    };
  },
  weights: (c) => usualWeights(c, { biased: [] }),
  prefixes: ["language_model."],
  ...RMS_MODEL,
  block: (x, c, _layer, at) => {
    const [growth, original] = [c.own!["growth"] as number, c.own!["original"] as number];
    /** 1 + β · ln(1 + ⌊position / original⌋), [B, 1, T, 1]. */
    const factor = at.positions.div(original).cast(x.dtype).add(1).log().mul(growth).add(1).unsqueeze(1).unsqueeze(3);
    return preNormed(x, c, at, { query: (q) => q.mul(factor) });
  },
});
