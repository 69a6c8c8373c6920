/** Membership inference by loss for what the text weighs when compressed. */
import { deflateSync } from "node:zlib";
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipZlib = defineMetric({
  name: "membership-zlib",
  doc: "the same of the loss a token over the bytes of the answer, compressed",
  paper: "Carlini et al. 2021 (arXiv:2012.07805)",
  better: "lower",
  caveat: "The aim is not 0 but the area of a model that never saw the rows: far below it, they stand out again.",
  reads: ["group", "answer", "answerLoss"],
  after: [],
  score: ({ rows, chance }) => membership("membership-zlib", rows, (row) => row.answerLoss / deflateSync(row.answer).length, chance),
});
