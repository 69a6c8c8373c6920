/** The cells of a grid's table as text: value, interval, marks, and the published figure. Each renderer puts the parts together in its way. */
import { mean } from "../base/array.ts";
import type { PairedTest, TableCell, TableColumn, TableRecord, TableRow } from "../run/grid/record.ts";

/** The parts of a cell. */
export interface CellText {
  /** "97.4 %", "25.62 → 25.68", "0.12 (38 of 40)"; "n/a" where a run failed or is not done, "-" where there is no such number. */
  readonly value: string;
  /** "[86.5, 99.9]" */
  readonly interval?: string;
  /** The value is the best of its column, or the test finds no difference from the best value. */
  readonly isBest: boolean;
  /** It differs from the untouched model. */
  readonly isChanged: boolean;
  /** "paper 0.79", or "paper 0.79, corrected 0.81". */
  readonly published?: string;
}

/** Tests below this probability count. */
const ALPHA = 0.05;
const isBelow = (test: PairedTest | "best" | undefined): boolean => typeof test === "object" && test.p < ALPHA;

/** Every cell of a row. The state of its model is behind the first text. */
export function cellsOf(
  { columns }: Pick<TableRecord, "columns">,
  { cells, collapsed }: Pick<TableRow, "cells" | "collapsed">,
): CellText[] {
  const first = columns.findIndex(({ isText }) => isText);
  const state = collapsed && (collapsed.runs < collapsed.of ? `collapsed in ${collapsed.runs} of ${collapsed.of} runs` : "collapsed");
  return cells.map((cell, i) => {
    const text = cellText(columns[i]!, cell);
    return state !== undefined && i === first ? { ...text, value: `${text.value} (${state})` } : text;
  });
}

function cellText(column: TableColumn, cell: TableCell): CellText {
  const { best, base, interval, values, published } = cell;
  return {
    value: valueText(column, cell),
    ...(interval && values.length > 0 && { interval: `[${bare(column, interval.low)}, ${bare(column, interval.high)}]` }),
    isBest: best === "best" || (best !== undefined && !isBelow(best)),
    isChanged: isBelow(base),
    ...(published && { published: publishedText(column, published) }),
  };
}

function valueText(column: TableColumn, { text, values, before, of, wanted, absent }: TableCell): string {
  if (text !== undefined) return text;
  if (values.length === 0) return absent.length > 0 ? "n/a" : "-";
  const one = `${written(column, averaged(column, values))}${of === undefined ? "" : ` of ${of}`}`;
  const whole = before.length > 0 ? `${written(column, averaged(column, before))} → ${one}` : one;
  return absent.length > 0 ? `${whole} (${values.length} of ${wanted})` : whole;
}

function publishedText(column: TableColumn, { value, to, corrected }: NonNullable<TableCell["published"]>): string {
  const shown = [value ?? NaN, ...(to === undefined ? [] : [to])].map((end) => written(column, end)).join(" to ");
  return `paper ${shown}${corrected === undefined ? "" : `, corrected ${written(column, corrected)}`}`;
}

/** The value of a cell: the mean, the median or the sum of its runs' values. */
export function averaged({ average }: TableColumn, values: readonly number[]): number {
  if (average === "mean") return mean(values);
  if (average === "sum") return values.reduce((a, b) => a + b, 0);
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** The units of columns: a value is divided, and the unit is written behind it. */
export const UNITS: Readonly<Record<TableColumn["as"], readonly [divisor: number, unit: string]>> = {
  percent: [0.01, " %"],
  count: [1, ""],
  number: [1, ""],
  minutes: [60, ""],
  KiB: [1024, ""],
  MB: [1e6, ""],
};

/** A value without its unit. */
const bare = ({ as, decimals }: TableColumn, value: number): string =>
  Number.isNaN(value) ? "NaN" : (value / UNITS[as][0]).toFixed(decimals).replace(/^-(0(?:\.0*)?)$/, "$1");

/** A value with its unit. */
export const written = (column: TableColumn, value: number): string =>
  `${bare(column, value)}${Number.isNaN(value) ? "" : UNITS[column.as][1]}`;

/** The name of a row: its texts with commas between them. */
export const rowName = ({ columns }: Pick<TableRecord, "columns">, { cells, at }: Pick<TableRow, "cells" | "at">): string =>
  cells.flatMap(({ text }, i) => (columns[i]!.isText && !columns[i]!.isQuote && text && text !== "-" ? [text] : [])).join(", ") ||
  Object.values(at).join(", ");
