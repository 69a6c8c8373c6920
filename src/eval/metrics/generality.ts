/** Generality: whether the target is more likely than the answer at paraphrases of the question. */
import { defineMetric, shareOf } from "../metric.ts";

export const generality = defineMetric({
  name: "generality",
  doc: "share of paraphrased rows whose target has a lower loss per token than the answer",
  paper: "Meng et al. 2022 (arXiv:2202.05262)",
  better: "higher",
  caveat: "It depends on how different the paraphrases are; paraphrases made from a template are similar.",
  reads: ["answerLoss", "targetLoss"],
  after: [],
  score: ({ rows }) => shareOf("generality", rows, (row) => row.targetLoss < row.answerLoss),
});
