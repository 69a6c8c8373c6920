/** Divergence: how far the model's next-token distributions have moved from the reference's. */
import { averaged, defineMetric } from "../metric.ts";

export const divergence = defineMetric({
  name: "divergence",
  doc: "mean over rows of the Kullback-Leibler divergence of the reference from the model, in nats a position of the answer",
  better: "lower",
  caveat: "It sees every change alike, also one to words that say the same, and it says nothing of what the model goes on to write.",
  reads: ["divergence"],
  after: [],
  score: ({ rows, chance }) => averaged("divergence", rows, (row) => row.divergence, chance),
});
