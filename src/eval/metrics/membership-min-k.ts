/** Membership inference by the unlikeliest tokens: in what was learnt, even they are likely. */
import { membership, minK, withoutEnd } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipMinK = defineMetric({
  name: "membership-min-k",
  doc: "the same of minus the mean log-probability of the unlikeliest 40 % of the answer's tokens",
  paper: "Shi et al. 2024 (arXiv:2310.16789)",
  better: "lower",
  caveat: "The aim is not 0 but the area of a model that never saw the rows: far below it, they stand out again.",
  reads: ["group", "answerLogprobs", "answerRanks"],
  after: [],
  score: ({ rows, chance }) => membership("membership-min-k", rows, (row) => minK(withoutEnd(row)), chance),
});
