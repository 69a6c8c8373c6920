/** Perplexity: the number of equally likely tokens that would make a model equally uncertain. */
import { fail } from "../../base/fail.ts";
import { defineMetric, scoredRows } from "../metric.ts";
import { bootstrap, drawnMean, sum } from "../stats.ts";

export const perplexity = defineMetric({
  name: "perplexity",
  doc: "exponential of the mean negative log-likelihood per token, over the tokens of all samples",
  better: "lower",
  caveat: "Compare only models with the same tokenizer: fewer, longer tokens are harder to predict.",
  reads: ["answerLogprobs"],
  after: [],
  score: ({ rows, chance }) => {
    const bySample = scoredRows("perplexity", rows, ({ id, answerLogprobs: own }) => {
      if (own.length === 0) fail("perplexity", `sample "${id}" has no predicted token`, "at least one", "Leave it out.");
      return Math.exp(-sum(own) / own.length);
    });
    const [losses, tokens] = [rows.map((row) => -sum(row.answerLogprobs)), rows.map((row) => row.answerLogprobs.length)];
    const interval = bootstrap([rows.length], ([draw]) => Math.exp(drawnMean(losses, draw!) / drawnMean(tokens, draw!)), chance);
    return { value: Math.exp(sum(losses) / sum(tokens)), bySample, interval };
  },
});
