/** ROUGE-2 recall: the share of the gold answer's bigrams that the model said. */
import { averaged, bestOf, defineMetric } from "../metric.ts";
import { rougeN, tokenize } from "../rouge.ts";

export const rouge2 = defineMetric({
  name: "rouge2",
  doc: "share of the gold answer's bigrams of stemmed words that the generation contains",
  paper: "Lin 2004 (aclanthology.org/W04-1013)",
  better: "higher",
  caveat: "An answer of one word has no bigram and scores 0 even when it is right.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows, chance }) =>
    averaged("rouge2", rows, (row) => bestOf(row, (answer) => rougeN(tokenize(answer), tokenize(row.generation), 2).recall), chance),
});
