/** CE-U: the model is trained on its own distribution without the old answer's tokens. */
import { fail } from "../base/fail.ts";
import type { Formula } from "../train/parts.ts";
import { asRow } from "../train/tune.ts";
import { HUGGING_FACE, TRAINING, TRAINING_COMPAT, TRAINING_HPARAMS, type TrainingParams, unlearn } from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface CeuParams extends TrainingParams {
  skip: number;
}

/**
 * Mean cross-entropy to the softmax of the model's own logits without the label (no gradient), over the forget rows' labels. The first
 * `skip` labels of each row are left out.
 */
export const ceuLoss = ({ skip }: Pick<CeuParams, "skip">): Formula => ({
  name: `ceu ${skip}`,
  roles: ["forget"],
  loss: (p) => {
    const span = p.span("forget", "predicting", skip);
    const logits = p.logits(span);
    const labels = span.labels(0);
    // lowers the logit so far that its probability becomes 0
    const gone = logits.trace
      .constant(1e4, logits.dtype)
      .expand([labels.dim(0)])
      .place(labels, p.lm.model.config.vocab);
    const taught = logits.detach().sub(gone).softmax();
    const loss = span.mean(taught.mul(logits.logSoftmax()).sum(-1)).neg();
    return { loss };
  },
});

export const ceu = defineMethod<CeuParams>({
  name: "ceu",
  title: "CE-U",
  paper: "arXiv:2503.01224",
  doc: "Cross-entropy unlearning: trains the model on its own distribution without the old answer's tokens.",
  takes: "many",
  rows: 1,
  needs: ["answer"],
  params: {
    ...TRAINING,
    skip: {
      default: 1,
      doc: "first tokens of each answer that are not trained",
      source: "OpenUnlearning ignore_first_n_answer_tokens",
      min: 0,
      whole: true,
    },
  },
  hparams: TRAINING_HPARAMS,
  compat: TRAINING_COMPAT,
  sets: { openunlearning: HUGGING_FACE },
  edit: (job) => {
    const { skip } = job.params;
    const longest = Math.max(...job.requests.map(({ id, prompt, answer }) => asRow(job, id, prompt, answer).labels.length));
    if (skip >= longest)
      fail(
        "ceu",
        `skip = ${skip}, but the longest answer has ${longest} tokens, its end included`,
        "at least one token to forget",
        "Lower --set skip.",
      );
    return unlearn("ceu", job, ceuLoss(job.params));
  },
});
