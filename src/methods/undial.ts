/** UNDIAL: the model is trained on its own distribution with lower logits for the old answer's tokens. */
import type { Formula } from "../train/parts.ts";
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

interface Own {
  beta: number;
}
export interface UndialParams extends TrainingParams, TermsParams, Own {}

/** γ·CE(now, softmax(logits before − β at the label)) over positions that predict a label, + α·CE(retain). */
export const undialLoss = ({ gamma, alpha, beta }: TermsParams & Own, compat: ReadonlySet<string>): Formula => {
  const where = compat.has("every-position") ? "shifted" : "predicting";
  return {
    name: `undial ${gamma} ${alpha} ${beta} ${where}`,
    roles: alpha > 0 ? ["forget", "retain"] : ["forget"],
    loss: (p) => {
      const span = p.span("forget", where);
      const V = p.lm.model.config.vocab;
      // a position without a label lowers the word at index −100 from the end, as the published code does
      const labels = span.labels(V - 100);
      const before = p.reference.logits(span);
      const lowered = before.sub(
        before.trace
          .constant(beta, before.dtype)
          .expand([labels.dim(0)])
          .place(labels, V),
      );
      const taught = span.mean(lowered.softmax().mul(p.logits(span).logSoftmax()).sum(-1)).neg();
      if (alpha === 0) return { loss: taught.mul(gamma), taught };
      const { retain } = p.answers("retain");
      return { loss: taught.mul(gamma).add(retain.nll.mul(alpha)), taught, retain: retain.nll };
    },
  };
};

export const undial = defineMethod<UndialParams>({
  name: "undial",
  title: "UNDIAL",
  paper: "arXiv:2402.10052",
  doc: "Self-distillation: trains the model on its own distribution with lower logits for the old answer's tokens.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  spares: ({ alpha }) => (alpha > 0 ? [] : ["retain"]),
  params: {
    ...TRAINING,
    ...TERMS,
    lr: { ...TRAINING.lr, default: 1e-4, source: "OpenUnlearning configs/trainer/UNDIAL.yaml" },
    alpha: { ...TERMS.alpha, default: 0, source: "OpenUnlearning configs/trainer/UNDIAL.yaml" },
    beta: {
      default: 10,
      doc: "by how much the logit of an old answer's token is lowered",
      source: "OpenUnlearning configs/trainer/UNDIAL.yaml",
      min: 0,
    },
  },
  hparams: TRAINING_HPARAMS,
  compat: {
    ...TRAINING_COMPAT,
    "every-position": "train every position, including questions and pads; where there is no label, another token is lowered",
  },
  sets: { openunlearning: [...HUGGING_FACE, "every-position"] },
  edit: (job) => unlearn("undial", job, undialLoss(job.params, job.compat)),
});
