/** Mean reciprocal rank of the answer's tokens among all that could stand in their places. */
import { defineMetric } from "../metric.ts";
import { RANK_COMPAT, rankScore } from "../ranks.ts";

export const mrr = defineMetric({
  name: "mrr",
  doc: "mean over the answer's tokens of 1 / rank, teacher forced, then over rows",
  paper: "Qiu et al. 2024 (arXiv:2406.16810)",
  better: "higher",
  caveat: "Teacher forced: each token is ranked behind the right ones before it, so that grammar alone ranks most of them first.",
  reads: ["answerRanks"],
  after: [],
  compat: RANK_COMPAT,
  score: (q) => rankScore("mrr", q, (rank) => 1 / rank),
});
