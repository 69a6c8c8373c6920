/** Exact memorisation: the share of the answer's tokens that the model would choose itself. */
import { fail } from "../../base/fail.ts";
import { averaged, defineMetric } from "../metric.ts";
import { shareOfFirsts } from "../ranks.ts";

export const exactMemorisation = defineMetric({
  name: "exact-memorisation",
  doc: "share of the answer's tokens that are the most likely at their position, teacher forced",
  paper: "Tirumala et al. 2022 (arXiv:2205.10770)",
  better: "lower",
  caveat: "Words that follow from the question or from grammar count as memorised.",
  reads: ["answerRanks"],
  after: [],
  score: ({ rows, chance }) =>
    averaged(
      "exact-memorisation",
      rows,
      ({ id, answerRanks }) => {
        if (answerRanks.length === 0) fail("exact-memorisation", `sample "${id}" has no ranked token`, "at least one", "Leave it out.");
        return shareOfFirsts(answerRanks);
      },
      chance,
    ),
});
