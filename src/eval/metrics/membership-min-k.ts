/** Membership inference by the least likely tokens: in trained texts even these are likely. */
import { membership, minK, withoutEnd } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipMinK = defineMetric({
  name: "membership-min-k",
  doc: "membership inference by the mean log-probability of the answer's 40 % least likely tokens (ROC-AUC)",
  paper: "Shi et al. 2024 (arXiv:2310.16789)",
  better: "lower",
  caveat: "The aim is not 0 but the AUC of a model that never saw the rows; far below it, the rows can be recognised again.",
  reads: ["group", "answerLogprobs", "answerRanks"],
  after: [],
  score: ({ rows, chance }) => membership("membership-min-k", rows, (row) => minK(withoutEnd(row)), chance),
});
