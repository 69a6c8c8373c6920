/** Membership inference by the unlikeliest tokens, each beside what else the model would have drawn there. */
import { membership, minK, standardised } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipMinKPlus = defineMetric({
  name: "membership-min-k-plus",
  doc: "the same with each log-probability less its mean, over its standard deviation, under the model itself",
  paper: "Zhang et al. 2024 (arXiv:2404.02936)",
  better: "lower",
  caveat: "The aim is not 0 but the area of a model that never saw the rows: far below it, they stand out again.",
  reads: ["group", "answerLogprobs", "answerRanks", "logprobMeans", "logprobVariances"],
  after: [],
  score: ({ rows, chance }) => membership("membership-min-k-plus", rows, (row) => minK(standardised(row)), chance),
});
