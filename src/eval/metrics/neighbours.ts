/** Neighbours: whether questions nearby keep their answer before the target. */
import { defineMetric, shareOf } from "../metric.ts";

export const neighbours = defineMetric({
  name: "neighbours",
  doc: "share of rows whose answer costs less a token than the target",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "A row counts as kept while its answer only stays ahead of one target, however much else has changed.",
  reads: ["answerLoss", "targetLoss"],
  after: [],
  score: ({ rows }) => shareOf("neighbours", rows, (row) => row.answerLoss < row.targetLoss),
});
