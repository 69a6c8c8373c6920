/** Efficacy: whether the target is more likely than the answer, at the question that the edit was made for. */
import { defineMetric, shareOf } from "../metric.ts";

export const efficacy = defineMetric({
  name: "efficacy",
  doc: "share of rows whose target has a lower loss per token than the answer",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "More likely than the answer does not mean that the model says the target: it may say neither.",
  reads: ["answerLoss", "targetLoss"],
  after: [],
  score: ({ rows }) => shareOf("efficacy", rows, (row) => row.targetLoss < row.answerLoss),
});
