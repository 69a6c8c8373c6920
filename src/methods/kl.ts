/** KL: gradient ascent on what is to be forgotten, while what the model says of the rest stays as it was, word by word. */
import { type Formula, klMean } from "../train/parts.ts";
import { HUGGING_FACE, TERMS, type TermsParams, TRAINING, TRAINING_COMPAT, type TrainingParams, unlearn } from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface KlParams extends TrainingParams, TermsParams {}

/** −γ·CE(forget) + α·KL(before ‖ now) on retain rows, over the positions that predict a label. */
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
  doc: "Raises the loss of the answers to forget and holds the distributions over answers that stay.",
  takes: "many",
  needs: ["answer", "retain"],
  params: { ...TRAINING, ...TERMS },
  compat: { ...TRAINING_COMPAT, "all-positions": "take the divergence over every position, questions and pads too" },
  sets: {
    tofu: [...HUGGING_FACE, "all-positions"],
    pistol: [...HUGGING_FACE, "all-positions"],
    openunlearning: [...HUGGING_FACE, "all-positions"],
  },
  edit: (job) => unlearn("kl", job, klLoss(job.params, job.compat)),
});
