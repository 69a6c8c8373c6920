/** Membership inference by the least likely tokens, normalised by the model's distribution at each token. */
import { membership, minK, standardised } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipMinKPlus = defineMetric({
  name: "membership-min-k-plus",
  doc: "min-k with each log-probability standardised by the model's own distribution at that token (ROC-AUC)",
  paper: "Zhang et al. 2024 (arXiv:2404.02936)",
  better: "lower",
  caveat: "The aim is not 0 but the AUC of a model that never saw the rows; far below it, the rows can be recognised again.",
  reads: ["group", "answerLogprobs", "answerRanks", "logprobMeans", "logprobVariances"],
  after: [],
  score: ({ rows, chance }) => membership("membership-min-k-plus", rows, (row) => minK(standardised(row)), chance),
});
