/** KL: gradient ascent on the answers to forget, with a KL term that preserves the model's distribution on the answers to retain. */
import { type Formula, klMean } from "../train/parts.ts";
import {
  CAPPED,
  CAPPED_COMPAT,
  type CappedParams,
  TERMS,
  type TermsParams,
  TRAINING_HPARAMS,
  UNCAPPED,
  unlearn,
} from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface KlParams extends CappedParams, TermsParams {}

/** −γ·CE(forget) + α·KL(model before training ‖ model) on retain rows, over the positions that predict a label. */
export const klLoss = ({ gamma, alpha }: TermsParams, compat: ReadonlySet<string>): Formula => {
  const where = compat.has("all-positions") ? "every" : "predicting";
  return {
    name: `kl ${gamma} ${alpha} ${where}`,
    roles: ["forget", "retain"],
    loss: (p) => {
      const { forget } = p.answers("forget");
      const span = p.span("retain", where);
      const kept = klMean(span, p.reference.logits(span).logSoftmax(), p.logits(span).logSoftmax());
      return { loss: kept.mul(alpha).sub(forget.nll.mul(gamma)), forget: forget.nll, retain: kept };
    },
  };
};

export const kl = defineMethod<KlParams>({
  name: "kl",
  title: "KL",
  paper: "arXiv:2401.06121",
  doc: "Raises the loss of the answers to forget and preserves the distributions over the answers to retain.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: { ...CAPPED, ...TERMS },
  hparams: TRAINING_HPARAMS,
  compat: { ...CAPPED_COMPAT, "all-positions": "average the divergence over every position, including questions and pads" },
  sets: {
    tofu: [...UNCAPPED, "all-positions"],
    pistol: [...UNCAPPED, "all-positions"],
    openunlearning: [...UNCAPPED, "all-positions"],
  },
  edit: (job) => unlearn("kl", job, klLoss(job.params, job.compat)),
});
