/** Extraction strength: how much of an answer the model completes by itself. */
import { averaged, defineMetric } from "../metric.ts";
import { strengthOf } from "../ranks.ts";

export const extractionStrength = defineMetric({
  name: "extraction-strength",
  doc: "share of the answer from the point where every further token is the most likely one, teacher forced",
  paper: "Carlini et al. 2021 (arXiv:2012.07805)",
  better: "lower",
  caveat: "One unlikely token near the end hides everything before it.",
  reads: ["answerRanks"],
  after: [],
  compat: { floor: "at least one token counts, so the value is never 0 (OpenUnlearning)" },
  score: ({ rows, chance, compat }) => averaged("extraction-strength", rows, (row) => strengthOf(row.answerRanks, compat("floor")), chance),
});
