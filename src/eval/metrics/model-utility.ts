/** Model utility: one number for what a model still knows of the rows to retain. */
import { defineMetric, type Score } from "../metric.ts";
import { bootstrap, drawnMean, harmonicMean } from "../stats.ts";

/** The metrics of each group. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  retain: ["rougel", "probability", "truth-ratio"],
  authors: ["rougel", "normalised-probability", "truth-ratio"],
  facts: ["rougel", "normalised-probability", "truth-ratio"],
};
const NAMES = Object.entries(PARTS).map(([group, metrics]) => metrics.map((metric) => `${metric}@${group}`));

export const modelUtility = defineMetric({
  name: "model-utility",
  doc: "harmonic mean of nine numbers: ROUGE-L, probability and truth ratio of retain rows, real authors and world facts",
  paper: "Maini et al. 2024 (arXiv:2401.06121)",
  better: "higher",
  caveat: "It is a harmonic mean: a single 0 among the nine numbers makes it 0.",
  reads: [],
  after: NAMES.flat(),
  score: ({ scores, chance }) => {
    const groups = NAMES.map((names) => names.map((name) => scores[name]!));
    return {
      value: harmonicMean(groups.flat().map((score) => score.value)),
      bySample: {},
      interval: bootstrap(groups.map(sizeOf), resampledUtility(groups), chance),
    };
  },
});

const sizeOf = ([first]: readonly Score[]): number => Object.keys(first!.bySample).length;

/** The utility of resampled rows; the three numbers of a group use the same rows. */
function resampledUtility(groups: readonly (readonly Score[])[]): (draws: readonly Uint32Array[]) => number {
  const values = groups.map((scores) => scores.map((score) => Object.values(score.bySample)));
  return (draws) => harmonicMean(values.flatMap((own, group) => own.map((of) => drawnMean(of, draws[group]!))));
}
