/** How a loss is descended: parameters declared once for every method that trains, and the trainer's recipe that they make. */
import { fail, nearest } from "../base/fail.ts";
import type { Declared } from "../base/schema.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Shape } from "../model/load.ts";
import type { Training } from "../model/memory-estimate.ts";
import type { Model, Precision } from "../model/model.ts";
import { atLayer, checkLayer, type WeightName } from "../model/names.ts";
import type { Executor } from "../onnx/program.ts";
import type { Recipe } from "./loop.ts";
import { lowestOf } from "./trainable.ts";
import { LORA, loraOf, type LoraParams } from "./lora.ts";

/** What every training has. */
export interface DescentParams {
  batch: number;
  lr: number;
  schedule: string;
  warmup: number;
  decay: number;
  clip: number;
  layers: readonly number[];
  weights: readonly string[];
  budget: number;
  rank: number;
  loraAlpha: number;
  dropout: number;
  targets: readonly string[];
}

export const DESCENT: Declared<DescentParams, Config> = {
  batch: { default: 4, doc: "rows a step", source: "PISTOL config/config.yaml", min: 1 },
  lr: { default: 1e-5, doc: "highest learning rate of AdamW", source: "TOFU, PISTOL and OpenUnlearning: 1e-5", min: 0 },
  schedule: {
    default: "linear",
    choices: ["constant", "cosine", "linear"],
    doc: "how the learning rate falls behind its warm-up",
    source: "Hugging Face Trainer lr_scheduler_type",
  },
  warmup: { default: 0.1, doc: "share of the steps over which the learning rate rises", source: "PISTOL trainer.py", min: 0, max: 1 },
  decay: { default: 0.01, doc: "decoupled weight decay, of matrices only", source: "TOFU config/forget.yaml", min: 0 },
  clip: { default: 1, doc: "largest norm of a step's gradient; 0: any", source: "Hugging Face Trainer max_grad_norm", min: 0 },
  layers: {
    default: [],
    doc: "blocks that are trained; none named: all, with embedding, head and final norm",
    source: "docs/methods/ga.md",
    min: 0,
  },
  weights: {
    default: [],
    doc: "endings of the names of the weights that are trained, such as mlp.out; none named: all",
    source: "docs/methods/ga.md",
  },
  rank: { ...LORA.rank, default: 0, doc: "low-rank factors of this rank are trained in place of weights (LoRA); 0: the weights", min: 0 },
  loraAlpha: LORA.alpha,
  dropout: { ...LORA.dropout, default: 0, source: "docs/lora.md (TOFU and PISTOL: 0.05)" },
  targets: {
    ...LORA.targets,
    doc: "the adapted matrices by the ends of their names, such as attn.q or blocks.3.mlp.out; none given: those of weights, otherwise every linear map of the blocks",
  },
  budget: { default: 4096, doc: "padded tokens in one pass; a step of more is accumulated", source: "docs/methods/ga.md", min: 1 },
};

/** The trainer's recipe for so many steps. */
export const recipeOf = (
  who: string,
  model: Model,
  params: DescentParams & { readonly steps: number },
  { seed, running }: { readonly seed: string | number; readonly running: { readonly dtype: Precision; readonly executor: Executor } },
): Recipe => ({
  steps: params.steps,
  batch: params.batch,
  budget: params.budget,
  together: 1,
  optimizer: { name: "adamw", betas: [0.9, 0.999], eps: 1e-8, decay: params.decay },
  schedule: { lr: params.lr, warmup: Math.floor(params.warmup * params.steps), shape: params.schedule as "linear", floor: 0 },
  ...(params.clip > 0 && { clip: params.clip }),
  seed,
  executor: running.executor,
  dtype: running.dtype,
  ...(params.rank > 0 ? { lora: loraParams(who, model, params) } : { only: trainedNames(who, model, params) }),
});

/** What a training keeps on `units` of so many rows of so many tokens: the numbers that are trained, and what the blocks above the lowest compute. */
export function trainingOf(
  who: string,
  shape: Shape,
  params: DescentParams,
  { units, rows, tokens }: { readonly units: number; readonly rows: number; readonly tokens: number },
): Training {
  const { layers, width, mlpWidth, heads, vocab } = shape.config;
  const maps = params.rank > 0 ? loraOf(shape, loraParams(who, shape, params)).maps : undefined;
  const names = maps ? [...maps.keys()] : trainedNames(who, shape, params);
  const numbers = names.reduce((sum, name) => {
    const [m, n = 1] = shape.weights.get(name)!.shape as [number, number?];
    return sum + (maps ? params.rank * (m + n) : m * n);
  }, 0);
  const together = Math.max(rows * tokens, Math.min(params.budget, Math.min(params.batch, units) * rows * tokens));
  const block = 7 * width + 6 * mlpWidth + 2 * heads * tokens; // measured on SmolLM2-135M: docs/finetune.md
  const head = 2 * vocab; // logits, their softmax and the gradients of both, where a label is: at half the tokens at most
  return { numbers, pass: 4 * together * ((layers - lowestOf(shape, names)) * block + head) };
}

/** Factors stand beside the matrices that would be trained: of the layers, those that targets name, otherwise those that weights do. */
function loraParams(who: string, model: Shape, params: DescentParams): LoraParams {
  const { rank, loraAlpha: alpha, dropout, targets, layers, weights } = params;
  const everywhere = { rank, alpha, dropout, targets: targets.length > 0 ? targets : weights };
  if (layers.length === 0) return everywhere;
  const inside = ofLayers(who, model, layers, loraOf(model, everywhere).maps.keys());
  if (inside.length === 0)
    fail(
      who,
      `none of ${everywhere.targets.join(", ")} in layers ${layers.join(", ")}`,
      "a matrix there",
      "Other --set layers, or none (--set layers=).",
    );
  return { ...everywhere, targets: inside };
}

/** The weights that the parameters name, in the model's order; refuses an ending that none has, with the nearest. */
function trainedNames(who: string, model: Shape, { layers, weights }: Pick<DescentParams, "layers" | "weights">): WeightName[] {
  const all = [...model.weights.keys()];
  const inside = layers.length > 0 ? ofLayers(who, model, layers, all) : all;
  const endings = [...new Set(all.map((name) => name.replace(/^blocks\.\d+\./, "")))];
  for (const ending of weights)
    if (!all.some((name) => name.endsWith(ending))) {
      const near = nearest(ending, endings);
      fail(who, `no weight ends in "${ending}"`, `one of ${endings.join(", ")}`, near ? `Did you mean "${near}"?` : "");
    }
  return weights.length > 0 ? inside.filter((name) => weights.some((ending) => name.endsWith(ending))) : inside;
}

/** Those of the names that belong to the layers; refuses a layer that the model does not have. */
function ofLayers(who: string, { config }: Shape, layers: readonly number[], names: Iterable<WeightName>): WeightName[] {
  for (const layer of layers) checkLayer(who, layer, config.layers);
  return [...names].filter((name) => layers.some((l) => name.startsWith(atLayer("blocks.{i}.", l))));
}

/** Tokens of the longest of some texts in its template, before there is a tokenizer: rather too many. */
export const tokensAtMost = (texts: readonly string[], { context }: Config): number =>
  Math.min(context, 64 + Math.ceil(texts.reduce((most, text) => Math.max(most, text.length), 0) / 4));
