/** A grid's table as CSV (RFC 4180), for other programs: numbers unrounded, each with its interval, its questions, and its tests. */
import { visible } from "../base/visible.ts";
import type { PairedTest, TableCell, TableColumn, TableRecord } from "../run/grid/record.ts";
import { averaged } from "./cells.ts";

/** The whole table. No field is empty: "-" does not exist, and "n/a: REASON" is missing. */
export function tableCsv({ columns, rows }: TableRecord): string {
  const isPublished = columns.map((_, i) => rows.some(({ cells }) => cells[i]!.published));
  const namesOf = ({ title, isText, metric }: TableColumn, i: number): string[] => [
    title,
    ...(isText || metric === undefined ? [] : TESTED.map((name) => `${title}, ${name}`)),
    ...(isPublished[i] ? PUBLISHED.map((name) => `${title}, ${name}`) : []),
  ];
  const fieldsOf = (column: TableColumn, cell: TableCell, i: number): string[] => [
    valueOf(column, cell),
    ...(column.isText || column.metric === undefined ? [] : testedFields(cell)),
    ...(isPublished[i] ? publishedFields(cell) : []),
  ];
  const body = rows.map(({ cells, collapsed }) => [
    ...columns.flatMap((column, i) => fieldsOf(column, cells[i]!, i)),
    collapsed ? `collapsed in ${collapsed.runs} of ${collapsed.of} runs` : "-",
  ]);
  return [[...columns.flatMap(namesOf), "state"], ...body].map((fields) => `${fields.map(quoted).join(",")}\r\n`).join("");
}

/** The fields that follow the value of an evaluation, and the fields of a published value. */
const TESTED = ["low", "high", "interval", "questions", "seeds", "p against best", "p against untouched"] as const;
const PUBLISHED = ["paper", "paper, other end", "paper, corrected"] as const;

function valueOf(column: TableColumn, { text, values, absent }: TableCell): string {
  if (column.isText && (text !== undefined || absent.length === 0)) return text || "-";
  return values.length > 0 ? String(averaged(column, values)) : absent.length > 0 ? `n/a: ${absent.join("; ")}` : "-";
}

function testedFields({ interval, questions, seeds, best, base }: TableCell): string[] {
  const p = (test: PairedTest | "best" | undefined): string => (test === undefined ? "-" : test === "best" ? "best" : String(test.p));
  const ends = interval ? [String(interval.low), String(interval.high), interval.by] : ["-", "-", "-"];
  return [...ends, String(questions), String(seeds), p(best), p(base)];
}

const publishedFields = ({ published }: TableCell): string[] =>
  [published?.value, published?.to, published?.corrected].map((one) => (one === undefined ? "-" : String(one ?? NaN)));

/** A field in quotes where it holds a comma, a quote or a line break. */
function quoted(text: string): string {
  const shown = visible(text);
  return /[",\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}
