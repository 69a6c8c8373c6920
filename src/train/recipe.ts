/** The training parameters that every training method shares, and the trainer's recipe made from them. */
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

/** The parameters of every training. */
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
  batch: { default: 4, doc: "rows per step", source: "PISTOL config/config.yaml", min: 1, whole: true },
  lr: { default: 1e-5, doc: "highest learning rate of AdamW", source: "TOFU, PISTOL and OpenUnlearning: 1e-5", min: 0 },
  schedule: {
    default: "linear",
    choices: ["constant", "cosine", "linear"],
    doc: "how the learning rate changes after the warm-up",
    source: "Hugging Face Trainer lr_scheduler_type",
  },
  warmup: { default: 0.1, doc: "share of the steps over which the learning rate rises", source: "PISTOL trainer.py", min: 0, max: 1 },
  decay: { default: 0.01, doc: "decoupled weight decay, for matrices only", source: "TOFU config/forget.yaml", min: 0 },
  clip: { default: 1, doc: "maximal norm of a step's gradient; 0: no clipping", source: "Hugging Face Trainer max_grad_norm", min: 0 },
  layers: {
    default: [],
    doc: "blocks to train; default: all, and embedding, head and final norm",
    source: "docs/methods/ga.md",
    min: 0,
    whole: true,
  },
  weights: {
    default: [],
    doc: "endings of the names of the weights to train, such as mlp.out; default: all",
    source: "docs/methods/ga.md",
  },
  rank: {
    ...LORA.rank,
    default: 0,
    doc: "rank of low-rank factors to train instead of weights (LoRA); 0: train the weights",
    min: 0,
    whole: true,
  },
  loraAlpha: LORA.alpha,
  dropout: { ...LORA.dropout, default: 0, source: "docs/lora.md (TOFU and PISTOL: 0.05)" },
  targets: {
    ...LORA.targets,
    doc: "endings of the names of the matrices that get factors, such as attn.q or blocks.3.mlp.out; default: those of weights, else every linear map of the blocks",
  },
  budget: {
    default: 4096,
    doc: "padded tokens per micro-batch; larger steps accumulate gradients",
    source: "docs/methods/ga.md",
    min: 1,
    whole: true,
  },
};

/** The trainer's recipe for a number of steps. */
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

/** The memory of a training run: the number of trained numbers, and the bytes of activations in a micro-batch of `units`, each of `rows` rows of `tokens` tokens. */
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
  const head = 2 * vocab; // logits, softmax and the gradients of both, at label positions only: at most half the tokens
  return { numbers, pass: 4 * together * ((layers - lowestOf(shape, names)) * block + head) };
}

/** The matrices that get factors: within the layers, those that `targets` names, else those that `weights` names. */
function loraParams(who: string, model: Shape, params: DescentParams): LoraParams {
  const { rank, loraAlpha: alpha, dropout, targets, layers, weights } = params;
  const everywhere = { rank, alpha, dropout, targets: targets.length > 0 ? targets : weights };
  if (layers.length === 0) return everywhere;
  const inside = ofLayers(who, model, layers, loraOf(model, everywhere).maps.keys());
  if (inside.length === 0)
    fail(
      who,
      `none of ${everywhere.targets.join(", ")} in layers ${layers.join(", ")}`,
      "a matrix in these layers",
      "Give other --set layers, or none (--set layers=).",
    );
  return { ...everywhere, targets: inside };
}

/** The weights that the parameters name, in the model's order; refuses an ending that no weight has and suggests the nearest. */
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

/** An upper bound of the tokens of the longest text in its template, without a tokenizer. */
export const tokensAtMost = (texts: readonly string[], { context }: Config): number =>
  Math.min(context, 64 + Math.ceil(texts.reduce((most, text) => Math.max(most, text.length), 0) / 4));
