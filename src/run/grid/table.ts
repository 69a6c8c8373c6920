/** Makes the tables of a grid: one cell for each row and column, from the runs of the row. */
import { groupsBy } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import { type Layers, questionsIn } from "../../eval/layers.ts";
import { secondsOf, timingsIn } from "../folder.ts";
import type { EvalRecord, JudgedNumber } from "../record.ts";
import type { Finished } from "../run.ts";
import { cellWith, NOTHING, textCell } from "./cell.ts";
import { type AllDone, gather, type Gathered } from "./gather.ts";
import { collapsedOf, intervalOf, layersOf, numbersIn, onlyAmong } from "./numbers.ts";
import type { Collapsed, TableCell, TableColumn } from "./record.ts";
import type { Column, Table } from "./report-schema.ts";
import { saidCell } from "./said.ts";
import { shareCell } from "./shares.ts";
import type { Point, PointRow } from "./unfold.ts";

/** A cell while a table is made: with its values by question, if the number is their mean. */
export interface Measured {
  readonly cell: TableCell;
  readonly layers?: Layers;
  /** The number as some evaluation has it. */
  readonly number?: JudgedNumber;
}

/** A row while a table is made. */
export interface MeasuredRow {
  readonly at: PointRow["at"];
  readonly points: readonly Point[];
  readonly cells: readonly Measured[];
  readonly isBase?: true;
  readonly collapsed?: Collapsed;
}

/** The rows of a table, with a row for each untouched model before the first row that was made of it. */
export function rowsOf(table: Table, rows: readonly PointRow[], done: AllDone): MeasuredRow[] {
  const measured = rows.map(({ at, points }) => measuredRow(table.columns, at, points, done));
  const { base } = table;
  if (base === undefined) return measured;
  if (typeof base === "object") {
    const isBase = ({ at }: MeasuredRow): boolean =>
      Object.entries(base).every(([name, value]) => canonical(at[name]) === canonical(value));
    return measured.map((row) => (isBase(row) ? { ...row, isBase: true } : row));
  }
  const isOfBase = ofTheBase(table, rows);
  const groups = groupsBy(measured, (row) => baseKey(table, row));
  groups.delete(undefined);
  const before = new Map([...groups.values()].map((group) => [group[0]!, baseRow({ ...table, base }, group, done, isOfBase)]));
  return measured.flatMap((row) => (before.has(row) ? [before.get(row)!, row] : [row]));
}

/** The untouched model that a row belongs to; undefined if it has none. Its own row has the same key. */
export function baseKey({ base }: Table, { at, points }: Pick<MeasuredRow, "at" | "points">): string | undefined {
  if (typeof base === "object") return canonical(Object.entries(at).filter(([name]) => !Object.hasOwn(base, name)));
  const keys = base === undefined ? [] : points.flatMap(({ units }) => units[base] ?? []);
  return keys.length === 0 ? undefined : [...new Set(keys)].join("\n");
}

/** Whether a row was added for the untouched model. Other rows are points of the grid. */
export const isAdded = ({ at, isBase }: Pick<MeasuredRow, "at" | "isBase">): boolean => isBase === true && Object.keys(at).length === 0;

function measuredRow(columns: readonly Column[], at: PointRow["at"], points: readonly Point[], done: AllDone): MeasuredRow {
  const evaluations = [...new Set(columns.flatMap(({ of }) => of ?? []))].flatMap((step) => gather(step, points, done).runs);
  const collapsed = collapsedOf([...new Map(evaluations.map(({ path, record }) => [path, record.result as EvalRecord])).values()]);
  return { at, points, cells: columns.map((column) => measuredCell(column, points, done)), ...(collapsed && { collapsed }) };
}

/** What the text columns of the untouched model's row say. */
const UNTOUCHED = "untouched model";

/** Text columns that say the same in all rows of one untouched model, such as its name. If all do, none counts. */
function ofTheBase(table: Table, rows: readonly PointRow[]): (title: string) => boolean {
  const groups = groupsBy(rows, (row) => baseKey(table, row));
  groups.delete(undefined);
  const texts = table.columns.filter(({ text }) => text !== undefined).map(({ title }) => title);
  const same = texts.filter((title) =>
    [...groups.values()].every((group) => new Set(group.flatMap(({ points }) => points.map((point) => point.texts[title]))).size === 1),
  );
  return (title) => same.length < texts.length && same.includes(title);
}

/** The row of an untouched model: its numbers over the questions that the rows of the group were asked. */
function baseRow(
  { columns, base }: Table & { readonly base: string },
  group: readonly MeasuredRow[],
  done: AllDone,
  isOfBase: (title: string) => boolean,
): MeasuredRow {
  const points = group.flatMap((row) => row.points);
  const first = columns.findIndex(({ title, text }) => text !== undefined && !isOfBase(title));
  const cells = columns.map((column, i): Measured => {
    if (column.text !== undefined)
      return { cell: textCell(i === first ? UNTOUCHED : isOfBase(column.title) ? points[0]!.texts[column.title]! : "-") };
    if (column.number === undefined) return { cell: NOTHING };
    const { before: _, ...rest } = column;
    const among = new Set(group.flatMap(({ cells: own }) => (own[i]!.layers ? questionsIn(own[i]!.layers) : [])));
    return numberCell({ ...rest, of: base }, points, done, among.size > 0 ? among : undefined);
  });
  return { at: {}, points, cells, isBase: true };
}

