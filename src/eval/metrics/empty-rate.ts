/** Empty rate: how often the model says nothing. */
import { defineMetric, shareOf } from "../metric.ts";

export const emptyRate = defineMetric({
  name: "empty-rate",
  doc: "share of generations without a visible character",
  better: "lower",
  caveat: "A model that says nothing scores 0 in every overlap with an answer, which looks like forgetting.",
  reads: ["generation"],
  after: [],
  score: ({ rows }) => shareOf("empty-rate", rows, (row) => row.generation.trim() === ""),
});
