/** Probability of the answer: the geometric mean over its tokens, the end token with them. */
import { averaged, defineMetric, type Row } from "../metric.ts";

export const probability = defineMetric({
  name: "probability",
  doc: "geometric mean of the probabilities of the answer's tokens and its end",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat: "It falls when the model merely words the fact differently, so that a low value does not show that the fact is gone.",
  reads: ["answerLoss"],
  after: [],
  compat: {
    product: "the product over the tokens in place of their mean (PISTOL's paper): long answers score nothing",
    "leading-peak": "the likeliest token's probability at the sequence's first positions (PISTOL's code): it says nothing of the answer",
  },
  score: ({ rows, chance, compat }) => {
    const chanceOf = (row: Row<"answerLoss">): number =>
      compat("leading-peak") ? (row.leadingPeak ?? NaN) : Math.exp(-row.answerLoss * (compat("product") ? (row.answerTokens ?? NaN) : 1));
    return averaged("probability", rows, chanceOf, chance);
  },
});
