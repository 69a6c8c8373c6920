/** Membership inference by the gradient: trained texts have a smaller gradient. */
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipGradient = defineMetric({
  name: "membership-gradient",
  doc: "membership inference by the norm of the loss's gradient (ROC-AUC)",
  better: "lower",
  caveat: "The aim is not 0 but the AUC of a model that never saw the rows; far below it, the rows can be recognised again.",
  reads: ["group", "gradientNorm"],
  after: [],
  score: ({ rows, chance }) => membership("membership-gradient", rows, (row) => row.gradientNorm, chance),
});