/** The form of a column; `number` is the number that it holds, as some evaluation has it. */
export function shapeOf(
  { title, text, sample, number, bytes, rows, proof, recovered, as = "number", decimals }: Column,
  found?: JudgedNumber,
): TableColumn {
  const isText = text !== undefined || sample !== undefined;
  const kind = bytes !== undefined && as === "number" ? "KiB" : as;
  const isNumber = number !== undefined || proof !== undefined || recovered !== undefined;
  const usual =
    isNumber && kind !== "count" ? (as === "percent" ? 1 : 2) : rows !== undefined || kind === "KiB" || kind === "count" ? 0 : 1;
  return {
    title,
    isText,
    ...(sample !== undefined && { isQuote: true as const }),
    average: as === "count" || rows !== undefined ? "sum" : isNumber ? "mean" : "median",
    as: kind,
    decimals: decimals ?? usual,
    ...(found && { better: found.better, metric: found.metric }),
  };
}

function measuredCell(column: Column, points: readonly Point[], done: AllDone): Measured {
  if (column.text !== undefined) return { cell: textCell(points[0]!.texts[column.title]!) };
  if (column.sample !== undefined) return { cell: saidCell(column, points, done) };
  if (column.number !== undefined) return numberCell(column, points, done);
  if (column.rows !== undefined) return { cell: withRows(gather(column.rows, points, done)) };
  const share = column.proof ?? column.recovered;
  if (share !== undefined) return { cell: shareCell(column, gather(share, points, done)) };
  if (column.bytes !== undefined) return { cell: cellWith(gather(column.bytes, points, done), sizes(column, points, done)) };
  return { cell: cellWith(gather(column.seconds!, points, done), durations(column, points, done)) };
}

function numberCell(
  { number, of, before, facts, as }: Column,
  points: readonly Point[],
  done: AllDone,
  among?: ReadonlySet<string>,
): Measured {
  const after = gather(of!, points, done);
  const { found, lacks } = among ? onlyAmong(numbersIn(after, number!), among, facts) : numbersIn(after, number!);
  const layers = layersOf(found, facts);
  const numbers = found.map((one) => one.number);
  const total = numbers.reduce((sum, { rows }) => sum + rows, 0);
  const isCount = as === "count";
  const interval = intervalOf(found, layers, facts);
  const values = numbers.map(({ value, rows }) => (isCount ? value * rows : value));
  const earlier = before === undefined || isCount ? [] : numbersIn(gather(before, points, done), number!).found;
  return {
    cell: {
      ...cellWith(after, values),
      before: earlier.map((one) => one.number.value),
      lacks,
      interval: interval && isCount ? { ...interval, low: interval.low * total, high: interval.high * total } : interval,
      questions: layers ? questionsIn(layers).length : Math.max(0, ...numbers.map(({ rows }) => rows)),
      seeds: new Set(found.map(({ seed }) => seed)).size,
      ...(isCount && { of: total }),
    },
    ...(layers && { layers }),
    ...(numbers[0] && { number: numbers[0] }),
  };
}

/** The rows of every run. */
const withRows = (of: Gathered): TableCell =>
  cellWith(
    of,
    of.runs.map((one) => resultOf(one, "rows")),
  );

function resultOf({ record }: Finished, name: "rows" | "bytes"): number {
  const value = isRecord(record.result) ? record.result[name] : undefined;
  return typeof value === "number"
    ? value
    : fail("grid", `the step ${record.step} tells no ${name}`, "a step that does", "Name another in the table.");
}

const secondsIn = ({ path }: Finished): number => secondsOf(timingsIn(path));

/**
 * Seconds of each run, divided by the number of its requests if the column says so; or the extra seconds of the first run over the median
 * of the others.
 */
function durations({ seconds, per, first }: Column, points: readonly Point[], done: AllDone): number[] {
  const all = eachOnce(seconds!, points, done).flatMap(({ finished, units }) => sharedOut(secondsIn(finished), per, units, done));
  if (!first) return all;
  if (all.length < 3) return [];
  const rest = all.slice(1).sort((a, b) => a - b);
  return [Math.max(0, all[0]! - rest[Math.floor(rest.length / 2)]!)];
}

/** Bytes of each run's result, divided by the number of its requests if the column says so. */
const sizes = ({ bytes, per }: Column, points: readonly Point[], done: AllDone): number[] =>
  eachOnce(bytes!, points, done).flatMap(({ finished, units }) => sharedOut(resultOf(finished, "bytes"), per, units, done));

/** The finished runs of a step, each once, with the steps of the first point that has it. */
function eachOnce(
  step: string,
  points: readonly Point[],
  done: AllDone,
): { readonly finished: Finished; readonly units: Point["units"] }[] {
  const seen = new Set<string>();
  return points.flatMap(({ units }) => {
    const key = units[step];
    const finished = key === undefined ? undefined : done.get(key)!.finished;
    return !finished || seen.size === seen.add(key!).size ? [] : [{ finished, units }];
  });
}

/** An amount divided by the rows of a step; as it is without a step, and none where the step has not ended. */
function sharedOut(amount: number, per: string | undefined, units: Point["units"], done: AllDone): number[] {
  if (per === undefined) return [amount];
  const divisor = units[per] === undefined ? undefined : done.get(units[per])!.finished;
  return divisor ? [amount / resultOf(divisor, "rows")] : [];
}
