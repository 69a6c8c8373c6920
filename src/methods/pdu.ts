/** PDU: flattens the logits at the old answer; a weight that is adjusted during training keeps the retain loss below a bound. */
import type { Formula } from "../train/parts.ts";
import {
  HUGGING_FACE,
  inSteps,
  TERMS,
  type TermsParams,
  TRAINING,
  TRAINING_COMPAT,
  TRAINING_HPARAMS,
  type TrainingParams,
  unlearn,
} from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

interface Own {
  bound: number;
  dualStep: number;
  dualWarmup: number;
}
export interface PduParams extends TrainingParams, TermsParams, Own {}

/**
 * γ·mean (max logit − mean logit)² at the answer's positions + λ·(CE(retain) − bound). λ begins as α. After the warm-up it changes by
 * `dualStep`·(CE(retain) − bound) in every step, and stays at least 0.
 */
export const pduLoss = ({ gamma, alpha, bound, dualStep, dualWarmup, steps }: TermsParams & Own & { steps: number }): Formula => ({
  name: `pdu ${gamma} ${alpha} ${bound} ${dualStep} ${dualWarmup} ${steps}`,
  roles: ["forget", "retain"],
  loss: (p) => {
    const { retain } = p.answers("retain");
    const span = p.span("forget", "labelled");
    const logits = p.logits(span);
    const flat = span.mean(logits.max(-1).sub(logits.mean(-1)).square());
    const weight = p.state(1).reshape([]);
    const held = retain.nll.sub(p.rowMean(p.span("retain", "predicting").counts().mul(0).add(bound)));
    return { loss: flat.mul(gamma).add(weight.mul(held)), flat, retain: retain.nll };
  },
  state: {
    start: [alpha],
    next: ([weight], { step, outputs }) =>
      step <= dualWarmup * steps ? [weight!] : [Math.max(0, weight! + dualStep * (outputs["retain"]! - bound))],
  },
});

export const pdu = defineMethod<PduParams>({
  name: "pdu",
  title: "PDU",
  paper: "arXiv:2506.05314",
  doc: "Primal-dual: flattens the logits at the old answer; an adjusted weight keeps the loss of the retain answers below a bound.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: {
    ...TRAINING,
    ...TERMS,
    bound: {
      default: 0.3,
      doc: "upper bound of the loss of the retain answers (nats)",
      source: "OpenUnlearning TOFU recipe",
      min: 0,
    },
    dualStep: { default: 1, doc: "step size of the weight of the retain term", source: "OpenUnlearning configs/trainer/PDU.yaml", min: 0 },
    dualWarmup: {
      default: 0.5,
      doc: "share of the steps before this weight changes",
      source: "OpenUnlearning configs/trainer/PDU.yaml: 5 of 10 epochs",
      min: 0,
      max: 1,
    },
  },
  hparams: TRAINING_HPARAMS,
  compat: TRAINING_COMPAT,
  sets: { openunlearning: HUGGING_FACE },
  edit: (job) => unlearn("pdu", job, pduLoss(inSteps(job.params, job.requests.length))),
});
