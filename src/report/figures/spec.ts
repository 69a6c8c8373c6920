/** What every figure shares: the parts of a Vega-Lite spec, its colours, and the rows of a table as data. */
import type { FigureRecord, GridRecord, TableColumn, TableRecord } from "../../run/grid/record.ts";
import { averaged, rowName, UNITS } from "../cells.ts";
import { DASHES, FONTS, SERIES, SHADES, SHAPES } from "../theme.ts";

/** A Vega-Lite spec, or a part of one. */
export type Spec = Readonly<Record<string, unknown>>;

/** A whole spec: it holds its data, so that another program can draw it again. */
export const whole = (title: string, body: Spec): Spec => ({
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  description: title,
  background: SHADES.page.light,
  padding: 8,
  ...body,
  config: CONFIG,
});

const [INK, SOFT, LINE] = [SHADES.ink.light, SHADES.soft.light, SHADES.line.light];
const CONFIG: Spec = {
  aria: false,
  font: FONTS,
  axis: {
    labelColor: INK,
    titleColor: INK,
    gridColor: LINE,
    domainColor: SOFT,
    tickColor: SOFT,
    labelFontSize: 11,
    titleFontSize: 12,
    titleFontWeight: "normal",
    labelLimit: 260,
  },
  legend: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 11,
    labelLimit: 260,
    symbolStrokeWidth: 2,
    symbolOpacity: 1,
    columnPadding: 24,
  },
  title: { color: INK, fontSize: 12, fontWeight: "bold", anchor: "start" },
  text: { color: INK },
  view: { stroke: null },
};

/** Colours of a figure's parts that are no series. */
export const COLOURS = { ink: INK, soft: SOFT, line: LINE, only: SERIES[0]!.light };

/** A value of a table's row, with its interval, in the unit that the figure shows. */
export interface Shown {
  readonly row: string;
  readonly isBase: boolean;
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** The rows that have a number in a column. Rows of the same name get a number. */
export function shownIn(table: TableRecord, title: string): Shown[] {
  const i = table.columns.findIndex((column) => column.title === title);
  const column = table.columns[i]!;
  const [divisor] = UNITS[column.as];
  const names = namesOf(table);
  return table.rows.flatMap((row, at): Shown[] => {
    const { values, interval } = row.cells[i]!;
    const value = values.length > 0 ? averaged(column, values) : NaN;
    if (!Number.isFinite(value)) return [];
    const band = interval && { low: interval.low / divisor, high: interval.high / divisor };
    return [{ row: names[at]!, isBase: row.isBase === true, value: value / divisor, ...band }];
  });
}

/** The name of each row. A name that comes again has its number behind it. */
function namesOf(table: TableRecord): string[] {
  const seen = new Map<string, number>();
  return table.rows.map((row) => {
    const name = `${rowName(table, row)}${row.collapsed ? " (collapsed)" : ""}`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name} (${count})`;
  });
}

/** The title of an axis: that of the column, and its unit. */
export function axisTitle({ columns }: TableRecord, title: string): string {
  const { as, better } = columns.find((column) => column.title === title)!;
  const unit = as === "minutes" ? "min" : UNITS[as][1].trim() || (as === "KiB" || as === "MB" ? as : "");
  const wish = better === "higher" || better === "lower" ? `, ${better} is better` : "";
  return unit || wish ? `${title} (${[unit, wish.slice(2)].filter(Boolean).join(", ")})` : title;
}

/** The table of a figure, with the rows that are drawn. */
export function tableOf({ tables }: GridRecord, { table, rows }: FigureRecord): TableRecord {
  const whole = tables.find(({ name }) => name === table)!;
  return rows ? { ...whole, rows: rows.map((at) => whole.rows[at]!) } : whole;
}

/** Colour and shape of each series, in the order of the names; one legend for both. */
export function seriesOf(names: readonly string[]): { readonly color: Spec; readonly shape: Spec; readonly strokeDash: Spec } {
  const cycled = <T>(values: readonly T[]): T[] => names.map((_, i) => values[i % values.length]!);
  const legend = { title: null, orient: "bottom", columns: names.length > 4 ? 2 : 1, symbolLimit: 0 };
  const of = (range: readonly unknown[]): Spec => ({ field: "row", type: "nominal", sort: null, scale: { domain: names, range }, legend });
  return { color: of(cycled(SERIES.map(({ light }) => light))), shape: of(cycled(SHAPES)), strokeDash: of(cycled(DASHES)) };
}

/** An axis that need not begin at zero. */
export const loose = (field: string, title: string): Spec => ({ field, type: "quantitative", title, scale: { zero: false, nice: true } });

/** Whether shares fill the whole axis: values from 0 to 1, or to 100 per cent. */
export const domainOf = ({ as, better }: TableColumn, values: readonly number[]): readonly [number, number] | undefined => {
  const most = as === "percent" ? 100 : as === "number" && better !== undefined ? 1 : undefined;
  return most !== undefined && values.every((value) => value >= 0 && value <= most) ? [0, most] : undefined;
};
