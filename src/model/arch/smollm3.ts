/** SmolLM3: as Llama, but some blocks do not rotate queries and keys. */
import { fail } from "../../base/fail.ts";
import { defineArch } from "./arch.ts";
import { pairedRows } from "./forms.ts";
import { unsayable } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { attentionBiases, ggufNames, mlpBiases, usualConfig, usualJson, usualWeights } from "./usual.ts";
import { preNormed, RMS_MODEL } from "./usual-blocks.ts";
import { windowJson, windowOf, windows } from "./windows.ts";

/** A block without rotation follows each this many. */
const INTERVAL = 4;
const plainAt = (layers: number, interval: number): Record<string, boolean> =>
  Object.fromEntries(Array.from({ length: layers }, (_, layer) => [`plain.${layer}`, (layer + 1) % interval === 0]));

export const smollm3 = defineArch({
  name: "smollm3",
  claims: ["smollm3"],
  className: "SmolLM3ForCausalLM",
  config: (hf) => {
    const usual = usualConfig("smollm3", hf, { rope: { theta: 2e6 } });
    const listed = hf["no_rope_layers"]; // 0: no rotation
    if (Array.isArray(listed) && listed.length !== usual.layers)
      fail(
        "config.json",
        `${listed.length} no_rope_layers`,
        `one for each of the ${usual.layers} layers`,
        "The file is damaged.",
        "unavailable",
      );
    const own = Array.isArray(listed)
      ? Object.fromEntries(Array.from(listed, (rotates: unknown, layer) => [`plain.${layer}`, !rotates]))
      : plainAt(usual.layers, reader("config.json", hf).size("no_rope_layer_interval", INTERVAL));
    return { ...usual, tied: reader("config.json", hf).flag("tie_word_embeddings", true), own, ...windows(hf) };
  },
  configJson: (c) => ({
    ...usualJson(c),
    no_rope_layers: Array.from({ length: c.layers }, (_, layer) => Number(!c.own![`plain.${layer}`])),
    ...windowJson(c),
  }),
  weights: (c) => usualWeights(c, { biased: [...attentionBiases(c), ...mlpBiases(c)] }),
  gguf: ggufNames("smollm3", "smollm3", {
    forms: pairedRows,
    config: (c) => ({ ...c, own: plainAt(c.layers, INTERVAL) }),
    metadata: (c) => {
      const usual = plainAt(c.layers, INTERVAL);
      if (Object.keys(usual).some((block) => usual[block] !== (c.own![block] === true)))
        unsayable("a SmolLM3 in which not every fourth block is without rotation");
      return {};
    },
  }),
  ...RMS_MODEL,
  block: (x, c, layer, at) =>
    preNormed(x, c, at, {
      ...(c.own![`plain.${layer}`] === true && { rotate: (heads) => heads }),
      how: { window: windowOf(c, layer) },
    }),
});
