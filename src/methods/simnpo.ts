/** SimNPO: NPO without a reference model; the old answer's own likelihood per token reduces the push. */
import { type Formula, logSigmoid } from "../train/parts.ts";
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
  delta: number;
}
export interface SimNpoParams extends CappedParams, TermsParams, Own {}

/** −γ·(2/β)·mean log σ(β·(NLL/n − δ)) with a row's NLL and its n labels, + α·CE(retain) (SimNPO eq. 4). */
export const simnpoLoss = ({ gamma, alpha, beta, delta }: TermsParams & Own): Formula => ({
  name: `simnpo ${gamma} ${alpha} ${beta} ${delta}`,
  roles: ["forget", "retain"],
  loss: (p) => {
    const { forget, retain } = p.answers("forget", "retain");
    const each = forget.sums.neg().div(forget.span.counts()).sub(delta);
    const loss = p.rowMean(logSigmoid(each.mul(beta))).mul((-gamma * 2) / beta);
    return { loss: loss.add(retain.nll.mul(alpha)), forget: forget.nll, retain: retain.nll };
  },
});

export const simnpo = defineMethod<SimNpoParams>({
  name: "simnpo",
  title: "SimNPO",
  paper: "arXiv:2410.07163",
  doc: "Like NPO without a reference model: the loss is per token, and a margin says how unlikely is enough.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: {
    ...CAPPED,
    ...TERMS,
    gamma: { ...TERMS.gamma, default: 0.125, source: "OpenUnlearning configs/trainer/SimNPO.yaml" },
    beta: {
      default: 4.5,
      doc: "how sharply the push decreases at the margin",
      source: "OpenUnlearning configs/trainer/SimNPO.yaml",
      min: 0,
    },
    delta: { default: 0, doc: "margin of the loss per token (nats)", source: "OpenUnlearning configs/trainer/SimNPO.yaml" },
  },
  hparams: TRAINING_HPARAMS,
  compat: CAPPED_COMPAT,
  sets: { openunlearning: UNCAPPED },
  edit: (job) => unlearn("simnpo", job, simnpoLoss(job.params)),
});
