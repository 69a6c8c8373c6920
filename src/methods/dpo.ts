/** DPO: the target is preferred to the old answer, both measured against the model before training. */
import type { Formula } from "../train/parts.ts";
import { preferred } from "../train/preference.ts";
import {
  BETA,
  type BetaParam,
  CAPPED,
  CAPPED_COMPAT,
  type CappedParams,
  TARGET_COMPAT,
  TERMS,
  type TermsParams,
  TRAINING_HPARAMS,
  UNCAPPED,
  unlearn,
} from "../train/unlearn.ts";
import { defineMethod } from "./method.ts";

export interface DpoParams extends CappedParams, TermsParams, BetaParam {}

/** −γ·(2/β)·mean log σ(β·((target − reference's) − (old − reference's))) of rows' log-probabilities, + α·CE(retain). */
export const dpoLoss = ({ gamma, alpha, beta }: TermsParams & BetaParam, compat: ReadonlySet<string>): Formula => {
  const isPlain = compat.has("plain-preference");
  return {
    name: `dpo ${gamma} ${alpha} ${beta} ${isPlain}`,
    roles: isPlain ? ["forget", "target"] : ["forget", "target", "retain"],
    loss: (p) => {
      const { mean, seen } = preferred(p, beta);
      const preference = mean.mul(isPlain ? -1 : (-gamma * 2) / beta);
      if (isPlain) return { loss: preference, ...seen };
      const { retain } = p.answers("retain");
      return { loss: preference.add(retain.nll.mul(alpha)), ...seen, retain: retain.nll };
    },
  };
};

export const dpo = defineMethod<DpoParams>({
  name: "dpo",
  title: "DPO",
  paper: "arXiv:2305.18290",
  doc: "Prefers the target to the old answer, relative to the model before training.",
  takes: "many",
  rows: 3,
  needs: ["answer", "target", "retain"],
  spares: (_, compat) => (compat.has("plain-preference") ? ["retain"] : []),
  params: { ...CAPPED, ...TERMS, ...BETA },
  hparams: TRAINING_HPARAMS,
  compat: {
    ...CAPPED_COMPAT,
    ...TARGET_COMPAT,
    "plain-preference": "the preference only: no factor 2/β and no retain term",
  },
  sets: {
    tofu: [...UNCAPPED, "fresh-refusals", "plain-preference"],
    pistol: [...UNCAPPED, "fresh-refusals", "plain-preference"],
    openunlearning: [...UNCAPPED, "fresh-refusals"],
  },
  edit: (job) => unlearn("dpo", job, dpoLoss(job.params, job.compat)),
});
