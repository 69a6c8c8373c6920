/** ROUGE-L recall: the share of the gold answer that the model said in the same order. */
import { averaged, bestOf, defineMetric } from "../metric.ts";
import { rougeL, tokenize } from "../rouge.ts";

export const rougel = defineMetric({
  name: "rougel",
  doc: "longest common subsequence with the generation, as a share of the gold answer's stemmed words",
  paper: "Lin 2004 (aclanthology.org/W04-1013)",
  better: "higher",
  caveat: "It compares words, not facts: an answer that repeats the question's words and gets the fact wrong can score above one half.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows, chance }) =>
    averaged("rougel", rows, (row) => bestOf(row, (answer) => rougeL(tokenize(answer), tokenize(row.generation)).recall), chance),
});
