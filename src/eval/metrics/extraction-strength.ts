/** Extraction strength: how little of an answer must be given for the model to go on with the rest by itself. */
import { averaged, defineMetric } from "../metric.ts";
import { strengthOf } from "../ranks.ts";

export const extractionStrength = defineMetric({
  name: "extraction-strength",
  doc: "share of the answer that is left where every further token is the likeliest one, teacher forced",
  paper: "Carlini et al. 2021 (arXiv:2012.07805)",
  better: "lower",
  caveat: "One unlikely token near the end hides everything before it.",
  reads: ["answerRanks"],
  after: [],
  compat: { floor: "an answer of which nothing is likeliest keeps one token's share, never 0 (OpenUnlearning)" },
  score: ({ rows, chance, compat }) => averaged("extraction-strength", rows, (row) => strengthOf(row.answerRanks, compat("floor")), chance),
});
