/** Membership inference by loss: trained texts have a lower loss. */
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipLoss = defineMetric({
  name: "membership-loss",
  doc: "probability that an unseen answer has a higher loss per token than an answer to forget (ROC-AUC)",
  paper: "Yeom et al. 2018 (arXiv:1709.01604)",
  better: "lower",
  caveat: "The aim is not 0 but the AUC of a model that never saw the rows; far below it, the rows can be recognised again.",
  reads: ["group", "answerLoss"],
  after: [],
  score: ({ rows, chance }) => membership("membership-loss", rows, (row) => row.answerLoss, chance),
});
