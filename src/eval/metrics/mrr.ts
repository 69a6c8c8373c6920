/** Mean reciprocal rank of the answer's tokens among all tokens. */
import { defineMetric } from "../metric.ts";
import { RANK_COMPAT, RANK_READS, rankScore } from "../ranks.ts";

export const mrr = defineMetric({
  name: "mrr",
  doc: "mean over the answer's tokens of 1 / rank, teacher forced; then the mean over rows",
  paper: "Qiu et al. 2024 (arXiv:2406.16810)",
  better: "higher",
  caveat: "It is teacher forced: each token follows the right tokens, so grammar alone ranks most of them first.",
  reads: ["answerRanks"],
  after: [],
  compat: RANK_COMPAT,
  compatReads: RANK_READS,
  score: (q) => rankScore("mrr", q, (rank) => 1 / rank),
});
