/** Neighbours: whether the answer stays more likely than the target at similar questions. */
import { defineMetric, shareOf } from "../metric.ts";

export const neighbours = defineMetric({
  name: "neighbours",
  doc: "share of rows whose answer has a lower loss per token than the target",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "A row counts as kept if its answer is more likely than one target, however much else has changed.",
  reads: ["answerLoss", "targetLoss"],
  after: [],
  score: ({ rows }) => shareOf("neighbours", rows, (row) => row.answerLoss < row.targetLoss),
});
