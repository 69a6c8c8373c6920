/** First word: the share of answers with the same first word as in the data. */
import { defineMetric, shareOf } from "lethe";

const first = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/u)?.[0];

export const firstWord = defineMetric({
  name: "first-word",
  doc: "share of generations whose first word is the answer's",
  better: "higher",
  caveat: "A right answer inside a longer sentence does not count.",
  reads: ["answer", "generation"], // every row has these, or is refused by its id
  after: [],
  score: ({ rows }) => shareOf("first-word", rows, ({ answer, generation }) => first(generation) === first(answer)),
});
