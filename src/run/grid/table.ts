/** Makes the table of a grid as plain values: one cell for each row and column, from the runs of the row. */
import { fail, nearest } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import { timingsIn } from "../folder.ts";
import type { EvalRecord, GridRecord, TableCell, TableColumn } from "../record.ts";
import type { Finished } from "../run.ts";
import type { ReadGrid } from "./read.ts";
import type { Column } from "./schema.ts";
import type { Point, Unfolded } from "./unfold.ts";

/** The state of a step. */
export interface Done {
  readonly state: "finished" | "failed" | "begun" | "open";
  readonly finished?: Finished;
  /** Why there is no result. */
  readonly reason?: string;
}

/** Every row and column, from the finished steps. Refuses a title that no evaluation has. */
export function tableOf({ grid, unfolded }: ReadGrid & { readonly unfolded: Unfolded }, done: ReadonlyMap<string, Done>): GridRecord {
  const columns = grid.table?.columns ?? [];
  const all = unfolded.units.map((unit) => ({ unit, ...done.get(unit.key)! }));
  const finished = all.flatMap((one) => one.finished ?? []);
  return {
    name: grid.name,
    columns: columns.map(shapeOf),
    rows: unfolded.rows.map(({ at, points }) => ({ at, cells: columns.map((column) => cellOf(column, points, done)) })),
    steps: { total: all.length, finished: finished.length },
    failed: all.flatMap(({ unit, state, reason }) => (state === "failed" ? [{ step: unit.name, at: unit.at, reason: reason! }] : [])),
    machines: unlike(finished.flatMap(({ path }) => timingsIn(path)?.machine ?? [])),
    code: codesOf(finished),
  };
}

function shapeOf({ title, text, number, bytes, rows, as = "number", decimals }: Column): TableColumn {
  const isText = text !== undefined;
  const kind = bytes !== undefined && as === "number" ? "KiB" : as;
  const usual =
    number !== undefined && kind !== "count"
      ? as === "percent"
        ? 1
        : 2
      : rows !== undefined || kind === "KiB" || kind === "count"
        ? 0
        : 1;
  return {
    title,
    isText,
    average: as === "count" || rows !== undefined ? "sum" : number !== undefined ? "mean" : "median",
    as: kind,
    decimals: decimals ?? usual,
  };
}

/** Values that differ, in their order. */
const unlike = <T>(values: readonly T[]): T[] => [...new Map(values.map((value) => [canonical(value), value])).values()];

function codesOf(finished: readonly Finished[]): Record<string, string[]> {
  const codes: Record<string, Set<string>> = {};
  for (const { record } of finished) (codes[record.step] ??= new Set()).add(record.code);
  return Object.fromEntries(
    Object.entries(codes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([step, ids]) => [step, [...ids].sort()]),
  );
}

/** The results of a step's runs, each once. */
interface Gathered {
  readonly runs: readonly Finished[];
  readonly wanted: number;
  readonly absent: readonly string[];
}

function gather(step: string, points: readonly Point[], done: ReadonlyMap<string, Done>): Gathered {
  const all = [...new Set(points.flatMap(({ units }) => units[step] ?? []))].map((key) => done.get(key)!);
  return {
    runs: all.flatMap(({ finished }) => finished ?? []),
    wanted: all.length,
    absent: [...new Set(all.flatMap(({ finished, reason }) => (finished ? [] : [reason!])))],
  };
}

function cellOf(column: Column, points: readonly Point[], done: ReadonlyMap<string, Done>): TableCell {
  if (column.text !== undefined) return { text: points[0]!.texts[column.title]!, values: [], before: [], wanted: 0, absent: [] };
  if (column.number !== undefined) return numberCell(column, points, done);
  if (column.rows !== undefined) return withResults(gather(column.rows, points, done), "rows");
  if (column.bytes !== undefined) return withResults(gather(column.bytes, points, done), "bytes");
  const timed = gather(column.seconds!, points, done);
  return cell(timed, secondsOf(column, points, done));
}

function numberCell({ number, of, before, as }: Column, points: readonly Point[], done: ReadonlyMap<string, Done>): TableCell {
  const after = gather(of!, points, done);
  const numbers = numbersIn(after, number!);
  if (as === "count") {
    const counts = numbers.map(({ value, rows }) => value * rows);
    return { ...cell(after, counts), of: numbers.reduce((sum, { rows }) => sum + rows, 0) };
  }
  const earlier = before === undefined ? [] : numbersIn(gather(before, points, done), number!);
  return {
    ...cell(
      after,
      numbers.map(({ value }) => value),
    ),
    before: earlier.map(({ value }) => value),
  };
}

const cell = ({ wanted, absent }: Gathered, values: readonly number[]): TableCell => ({ values, before: [], wanted, absent });

/** A number of every run's result. */
const withResults = (of: Gathered, name: "rows" | "bytes"): TableCell =>
  cell(
    of,
    of.runs.map((one) => resultOf(one, name)),
  );

function resultOf({ record }: Finished, name: "rows" | "bytes"): number {
  const value = isRecord(record.result) ? record.result[name] : undefined;
  return typeof value === "number"
    ? value
    : fail("grid", `the step ${record.step} tells no ${name}`, "a step that does", "Name another in the table.");
}

/** A number of every evaluation that has it. An evaluation without the rows or the text has none. */
function numbersIn({ runs }: Gathered, title: string): { readonly value: number; readonly rows: number }[] {
  return runs.flatMap(({ record }) => {
    const { numbers, missing } = record.result as EvalRecord;
    const found = numbers.find((one) => one.title === title);
    if (found) return [{ value: found.value ?? NaN, rows: found.rows }]; // JSON has no NaN
    const known = [...numbers, ...missing].map((one) => one.title);
    if (known.includes(title) || title === PERPLEXITY) return [];
    const near = nearest(title, known);
    return fail("grid", `no number "${title}"`, `one of ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "");
  });
}

/** The number of an evaluation that was given a text. */
const PERPLEXITY = "Perplexity";

const secondsIn = ({ path }: Finished): number => (timingsIn(path)?.seconds ?? []).reduce((a: number, b: number) => a + b, 0);

/**
 * Seconds of each run, divided by the number of its requests if the column says so; or the extra seconds of the first run over the median
 * of the others.
 */
function secondsOf({ seconds, per, first }: Column, points: readonly Point[], done: ReadonlyMap<string, Done>): number[] {
  const seen = new Set<string>();
  const all = points.flatMap(({ units }): number[] => {
    const key = units[seconds!];
    const finished = key === undefined ? undefined : done.get(key)!.finished;
    if (!finished || seen.size === seen.add(key!).size) return [];
    const divisor = per === undefined ? undefined : done.get(units[per]!)!.finished;
    return [secondsIn(finished) / (divisor ? resultOf(divisor, "rows") : 1)];
  });
  if (!first) return all;
  if (all.length < 3) return [];
  const rest = all.slice(1).sort((a, b) => a - b);
  return [Math.max(0, all[0]! - rest[Math.floor(rest.length / 2)]!)];
}
