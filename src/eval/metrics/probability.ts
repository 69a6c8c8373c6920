/** Probability of the answer: the geometric mean over its tokens, including the end token. */
import { averaged, defineMetric, type Row } from "../metric.ts";

export const probability = defineMetric({
  name: "probability",
  doc: "geometric mean of the probabilities of the answer's tokens and its end",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat: "It falls when the model words the fact differently, so a low value does not show that the fact is gone.",
  reads: ["answerLoss"],
  after: [],
  compat: {
    product: "the product over the tokens instead of their mean (PISTOL's paper): long answers score almost 0",
    "leading-peak": "the largest probability at the first positions of the sequence (PISTOL's code); it does not depend on the answer",
  },
  compatReads: { "leading-peak": ["leadingPeak"] },
  score: ({ rows, chance, compat }) => {
    const chanceOf = (row: Row<"answerLoss">): number =>
      compat("leading-peak") ? (row.leadingPeak ?? NaN) : Math.exp(-row.answerLoss * (compat("product") ? (row.answerTokens ?? NaN) : 1));
    return averaged("probability", rows, chanceOf, chance);
  },
});
