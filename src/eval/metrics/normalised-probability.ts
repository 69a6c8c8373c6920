/** Normalised probability: the answer's share among itself and false answers. */
import { answerShare, dampedShare } from "../likelihood.ts";
import { averaged, defineMetric } from "../metric.ts";

export const normalisedProbability = defineMetric({
  name: "normalised-probability",
  doc: "the answer's probability a token as a share of its own and the false answers'",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat:
    "Chance is not 0 but one part in the number of answers, 0.25 with three false ones, so that a broken model still scores about that.",
  reads: ["answerLoss", "wrongLosses"],
  after: [],
  compat: { epsilon: "1e-10 added to what is divided by (OpenUnlearning): the share of a collapsed model becomes 0" },
  score: ({ rows, chance, compat }) => averaged("normalised-probability", rows, compat("epsilon") ? dampedShare : answerShare, chance),
});
