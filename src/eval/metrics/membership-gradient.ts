/** Membership inference by the gradient: what was learnt pulls less at the weights. */
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipGradient = defineMetric({
  name: "membership-gradient",
  doc: "the same of the norm of the loss's gradient",
  better: "lower",
  caveat: "The aim is not 0 but the area of a model that never saw the rows: far below it, they stand out again.",
  reads: ["group", "gradientNorm"],
  after: [],
  score: ({ rows, chance }) => membership("membership-gradient", rows, (row) => row.gradientNorm, chance),
});
