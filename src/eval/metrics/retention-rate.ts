/** Retention rate: how many answers are still given with every word. */
import { bestOf, defineMetric, shareOf } from "../metric.ts";
import { recallOf } from "../leak.ts";

export const retentionRate = defineMetric({
  name: "retention-rate",
  doc: "share of generations that hold every stemmed word of the answer (ROUGE-1 recall of 1)",
  better: "higher",
  caveat: "The words may stand in any order and among others: a long generation holds them by chance.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows }) => shareOf("retention-rate", rows, (row) => bestOf(row, (answer) => recallOf(answer, row.generation)) === 1),
});
