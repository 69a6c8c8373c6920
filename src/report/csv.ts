/** A grid's table as CSV (RFC 4180), for other programs: numbers unrounded, each with its interval, its questions, and its tests. */
import { visible } from "../base/visible.ts";
import type { PairedTest, TableCell, TableColumn, TableRecord } from "../run/grid/record.ts";
import { averaged } from "./cells.ts";

/** The whole table. No field is empty: "-" does not exist, and "n/a: REASON" is missing. */
export function tableCsv({ columns, rows }: TableRecord): string {
  const head = columns.flatMap((column) => {
    const { title, isText } = column;
    return isText ? [title] : [title, ...detailsOf(column).map((name) => `${title}, ${name}`)];
  });
  const body = rows.map(({ cells, collapsed }) => [
    ...cells.flatMap((cell, i) => (columns[i]!.isText ? [cell.text ?? "-"] : numberFields(columns[i]!, cell))),
    collapsed ? `collapsed in ${collapsed.runs} of ${collapsed.of} runs` : "-",
  ]);
  return [[...head, "state"], ...body].map((fields) => `${fields.map(quoted).join(",")}\r\n`).join("");
}

/** What stands behind the value of a number of an evaluation; other numbers have a value alone. */
const detailsOf = ({ metric }: TableColumn): readonly string[] =>
  metric === undefined
    ? []
    : ["low", "high", "interval", "questions", "seeds", "p against best", "p against untouched", "paper", "paper corrected"];

function numberFields(column: TableColumn, cell: TableCell): string[] {
  const { values, absent, interval, questions, seeds, best, base, published } = cell;
  const value = values.length > 0 ? String(averaged(column, values)) : absent.length > 0 ? `n/a: ${absent.join("; ")}` : "-";
  if (column.metric === undefined) return [value];
  const p = (test: PairedTest | "best" | undefined): string => (test === undefined ? "-" : test === "best" ? "best" : String(test.p));
  return [
    value,
    ...(interval ? [String(interval.low), String(interval.high), interval.by] : ["-", "-", "-"]),
    ...[questions, seeds].map(String),
    p(best),
    p(base),
    ...[published?.value, published?.corrected].map((one) => (one === undefined ? "-" : String(one))),
  ];
}

/** A field in quotes where it holds a comma, a quote or a line break. */
function quoted(text: string): string {
  const shown = visible(text);
  return /[",\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}
