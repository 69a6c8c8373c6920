/** RMU: pushes hidden states of the answers to forget towards one random direction and keeps those of the answers to retain. */
import { rng } from "../base/rng.ts";
import { checkLayer } from "../model/names.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Formula, Parts, Span } from "../train/parts.ts";
import {
  HUGGING_FACE,
  TERMS,
  type TermsParams,
  TRAINING,
  TRAINING_COMPAT,
  TRAINING_HPARAMS,
  type TrainingParams,
  unlearn,
} from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface RmuParams extends TrainingParams, TermsParams {
  layer: number;
  steering: number;
}

/**
 * γ·‖h − u‖² of forget rows + α·‖h − h before training‖² of retain rows (RMU eq. 3). h is the residual stream after block `layer` at the
 * positions that predict the answers' words, and u is `control` [D]. The mean is over D, then over a row's positions, then over rows.
 */
export const rmuLoss = (
  { gamma, alpha, layer }: Pick<RmuParams, "gamma" | "alpha" | "layer">,
  compat: ReadonlySet<string>,
  control: Float64Array,
): Formula => {
  const isShared = compat.has("shared-lengths");
  const where = compat.has("answer-words") ? "labelled" : "predicting";
  return {
    name: `rmu ${gamma} ${alpha} ${layer} ${isShared} ${where} ${control.join(",")}`,
    roles: ["forget", "retain"],
    loss: (p) => {
      const forget = p.span("forget", where);
      const retain = p.span("retain", where);
      const pushed = distance(p, forget, p.hidden(forget, layer), p.given("control", control).unsqueeze(0), isShared);
      const held = distance(p, retain, p.hidden(retain, layer), p.reference.hidden(retain, layer), isShared);
      return { loss: pushed.mul(gamma).add(held.mul(alpha)), pushed, held };
    },
  };
};

function distance(p: Parts, span: Span, from: Tensor, to: Tensor, isShared: boolean): Tensor {
  const sums = span.rowSums(from.sub(to).square().mean(-1)); // [R]
  return isShared ? p.rowMean(sums).mul(span.meanInverse()) : p.rowMean(sums.div(span.counts()));
}

/** A direction with entries from [0, 1), as long as `size`. */
export function controlOf(width: number, size: number, seed: number): Float64Array {
  const random = rng(seed).split("rmu");
  const u = Float64Array.from({ length: width }, () => random.uniform());
  const length = Math.hypot(...u);
  return u.map((x) => (x / length) * size);
}

const depth = (layers: number): number => Math.max(0, Math.round(layers / 4) - 1);

export const rmu = defineMethod<RmuParams>({
  name: "rmu",
  title: "RMU",
  paper: "arXiv:2403.03218",
  doc: "Pushes hidden states of the answers to forget towards a random direction and keeps those of the answers to retain.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: {
    ...TRAINING,
    ...TERMS,
    lr: { ...TRAINING.lr, default: 5e-5, source: "OpenUnlearning WMDP: 5e-5" },
    layers: { ...TRAINING.layers, default: (c) => [0, 1, 2].map((i) => depth(c.layers) - i).filter((l) => l >= 0) },
    weights: { ...TRAINING.weights, default: ["mlp.out"], source: "OpenUnlearning WMDP: layers 5-7 mlp.down_proj" },
    layer: {
      default: (c) => depth(c.layers),
      doc: "block after which hidden states are read",
      source: "docs/methods/rmu.md (7 of 32)",
      min: 0,
      whole: true,
    },
    steering: { default: 2, doc: "length of the direction", source: "OpenUnlearning configs/trainer/RMU.yaml", min: 0 },
  },
  hparams: TRAINING_HPARAMS,
  compat: {
    ...TRAINING_COMPAT,
    "answer-words":
      "take the states at the answer's tokens, not at the positions that predict them (the first token is predicted from the question)",
    "shared-lengths": "divide each row's sum by the length of every row and average (a broadcast in OpenUnlearning)",
  },
  sets: { openunlearning: [...HUGGING_FACE, "answer-words", "shared-lengths"] },
  edit: (job) => {
    const { params, model, compat, seed } = job;
    checkLayer("rmu", params.layer, model.config.layers);
    return unlearn("rmu", job, rmuLoss(params, compat, controlOf(model.config.width, params.steering, seed)));
  },
});
