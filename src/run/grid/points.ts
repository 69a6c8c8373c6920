/** The points of a grid: one for each combination of its axes. */
import { fail } from "../../base/fail.ts";
import { isRecord } from "../../base/store.ts";
import { Here, type Origins, type Path, textOf, type Values } from "./here.ts";
import type { Place } from "./place.ts";
import type { GridFile, Json } from "./schema.ts";

/** One combination of the axes: variables, where each stands in the file, and a word for each axis. */
export interface Combination {
  readonly values: Values;
  readonly origins: Origins;
  readonly words: readonly string[];
}

/** Combinations of a grid, at most: each becomes steps that are run. */
const MOST = 100_000;

/** The combinations of the axes, the first axis slowest. */
export function pointsOf(grid: GridFile, placeOf: Place): Combination[] {
  let points: Combination[] = [{ values: {}, origins: {}, words: [] }];
  const vars = new Here(grid.vars, { ...grid, steps: {} }, placeOf, () => ({}));
  for (const [axis, entries] of Object.entries(grid.axes)) {
    const more = listOf(entries, vars, ["axes", axis]).flatMap((entry, i): Combination[] =>
      isRecord(entry)
        ? membersOf(axis, entry as Values, vars, ["axes", axis, i])
        : [{ values: { [axis]: entry }, origins: { [axis]: ["axes", axis, i] }, words: [textOf(entry)] }],
    );
    if (more.length === 0)
      fail(placeOf(["axes", axis]), `axes.${axis} has no value`, "at least one", "Without one there is nothing to run.");
    if (points.length * more.length > MOST)
      fail(placeOf(["axes", axis]), `${points.length * more.length} combinations`, `at most ${MOST}`, "Divide the grid.");
    points = points.flatMap(({ values, origins, words }) =>
      more.map((one) => ({
        values: { ...values, ...one.values },
        origins: { ...origins, ...one.origins },
        words: [...words, ...one.words],
      })),
    );
  }
  return points;
}

/** An axis entry that is a table of variables: one combination for each value of the ranges in it. Its label is the value of the axis. */
function membersOf(axis: string, entry: Values, vars: Here, path: Path): Combination[] {
  let made: { values: Values; word: string }[] = [{ values: {}, word: textOf(vars.filled(entry[axis] ?? null, path)) }];
  for (const [name, value] of Object.entries(entry)) {
    if (!(isRecord(value) && "range" in value)) {
      made = made.map((one) => ({ ...one, values: { ...one.values, [name]: value } }));
      continue;
    }
    const numbers = listOf(value as never, vars, [...path, name]);
    if (made.length * numbers.length > MOST)
      fail(vars.placeOf([...path, name]), `${made.length * numbers.length} combinations`, `at most ${MOST}`, "Divide the grid.");
    made = made.flatMap(({ values, word }) =>
      numbers.map((n) => ({ values: { ...values, [name]: n }, word: `${word}, ${name} ${String(n)}` })),
    );
  }
  const origins = Object.fromEntries(Object.keys(entry).map((name): [string, Path] => [name, [...path, name]]));
  return made.map(({ values, word }) => ({ values, origins, words: [word] }));
}

/** A list as it is or as a variable holds it, or the numbers of a range. */
function listOf(entries: GridFile["axes"][string], vars: Here, path: Path): Json[] {
  if (Array.isArray(entries)) return entries;
  if (typeof entries === "string") {
    const list = vars.asWritten(entries, path);
    return Array.isArray(list) ? list : fail(vars.placeOf(path), `${entries} is ${JSON.stringify(list)}`, "a list", "");
  }
  const { range, below } = entries;
  const whole = (value: Json): number => {
    const n = vars.filled(value, path);
    return Number.isSafeInteger(n) && (n as number) >= 0
      ? (n as number)
      : fail(vars.placeOf(path), `a range of ${JSON.stringify(n)}`, "whole numbers", "");
  };
  const [from, to] = Array.isArray(range) ? [whole(range[0]!), whole(range[1]!)] : [0, whole(range)];
  const end = below === undefined ? to : Math.min(to, whole(below));
  if (end - from > MOST) fail(vars.placeOf(path), `a range of ${end - from} numbers`, `at most ${MOST}`, "Divide the grid.");
  return Array.from({ length: Math.max(0, end - from) }, (_, i) => from + i);
}
