/** Membership inference by the loss divided by the compressed size of the text. */
import { deflateSync } from "node:zlib";
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipZlib = defineMetric({
  name: "membership-zlib",
  doc: "membership inference by the loss per token divided by the compressed bytes of the answer (ROC-AUC)",
  paper: "Carlini et al. 2021 (arXiv:2012.07805)",
  better: "lower",
  caveat: "The aim is not 0 but the AUC of a model that never saw the rows; far below it, the rows can be recognised again.",
  reads: ["group", "answer", "answerLoss"],
  after: [],
  score: ({ rows, chance }) => membership("membership-zlib", rows, (row) => row.answerLoss / deflateSync(row.answer).length, chance),
});
