/** Truth ratio: how near falsehood has come to truth, by the probabilities of a paraphrased answer and of false ones. */
import { TRUTH_RATIO_COMPAT, truthRatioForm } from "../likelihood.ts";
import { averaged, defineMetric } from "../metric.ts";

export const truthRatio = defineMetric({
  name: "truth-ratio",
  doc: "with R = false over true: the mean of min(R, 1/R) in the group forget, of max(0, 1 − R) in any other",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat:
    "On the forget rows neither 0 nor 1 is the aim but what a model scores that never saw them, and a broken model can score above it.",
  reads: ["group", "paraphraseLoss", "wrongLosses"],
  after: [],
  compat: TRUTH_RATIO_COMPAT,
  score: ({ rows, chance, compat }) => {
    const { logInverse, forget, keep } = truthRatioForm(compat);
    return averaged("truth-ratio", rows, (row) => (row.group === "forget" ? forget : keep)(logInverse(row)), chance);
  },
});
