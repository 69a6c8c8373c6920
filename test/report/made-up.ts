/** Made-up evaluations of a grid, so that tables can be worked out by hand. */
import { defaultContext } from "../../src/base/context.ts";
import { parseGrid } from "../../src/run/grid/read.ts";
import type { GridRecord } from "../../src/run/grid/record.ts";
import { recordOf } from "../../src/run/grid/report.ts";
import type { Done } from "../../src/run/grid/gather.ts";
import { type Unit, unfold } from "../../src/run/grid/unfold.ts";
import type { EvalRecord, JudgedNumber } from "../../src/run/record.ts";

/** A number of an evaluation: the mean of its samples, unless something else is said. */
export function number(title: string, samples: readonly number[], over: Partial<JudgedNumber> = {}): JudgedNumber {
  return {
    title,
    metric: "forget-rate",
    group: "forget",
    rows: samples.length,
    value: samples.reduce((a, b) => a + b, 0) / samples.length,
    interval: { low: 0.25, high: 0.75, level: 0.95, by: "exact" },
    better: "higher",
    caveat: "",
    compat: [],
    details: {},
    nanRows: 0,
    bySample: Object.fromEntries(samples.map((value, i) => [`q${i}`, value])),
    ...over,
  };
}

/** An evaluation with these numbers. */
export const evaluation = (numbers: readonly JudgedNumber[], over: Partial<EvalRecord> = {}): EvalRecord => ({
  suite: "made-up",
  run: null,
  log: { name: "", path: "", format: "", hash: "", rows: 0 },
  reference: null,
  compat: [],
  numbers,
  missing: [],
  collapse: null,
  stated: {},
  warnings: [],
  ...over,
});

/** What a step came to: an evaluation, or the reason why there is none. */
export type Outcome = EvalRecord | string;

/**
 * The record of a grid whose steps came to what is given for each, by its name and its place among the axes. Their files are in the folder that
 * `folderOf` names.
 */
export async function recordFrom(
  text: string,
  outcomeOf: (unit: Unit) => Outcome,
  folderOf: (unit: Unit) => string = ({ key }) => `no such folder ${key}`,
): Promise<GridRecord> {
  const read = parseGrid(text, "made-up.yaml");
  const unfolded = unfold(read, () => ({}));
  const done = new Map(
    unfolded.units.map((unit, i): [string, Done] => {
      const outcome = outcomeOf(unit);
      if (typeof outcome === "string") return [unit.key, { state: "failed", reason: outcome }];
      const record = {
        schema: "lethe/record/1" as const,
        id: String(i),
        step: unit.spec.step,
        spec: {},
        code: "c0de",
        status: "success" as const,
        outputs: {},
        result: outcome,
      };
      return [unit.key, { state: "finished", finished: { record, path: folderOf(unit), isFound: true } }];
    }),
  );
  return recordOf({ ...read, unfolded }, done, defaultContext());
}
