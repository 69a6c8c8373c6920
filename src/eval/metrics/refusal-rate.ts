/** Refusal rate: how often the model says that it does not know or will not answer. */
import { defineMetric, shareOf } from "../metric.ts";
import { isRefusal } from "../refusal.ts";

export const refusalRate = defineMetric({
  name: "refusal-rate",
  doc: "share of generations whose first sentence denies knowledge or declines to answer",
  better: "higher",
  caveat: "It checks English phrases in the first sentence only: an answer given after a refusal still counts as a refusal.",
  reads: ["generation"],
  after: [],
  score: ({ rows }) => shareOf("refusal-rate", rows, (row) => isRefusal(row.generation)),
});
