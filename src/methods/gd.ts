/** GD: gradient ascent on the answers to forget and descent on the answers to retain. */
import type { Formula } from "../train/parts.ts";
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

export interface GdParams extends CappedParams, TermsParams {}

/** −γ·CE(forget) + α·CE(retain). */
export const gdLoss = ({ gamma, alpha }: TermsParams): Formula => ({
  name: `gd ${gamma} ${alpha}`,
  roles: ["forget", "retain"],
  loss: (p) => {
    const { forget, retain } = p.answers("forget", "retain");
    return { loss: retain.nll.mul(alpha).sub(forget.nll.mul(gamma)), forget: forget.nll, retain: retain.nll };
  },
});

export const gd = defineMethod<GdParams>({
  name: "gd",
  title: "GD",
  paper: "arXiv:2401.06121",
  doc: "Gradient difference: raises the loss of the answers to forget and lowers that of the answers to retain.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: { ...CAPPED, ...TERMS },
  hparams: TRAINING_HPARAMS,
  files: { GradDiff: {} },
  compat: CAPPED_COMPAT,
  sets: { tofu: UNCAPPED, pistol: UNCAPPED, openunlearning: UNCAPPED },
  edit: (job) => unlearn("gd", job, gdLoss(job.params)),
});
