/** AltPO: other answers, which the model makes up itself, are preferred to the old answer, both measured against the model before training. */
import type { Formula } from "../train/parts.ts";
import { preferred } from "../train/preference.ts";
import {
  BETA,
  type BetaParam,
  CAPPED,
  CAPPED_COMPAT,
  type CappedParams,
  TERMS,
  TRAINING_HPARAMS,
  UNCAPPED,
  unlearn,
} from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface AltpoParams extends CappedParams, BetaParam {
  alpha: number;
  alternates: number;
}

/** −(2/β)·mean log σ(β·((other − reference's) − (old − reference's))) of rows' log-probabilities, + α·NLL(retain). */
export const altpoLoss = ({ alpha, beta }: Pick<AltpoParams, "alpha" | "beta">): Formula => ({
  name: `altpo ${alpha} ${beta}`,
  roles: ["forget", "target", "retain"],
  loss: (p) => {
    const { mean, seen } = preferred(p, beta);
    const { retain } = p.answers("retain");
    return { loss: mean.mul(-2 / beta).add(retain.nll.mul(alpha)), ...seen, retain: retain.nll };
  },
});

export const altpo = defineMethod<AltpoParams>({
  name: "altpo",
  title: "AltPO",
  paper: "arXiv:2409.13474",
  doc: "Prefers several other answers, which the model makes up itself, to the old answer.",
  takes: "many",
  rows: 3,
  needs: ["answer", "target", "retain"],
  aims: { target: "alternate", count: ({ alternates }) => alternates },
  params: {
    ...CAPPED,
    epochs: { ...CAPPED.epochs, default: 2, source: "OpenUnlearning community/methods/AltPO/run.sh" },
    batch: {
      ...CAPPED.batch,
      doc: "rows per step; a request has a row for each of its other answers",
      default: 32,
      source: "OpenUnlearning community/methods/AltPO/run.sh",
    },
    lr: { ...CAPPED.lr, default: 2e-5, source: "OpenUnlearning community/methods/AltPO/run.sh: 1e-5, 2e-5, 5e-5" },
    alternates: {
      default: 5,
      doc: "other answers for each request, each a row (one, if --say gives the words)",
      source: "OpenUnlearning community/methods/AltPO",
      min: 1,
      whole: true,
    },
    alpha: TERMS.alpha,
    ...BETA,
  },
  hparams: { ...TRAINING_HPARAMS, repeats: "alternates" },
  compat: CAPPED_COMPAT,
  sets: { openunlearning: UNCAPPED },
  edit: async (job) => {
    const draft = await unlearn("altpo", job, altpoLoss(job.params));
    const targets = Object.fromEntries(job.requests.map(({ id, target, others = [] }) => [id, [target, ...others]]));
    return { ...draft, evidence: { ...draft.evidence, targets, wanted: job.params.alternates } };
  },
});
