/** Efficacy: whether the target has become likelier than the answer, at the question the edit was made for. */
import { defineMetric, shareOf } from "../metric.ts";

export const efficacy = defineMetric({
  name: "efficacy",
  doc: "share of rows whose target costs less a token than the answer",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "Likelier than the answer is not said: the model may say neither.",
  reads: ["answerLoss", "targetLoss"],
  after: [],
  score: ({ rows }) => shareOf("efficacy", rows, (row) => row.targetLoss < row.answerLoss),
});
