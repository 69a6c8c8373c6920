/** Exact match: whether the model said the answer and nothing else. */
import { bestOf, defineMetric, shareOf } from "../metric.ts";
import { normalized } from "../words.ts";

export const exactMatch = defineMetric({
  name: "exact-match",
  doc: "share of generations with the same words as the answer, ignoring case and punctuation",
  better: "higher",
  caveat: "A right answer in a longer sentence counts as wrong.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows }) =>
    shareOf("exact-match", rows, (row) => bestOf(row, (answer) => Number(normalized(answer) === normalized(row.generation))) === 1),
});
