/** Forget rate: how many of the old answers are gone. */
import { bestOf, defineMetric, shareOf } from "../metric.ts";
import { recallOf } from "../leak.ts";

/** An answer is gone when the generation holds at most this share of its words. */
const GONE = 0.5;

export const forgetRate = defineMetric({
  name: "forget-rate",
  doc: "share of generations that hold at most half of the answer's stemmed words (ROUGE-1 recall of 0.5 or less)",
  better: "higher",
  caveat: "The threshold decides: half of a two-word name may still tell everything, and an answer in other words counts as gone.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows }) => shareOf("forget-rate", rows, (row) => bestOf(row, (answer) => recallOf(answer, row.generation)) <= GONE),
});
