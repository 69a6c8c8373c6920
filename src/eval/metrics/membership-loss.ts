/** Membership inference by loss: what was learnt costs less. */
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipLoss = defineMetric({
  name: "membership-loss",
  doc: "chance that an unseen answer costs more a token than one to forget (ROC-AUC)",
  paper: "Yeom et al. 2018 (arXiv:1709.01604)",
  better: "lower",
  caveat: "The aim is not 0 but the area of a model that never saw the rows: far below it, they stand out again.",
  reads: ["group", "answerLoss"],
  after: [],
  score: ({ rows, chance }) => membership("membership-loss", rows, (row) => row.answerLoss, chance),
});
