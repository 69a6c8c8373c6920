/** WGA: gradient ascent in which each token is weighted by a power of its current probability. */
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
  beta: number;
}
export interface WgaParams extends CappedParams, TermsParams, Own {}

/** −γ·mean p^β·(−log p) of the forget rows' labels, the weight p^β without a gradient, + α·CE(retain). */
export const wgaLoss = ({ gamma, alpha, beta }: TermsParams & Own): Formula => ({
  name: `wga ${gamma} ${alpha} ${beta}`,
  roles: ["forget", "retain"],
  loss: (p) => {
    const { forget, retain } = p.answers("forget", "retain");
    const weight = forget.logp.mul(beta).exp().detach();
    const risen = forget.span.mean(weight.mul(forget.logp)).mul(gamma);
    return { loss: risen.add(retain.nll.mul(alpha)), forget: forget.nll, retain: retain.nll };
  },
});

export const wga = defineMethod<WgaParams>({
  name: "wga",
  title: "WGA",
  paper: "arXiv:2502.19301",
  doc: "Weighted gradient ascent: tokens that have become unlikely are not pushed further.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: {
    ...CAPPED,
    ...TERMS,
    beta: { default: 1, doc: "exponent of a token's probability in its weight", source: "OpenUnlearning configs/trainer/WGA.yaml", min: 0 },
  },
  hparams: TRAINING_HPARAMS,
  compat: CAPPED_COMPAT,
  sets: { openunlearning: UNCAPPED },
  edit: (job) => unlearn("wga", job, wgaLoss(job.params)),
});
