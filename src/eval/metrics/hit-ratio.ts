/** Hit ratio: the share of the answer's tokens among the hundred most likely. */
import { defineMetric } from "../metric.ts";
import { RANK_COMPAT, RANK_READS, rankScore } from "../ranks.ts";

/** Ranks up to this one are hits. */
const HIT = 100;

export const hitRatio = defineMetric({
  name: "hit-ratio",
  doc: `share of the answer's tokens with a rank of at most ${HIT}, teacher forced; then the mean over rows`,
  paper: "Qiu et al. 2024 (arXiv:2406.16810)",
  better: "higher",
  caveat: "A hundred tokens is a wide margin: a model that forgot the fact but knows its form still scores high.",
  reads: ["answerRanks"],
  after: [],
  compat: RANK_COMPAT,
  compatReads: RANK_READS,
  score: (q) => rankScore("hit-ratio", q, (rank) => (Number.isNaN(rank) ? NaN : Number(rank <= HIT))),
});
