/** Repetition: how much of what the model says it has said before in the same breath. */
import { averaged, defineMetric } from "../metric.ts";
import { repeatedShare } from "../words.ts";

export const repetition = defineMetric({
  name: "repetition",
  doc: "share of a generation's runs of three words or signs that occurred before in it",
  better: "lower",
  caveat: "Short generations have little to repeat: read it beside the empty rate.",
  reads: ["generation"],
  after: [],
  score: ({ rows, chance }) => averaged("repetition", rows, (row) => repeatedShare(row.generation, 3), chance),
});
