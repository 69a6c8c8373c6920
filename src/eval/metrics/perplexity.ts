/** Perplexity: between how many tokens, all alike, a model that is as unsure would have to choose. */
import { fail } from "../../base/fail.ts";
import { averaged, defineMetric } from "../metric.ts";

const nllOf = (logprobs: readonly number[]): number => -logprobs.reduce((sum, p) => sum + p, 0);

export const perplexity = defineMetric({
  name: "perplexity",
  doc: "exponential of the mean negative log-likelihood of a predicted token, over the tokens of all samples",
  better: "lower",
  reads: ["answerLogprobs"],
  after: [],
  score: ({ rows }) => {
    const { bySample } = averaged("perplexity", rows, ({ id, answerLogprobs: own }) => {
      if (own.length === 0) fail("perplexity", `sample "${id}" has no predicted token`, "at least one", "Leave it out.");
      return Math.exp(nllOf(own) / own.length);
    });
    const count = rows.reduce((n, row) => n + row.answerLogprobs.length, 0);
    return { value: Math.exp(rows.reduce((sum, row) => sum + nllOf(row.answerLogprobs), 0) / count), bySample };
  },
});
