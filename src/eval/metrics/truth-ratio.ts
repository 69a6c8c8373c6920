/** Truth ratio: the probability of false answers relative to that of a paraphrased right answer. */
import { TRUTH_RATIO_COMPAT, truthRatioForm } from "../likelihood.ts";
import { averaged, defineMetric } from "../metric.ts";

export const truthRatio = defineMetric({
  name: "truth-ratio",
  doc: "with R = false / true: the mean of min(R, 1/R) in the group forget, of max(0, 1 − R) in any other",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat: "On the forget rows the aim is the score of a model that never saw them, not 0 or 1, and a broken model can score above it.",
  reads: ["group", "paraphraseLoss", "wrongLosses"],
  after: [],
  compat: TRUTH_RATIO_COMPAT,
  score: ({ rows, chance, compat }) => {
    const { logInverse, forget, keep } = truthRatioForm(compat);
    return averaged("truth-ratio", rows, (row) => (row.group === "forget" ? forget : keep)(logInverse(row)), chance);
  },
});
