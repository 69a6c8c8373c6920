/** Granite 3 and the dense Granite 4: as Llama, with multipliers of the embedding, the parts, the scores and the logits. */
import { type Config, defineArch } from "./arch.ts";
import { pairedRows } from "./forms.ts";
import { unsayable } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { ggufNames, refuseSwitch, usualConfig, usualJson, usualWeights } from "./usual.ts";
import { attended, gated, gatedTogether, inTurn, RMS_MODEL } from "./usual-blocks.ts";
import { FULL, windows } from "./windows.ts";

const DENSE_4 = "granitemoehybrid";
const own = (c: Config, name: string): number => c.own![name] as number;

export const granite = defineArch({
  name: "granite",
  claims: ["granite", DENSE_4],
  className: "GraniteForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const isJoint = hf["model_type"] === DENSE_4;
    if (isJoint) {
      refuseSwitch(hf, "num_local_experts", 0, "a number of experts");
      const kinds = hf["layer_types"];
      if (Array.isArray(kinds)) windows({ ...hf, layer_types: kinds.map((kind: unknown) => (kind === "attention" ? FULL : kind)) });
    }
    const usual = usualConfig("granite", hf);
    const { rope, ...unrotated } = usual;
    const rotates = !isJoint || read.text("position_embedding_type", "nope") === "rope";
    return {
      ...unrotated,
      ...(rotates && { rope: rope! }),
      mlpWidth: isJoint ? read.size("shared_intermediate_size") : usual.mlpWidth,
      own: {
        embedding: read.number("embedding_multiplier", 1),
        residual: read.number("residual_multiplier", 1),
        scores: read.number("attention_multiplier", 1),
        logits: read.number("logits_scaling", 1),
        ...(isJoint && { isJoint }),
      },
    };
  },
  configJson: (c) => ({
    ...usualJson(c),
    embedding_multiplier: own(c, "embedding"),
    residual_multiplier: own(c, "residual"),
    attention_multiplier: own(c, "scores"),
    logits_scaling: own(c, "logits"),
    ...(c.own!["isJoint"] && {
      architectures: ["GraniteMoeHybridForCausalLM"],
      model_type: DENSE_4,
      shared_intermediate_size: c.mlpWidth,
      num_local_experts: 0,
      num_experts_per_tok: 0,
      layer_types: Array.from({ length: c.layers }, () => "attention"),
      position_embedding_type: c.rope ? "rope" : "nope",
    }),
  }),
  weights: (c) =>
    usualWeights(
      c,
      c.own!["isJoint"]
        ? {
            mlp: {
              "mlp.gate_in": ["shared_mlp.input_linear", 2 * c.mlpWidth, c.width],
              "mlp.out": ["shared_mlp.output_linear", c.width, c.mlpWidth],
            },
          }
        : {},
    ),
  gguf: ggufNames("granite", "granite", {
    forms: pairedRows,
    config: (c, kv) => {
      const read = reader("GGUF metadata", kv);
      return {
        ...c,
        own: {
          embedding: read.number("granite.embedding_scale", 1),
          residual: read.number("granite.residual_scale", 1),
          scores: read.number("granite.attention.scale", c.headSize ** -0.5),
          logits: read.number("granite.logit_scale", 1),
        },
      };
    },
    metadata: (c) => {
      if (c.own!["isJoint"] || !c.rope) unsayable("a Granite 4");
      return {
        embedding_scale: { float32: own(c, "embedding") },
        residual_scale: { float32: own(c, "residual") },
        "attention.scale": { float32: own(c, "scores") },
        logit_scale: { float32: own(c, "logits") },
      };
    },
  }),
  ...RMS_MODEL,
  embed: (tokens, positions, weight, c) => RMS_MODEL.embed(tokens, positions, weight, c).mul(own(c, "embedding")),
  block: (x, c, _layer, at) =>
    inTurn(
      x,
      at,
      (h) =>
        attended(h.rmsNorm(at.weight("ln1"), c.normEps), c, at, {
          ...(!c.rope && { rotate: (heads) => heads }),
          scale: own(c, "scores"),
        }),
      (h) => {
        const m = h.rmsNorm(at.weight("ln2"), c.normEps);
        return (c.own!["isJoint"] ? gatedTogether(m, c, at) : gated(m, at)).mul(own(c, "residual"));
      },
      (h) => h.mul(own(c, "residual")),
    ),
  finalNorm: (x, weight, c) => RMS_MODEL.finalNorm(x, weight, c).div(own(c, "logits")),
});
