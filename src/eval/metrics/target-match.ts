/** Target match: whether the model says the edit's target, word for word, and nothing else. */
import { defineMetric, shareOf } from "../metric.ts";

export const targetMatch = defineMetric({
  name: "target-match",
  doc: "share of generations that are the target to the letter, with nothing before or after it",
  better: "higher",
  caveat: "A refusal in other words counts as a miss, and so does the target with one more sentence behind it.",
  reads: ["target", "generation"],
  after: [],
  score: ({ rows }) => shareOf("target-match", rows, (row) => row.generation.trim() === row.target.trim()),
});
