/** Tests the rows of a table: each against the best row and against the untouched model, and the orders that a paper published. */
import { mean } from "../../base/array.ts";
import type { Breathe } from "../../base/context.ts";
import { canonical } from "../../base/hash.ts";
import { rng, type Rng } from "../../base/rng.ts";
import { layeredDifference, type LayeredPair } from "../../eval/layers.ts";
import { holm } from "../../eval/stats.ts";
import type { PairedTest, TableCell, Verdict } from "./record.ts";
import type { Table } from "./report-schema.ts";
import { baseKey, isAdded, type Measured, type MeasuredRow } from "./table.ts";

/** The tests of a cell. */
type Tests = Pick<TableCell, "best" | "base">;

/** One test of a column: whose it is, and against what. */
interface Test {
  readonly row: number;
  readonly against: keyof Tests;
  readonly pair: LayeredPair;
}

const streamOf = ({ number }: Measured, kind: string): Rng => rng(`table/${kind}/${number!.metric}/${number!.group ?? ""}`);

/**
 * The tests of a column by row. Each row is compared with the best one, and with the row of its untouched model; questions are paired by their
 * ids, and Holm's correction counts all of these tests. A column without a better side has no best row.
 */
export async function testsOf(table: Table, rows: readonly MeasuredRow[], column: number, breathe: Breathe): Promise<Map<number, Tests>> {
  const at = (row: number): Measured => rows[row]!.cells[column]!;
  const best = bestOf(rows, column);
  const bases = new Map(rows.flatMap((row, i) => (row.isBase ? [[baseKey(table, row), i] as const] : [])));
  const found: Test[] = [];
  for (const [i, row] of rows.entries()) {
    if (!at(i).layers || row.isBase) continue;
    const others = [
      ["best", best === i ? undefined : best],
      ["base", bases.get(baseKey(table, row))],
    ] as const;
    for (const [against, other] of others) {
      await breathe();
      const pair = other === undefined ? undefined : differenceOf(at(i), at(other), against);
      if (pair) found.push({ row: i, against, pair });
    }
  }
  const corrected = holm(found.map(({ pair }) => pair.p));
  const tests = new Map<number, Tests>(best === undefined ? [] : [[best, { best: "best" }]]);
  for (const [i, { row, against, pair }] of found.entries()) {
    const { difference, interval, questions } = pair;
    const test: PairedTest = { difference, interval, p: corrected[i]!, questions };
    tests.set(row, { ...tests.get(row), [against]: test });
  }
  return tests;
}

const differenceOf = (a: Measured, b: Measured, kind: string): LayeredPair | undefined =>
  a.layers && b.layers ? layeredDifference(a.layers, b.layers, streamOf(a, kind)) : undefined;

/** The mean of a cell's runs. */
const valueOf = ({ cell }: Measured): number => mean(cell.values);

/** The row with the best value: neither the untouched model nor one that has collapsed. Undefined if nothing says what is better. */
function bestOf(rows: readonly MeasuredRow[], column: number): number | undefined {
  let best: number | undefined;
  for (const [i, { cells, isBase, collapsed }] of rows.entries()) {
    const { number } = cells[column]!;
    const value = valueOf(cells[column]!);
    if (isBase || collapsed || !number || number.better === "reference" || Number.isNaN(value)) continue;
    const sign = number.better === "higher" ? 1 : -1;
    if (best === undefined || sign * (value - valueOf(rows[best]!.cells[column]!)) > 0) best = i;
  }
  return best;
}

/** Whether the runs have the published orders: a verdict for each pair of rows that differ as the order says. */
export function verdictsOf(table: Table, rows: readonly MeasuredRow[], nameOf: (row: MeasuredRow) => string): Verdict[] {
  return table.orders.flatMap(({ column: title, a, b, is, shows, protocol }): Verdict[] => {
    const about = { column: title, protocol, ...(shows !== undefined && { shows }) };
    const column = table.columns.findIndex((one) => one.title === title);
    const said = new Set([...Object.keys(a), ...Object.keys(b)]);
    const has = (row: MeasuredRow, wanted: object): boolean =>
      !isAdded(row) && Object.entries(wanted).every(([name, value]) => canonical(row.at[name]) === canonical(value));
    const isLike = (one: MeasuredRow, other: MeasuredRow): boolean =>
      Object.keys(one.at).every((name) => said.has(name) || canonical(one.at[name]) === canonical(other.at[name]));
    const pairs = rows
      .filter((row) => has(row, a))
      .flatMap((row) => rows.filter((other) => has(other, b) && isLike(row, other)).map((other) => [row, other] as const));
    if (pairs.length === 0)
      return [{ ...about, a: wordsOf(a), b: wordsOf(b), verdict: "cannot tell", reason: "the table has no such two rows" }];
    return pairs.map(([row, other]) => ({
      ...about,
      a: nameOf(row),
      b: nameOf(other),
      ...verdictOf(row.cells[column]!, other.cells[column]!, is),
    }));
  });
}

const wordsOf = (variables: object): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(", ");

/**
 * The bounds of the difference of two numbers that are no means of questions, and so cannot be paired: those of their intervals. It is wider
 * than the interval of a paired difference.
 */
const apart = ({ interval: a }: TableCell, { interval: b }: TableCell): { readonly low: number; readonly high: number } | undefined =>
  a && b ? { low: a.low - b.high, high: a.high - b.low } : undefined;

/** What a comparison of two cells says. */
type Told = Pick<Verdict, "verdict" | "reason" | "is" | "theirs" | "ours" | "difference" | "interval">;

/**
 * Agreement: the interval of our difference is on the side of the published one. Contradiction: it is on the other side. `is` tells the side
 * where the paper has no figures of both.
 */
function verdictOf(a: Measured, b: Measured, is: Verdict["is"]): Told {
  const both = [a, b].map(({ cell: { published } }) => published);
  const [x, y] = both.map((of) => (of?.to === undefined ? (of?.corrected ?? of?.value ?? undefined) : undefined));
  const theirs = x === undefined || y === undefined ? undefined : ([x, y] as const);
  const ours = a.cell.values.length > 0 && b.cell.values.length > 0 ? ([valueOf(a), valueOf(b)] as const) : undefined;
  const pair = differenceOf(a, b, "order");
  const known = {
    ...(theirs ? { theirs } : is !== undefined && { is }),
    ...(ours && { ours }),
    ...(pair && { difference: pair.difference, interval: pair.interval }),
  };
  const unsure = (reason?: string): Told => ({
    ...known,
    verdict: "cannot tell",
    ...(reason !== undefined && { reason }),
  });
  if (!theirs && is === undefined)
    return unsure(both.every(Boolean) ? "the paper has no single number for one of them" : "the paper has no figure of both");
  if (theirs && theirs[0] === theirs[1]) return unsure("the paper's figures are equal");
  if (!ours) return unsure("our runs have no number of both");
  const interval = pair ? pair.interval : apart(a.cell, b.cell);
  if (!interval) return unsure(pair ? "the difference has no interval" : "the number is no mean of questions, and has no interval");
  const sign = (theirs ? theirs[0] > theirs[1] : is === "higher") ? 1 : -1;
  const [nearest, farthest] = sign > 0 ? [interval.low, interval.high] : [-interval.high, -interval.low];
  if (nearest > 0) return { ...known, verdict: "agreement" };
  if (farthest < 0) return { ...known, verdict: "contradiction" };
  return unsure(pair ? undefined : "the number is no mean of questions, and the intervals of both rows overlap");
}
