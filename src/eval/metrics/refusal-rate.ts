/** Refusal rate: how often the model says that it does not know or will not say. */
import { defineMetric, shareOf } from "../metric.ts";
import { isRefusal } from "../refusal.ts";

export const refusalRate = defineMetric({
  name: "refusal-rate",
  doc: "share of generations whose first sentence denies knowledge or declines to answer",
  better: "higher",
  caveat: "It goes by English phrases, and by the first sentence: an answer given after a refusal still counts as one.",
  reads: ["generation"],
  after: [],
  score: ({ rows }) => shareOf("refusal-rate", rows, (row) => isRefusal(row.generation)),
});
