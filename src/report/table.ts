/** A grid's table for a page: values as they are written, what is absent with its reason, and what the numbers were made with. */
import { mean } from "../base/array.ts";
import { hash } from "../base/hash.ts";
import type { GridRecord, TableCell, TableColumn } from "../run/record.ts";
import { markdown } from "./page.ts";

/** The table in Markdown, the reasons of what is absent, and a line on machine and code. */
export function gridTable(record: GridRecord): string {
  const rows = tableRows(record);
  const left = record.columns.findIndex(({ isText }) => !isText);
  const absent = absentIn(record);
  const steps = record.steps.finished < record.steps.total ? [`${record.steps.finished} of ${record.steps.total} steps are done.`] : [];
  return [
    markdown(rows, left < 0 ? record.columns.length : left),
    ...(absent.length > 0 ? [absent.map((line) => `- ${line}`).join("\n")] : []),
    [...steps, ...madeWith(record)].join("\n"),
  ]
    .filter(Boolean)
    .join("\n\n");
}

/** Heading and rows as text. */
export const tableRows = ({ columns, rows }: Pick<GridRecord, "columns" | "rows">): string[][] => [
  columns.map(({ title }) => title),
  ...rows.map(({ cells }) => cells.map((cell, i) => cellText(columns[i]!, cell))),
];

/** "97.4 %", "25.62 → 25.68", "0.12 (38 of 40)"; "n/a" where a run failed or is not done, "-" where there is nothing to tell. */
function cellText(column: TableColumn, { text, values, before, of, wanted, absent }: TableCell): string {
  if (text !== undefined) return text;
  if (values.length === 0) return absent.length > 0 ? "n/a" : "-";
  const one = `${written(column, averaged(column, values))}${of === undefined ? "" : ` of ${of}`}`;
  const whole = before.length > 0 ? `${written(column, averaged(column, before))} → ${one}` : one;
  return absent.length > 0 ? `${whole} (${values.length} of ${wanted})` : whole;
}

function averaged({ average }: TableColumn, values: readonly number[]): number {
  if (average === "mean") return mean(values);
  if (average === "sum") return values.reduce((a, b) => a + b, 0);
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

const UNITS: Readonly<Record<TableColumn["as"], readonly [divisor: number, unit: string]>> = {
  percent: [0.01, " %"],
  count: [1, ""],
  number: [1, ""],
  minutes: [60, ""],
  KiB: [1024, ""],
  MB: [1e6, ""],
};

const written = ({ as, decimals }: TableColumn, value: number): string =>
  Number.isNaN(value) ? "NaN" : `${(value / UNITS[as][0]).toFixed(decimals)}${UNITS[as][1]}`;

/** A line for each row with absent values: which, and why. */
function absentIn({ columns, rows }: GridRecord): string[] {
  return rows.flatMap(({ cells }) => {
    const reasons = [...new Set(cells.flatMap(({ absent }) => absent))];
    const name = cells.flatMap((cell, i) => (columns[i]!.isText && cell.text ? [cell.text] : [])).join(", ");
    return reasons.map((reason) => `${name}: n/a, because ${reason.replace(/\.$/, "")}.`);
  });
}

/** Processor, threads and Node, and the code of each kind of step. */
export function madeWith({ machines, code }: Pick<GridRecord, "machines" | "code">): string[] {
  const makers = machines.map(
    ({ processor, cores, threads, node }) =>
      `${cores} cores of ${processor}, ${threads} thread${threads === 1 ? "" : "s"}, Node ${node.replace(/^v/, "")}`,
  );
  const codes = Object.entries(code).map(([step, ids]) => `${step} ${brief(ids)}`);
  return [...(makers.length > 0 ? [`${makers.join("; ")}.`] : []), ...(codes.length > 0 ? [`Code: ${codes.join(", ")}.`] : [])];
}

/** One id, or a hash of several and how many there are. */
const brief = (ids: readonly string[]): string =>
  ids.length === 1 ? `\`${ids[0]!.slice(0, 12)}\`` : `\`${hash(ids).slice(0, 12)}\` (of ${ids.length})`;
