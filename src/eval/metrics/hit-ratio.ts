/** Hit ratio: how many of the answer's tokens are among the hundred likeliest. */
import { defineMetric } from "../metric.ts";
import { RANK_COMPAT, rankScore } from "../ranks.ts";

/** Ranks up to this one are hits. */
const HIT = 100;

export const hitRatio = defineMetric({
  name: "hit-ratio",
  doc: `mean over the answer's tokens of whether the rank is at most ${HIT}, teacher forced, then over rows`,
  paper: "Qiu et al. 2024 (arXiv:2406.16810)",
  better: "higher",
  caveat: "A hundred of many thousand tokens is a wide mark: a model that has lost the fact but keeps its form still hits.",
  reads: ["answerRanks"],
  after: [],
  compat: RANK_COMPAT,
  score: (q) => rankScore("hit-ratio", q, (rank) => (Number.isNaN(rank) ? NaN : Number(rank <= HIT))),
});
