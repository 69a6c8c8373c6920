/** Membership inference by the loss minus a comparison run's loss. */
import { fail } from "../../base/fail.ts";
import { membership } from "../membership.ts";
import { defineMetric } from "../metric.ts";

export const membershipReference = defineMetric({
  name: "membership-reference",
  doc: "probability that the loss per token minus the comparison run's is higher for an unseen answer than for one to forget (ROC-AUC)",
  paper: "Carlini et al. 2021 (arXiv:2012.07805)",
  better: "lower",
  caveat: "It depends on the comparison run as much as on the model; compare only values with the same comparison run.",
  reads: ["group", "answerLoss"],
  compares: true,
  after: [],
  score: ({ rows, reference, chance }) => {
    const theirs = new Map(reference.map((row) => [row.id, row.answerLoss]));
    const gap = ({ id, answerLoss }: { id: string; answerLoss: number }): number =>
      answerLoss -
      (theirs.get(id) ??
        fail("membership-reference", `the comparison run has no row "${id}"`, "the same rows", "Judge it over the same suite."));
    return membership("membership-reference", rows, gap, chance);
  },
});
