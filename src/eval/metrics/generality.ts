/** Generality: whether the target is likelier than the answer at the same question in other words. */
import { defineMetric, shareOf } from "../metric.ts";

export const generality = defineMetric({
  name: "generality",
  doc: "share of reworded rows whose target costs less a token than the answer",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "Only as general as the rewordings are different, and those made from a template are alike.",
  reads: ["answerLoss", "targetLoss"],
  after: [],
  score: ({ rows }) => shareOf("generality", rows, (row) => row.targetLoss < row.answerLoss),
});
