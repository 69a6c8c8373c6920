/** ROUGE-1 recall: the share of the gold answer's words that the model said. */
import { averaged, bestOf, defineMetric } from "../metric.ts";
import { rougeN, tokenize } from "../rouge.ts";

export const rouge1 = defineMetric({
  name: "rouge1",
  doc: "share of the gold answer's stemmed words that the generation contains",
  paper: "Lin 2004 (aclanthology.org/W04-1013)",
  better: "higher",
  caveat: "It is recall only: a long generation contains words by chance, and a wrong answer contains the words that all answers share.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows, chance }) =>
    averaged("rouge1", rows, (row) => bestOf(row, (answer) => rougeN(tokenize(answer), tokenize(row.generation), 1).recall), chance),
});
