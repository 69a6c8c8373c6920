/** Membership inference by loss beside a reference's: what is hard for everyone is no sign. */
import { fail } from "../../base/fail.ts";
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipReference = defineMetric({
  name: "membership-reference",
  doc: "chance that an unseen answer's loss a token, less the reference's, is larger than one's to forget (ROC-AUC)",
  paper: "Carlini et al. 2021 (arXiv:2012.07805)",
  better: "lower",
  caveat: "It depends on the reference as much as on the model: the same reference throughout, or nothing compares.",
  reads: ["group", "answerLoss"],
  compares: true,
  after: [],
  score: ({ rows, reference, chance }) => {
    const theirs = new Map(reference.map((row) => [row.id, row.answerLoss]));
    const gap = ({ id, answerLoss }: { id: string; answerLoss: number }): number =>
      answerLoss -
      (theirs.get(id) ??
        fail("membership-reference", `the reference has no row "${id}"`, "the same rows", "Judge it over the same suite."));
    return membership("membership-reference", rows, gap, chance);
  },
});
