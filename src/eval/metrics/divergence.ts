/** Divergence: how far the model's next-token distributions differ from the comparison run's. */
import { averaged, defineMetric } from "../metric.ts";

export const divergence = defineMetric({
  name: "divergence",
  doc: "mean over rows of the Kullback-Leibler divergence from the comparison run to the model, in nats per position of the answer",
  better: "lower",
  caveat: "It counts every change, even one to a synonym, and it does not measure what the model writes by itself.",
  reads: ["divergence"],
  after: [],
  score: ({ rows, chance }) => averaged("divergence", rows, (row) => row.divergence, chance),
});
