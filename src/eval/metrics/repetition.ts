/** Repetition: how much of a generation repeats itself. */
import { averaged, defineMetric } from "../metric.ts";
import { repeatedShare } from "../words.ts";

export const repetition = defineMetric({
  name: "repetition",
  doc: "share of a generation's trigrams of words and punctuation that occurred earlier in it",
  better: "lower",
  caveat: "Short generations have little to repeat: read it with the empty rate.",
  reads: ["generation"],
  after: [],
  score: ({ rows, chance }) => averaged("repetition", rows, (row) => repeatedShare(row.generation, 3), chance),
});
