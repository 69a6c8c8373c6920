/** SatImp: gradient ascent in which each token is weighted by saturation and importance. */
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

interface Own {
  saturation: number;
  importance: number;
}
export interface SatImpParams extends CappedParams, TermsParams, Own {}

/** −γ·mean p^β₁·(1 − p)^β₂·(−log p) of the forget rows' labels, the weight without a gradient, + α·CE(retain). */
export const satimpLoss = ({ gamma, alpha, saturation, importance }: TermsParams & Own): Formula => ({
  name: `satimp ${gamma} ${alpha} ${saturation} ${importance}`,
  roles: ["forget", "retain"],
  loss: (p) => {
    const { forget, retain } = p.answers("forget", "retain");
    const chance = forget.logp.exp();
    // (1 − p)^β₂ through its logarithm, limited so that log 0 cannot occur
    const rest = chance.neg().add(1).maximum(1e-30).log().mul(importance).exp();
    const weight = forget.logp.mul(saturation).exp().mul(rest).detach();
    const risen = forget.span.mean(weight.mul(forget.logp)).mul(gamma);
    return { loss: risen.add(retain.nll.mul(alpha)), forget: forget.nll, retain: retain.nll };
  },
});

export const satimp = defineMethod<SatImpParams>({
  name: "satimp",
  title: "SatImp",
  paper: "arXiv:2505.11953",
  doc: "Gradient ascent, weighted by the saturation and importance of each token.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: {
    ...CAPPED,
    ...TERMS,
    gamma: { ...TERMS.gamma, default: 0.1, source: "OpenUnlearning configs/trainer/SatImp.yaml" },
    saturation: {
      default: 5,
      doc: "exponent of a token's probability p in its weight",
      source: "OpenUnlearning configs/trainer/SatImp.yaml beta1",
      min: 0,
    },
    importance: { default: 1, doc: "exponent of 1 − p in its weight", source: "OpenUnlearning configs/trainer/SatImp.yaml beta2", min: 0 },
  },
  hparams: TRAINING_HPARAMS,
  compat: CAPPED_COMPAT,
  sets: { openunlearning: UNCAPPED },
  edit: (job) => unlearn("satimp", job, satimpLoss(job.params)),
});
