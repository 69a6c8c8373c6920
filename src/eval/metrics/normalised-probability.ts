/** Normalised probability: the share of the answer in the probability of the answer and the false answers. */
import { answerShare, dampedShare } from "../likelihood.ts";
import { averaged, defineMetric } from "../metric.ts";

export const normalisedProbability = defineMetric({
  name: "normalised-probability",
  doc: "the answer's probability per token, divided by the sum over the answer and the false answers",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat: "Chance level is 1 / number of answers (0.25 with three false answers), so a broken model still scores about that.",
  reads: ["answerLoss", "wrongLosses"],
  after: [],
  compat: { epsilon: "add 1e-10 to the denominator (OpenUnlearning): the share of a collapsed model becomes 0" },
  score: ({ rows, chance, compat }) => averaged("normalised-probability", rows, compat("epsilon") ? dampedShare : answerShare, chance),
});
