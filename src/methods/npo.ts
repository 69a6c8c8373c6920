/** NPO: the old answer becomes less likely than in the model before training; the less likely it is, the weaker the push. */
import { type Formula, logSigmoid } from "../train/parts.ts";
import {
  BETA,
  type BetaParam,
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

export interface NpoParams extends CappedParams, TermsParams, BetaParam {}

/** −γ·(2/β)·mean log σ(−β·(old − reference's)) of rows' log-probabilities, + α·CE(retain) (NPO eq. 3). */
export const npoLoss = ({ gamma, alpha, beta }: TermsParams & BetaParam): Formula => ({
  name: `npo ${gamma} ${alpha} ${beta}`,
  roles: ["forget", "retain"],
  loss: (p) => {
    const { forget, retain } = p.answers("forget", "retain");
    const risen = forget.sums.sub(p.reference.answers("forget").forget.sums);
    const loss = p.rowMean(logSigmoid(risen.mul(-beta))).mul((-gamma * 2) / beta);
    return { loss: loss.add(retain.nll.mul(alpha)), forget: forget.nll, retain: retain.nll };
  },
});

export const npo = defineMethod<NpoParams>({
  name: "npo",
  title: "NPO",
  paper: "arXiv:2404.05868",
  doc: "Negative preference: gradient ascent that slows down as the old answer becomes less likely than before training.",
  takes: "many",
  rows: 2,
  needs: ["answer", "retain"],
  params: { ...CAPPED, ...TERMS, ...BETA },
  hparams: TRAINING_HPARAMS,
  compat: CAPPED_COMPAT,
  sets: { openunlearning: UNCAPPED },
  edit: (job) => unlearn("npo", job, npoLoss(job.params)),
});
