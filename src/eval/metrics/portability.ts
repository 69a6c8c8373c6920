/** Portability: whether the consequences of a changed fact have changed too. */
import { bestOf, defineMetric, shareOf } from "../metric.ts";
import { normalized } from "../words.ts";

export const portability = defineMetric({
  name: "portability",
  doc: "share of generations that contain the answer's words in sequence, at questions that follow from the edited fact",
  paper: "Yao et al. 2023 (arXiv:2305.13172)",
  better: "higher",
  caveat: "A question that the model could answer before the edit shows nothing; judge the unedited model too.",
  reads: ["answer", "generation"],
  after: [],
  score: ({ rows }) =>
    shareOf(
      "portability",
      rows,
      (row) => bestOf(row, (answer) => Number(` ${normalized(row.generation)} `.includes(` ${normalized(answer)} `))) === 1,
    ),
});
