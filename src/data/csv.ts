/** Rows of a CSV or TSV file as objects with the column names of its first line, each with its line number. */
import { CsvError, type InfoRecord, parse } from "csv-parse/sync";
import { fail, LetheError } from "../base/fail.ts";
import { LONGEST_TEXT, type Located, MOST_FIELDS } from "./records.ts";

const SEPARATORS = [",", ";", "\t", "|"];

/** What divides the cells: what is expected if the first line has it, else what that line has most of outside quotation marks. */
function separatorOf(text: string, expected: string): string {
  const head = /^[^\r\n]*/.exec(text.replace(/^\uFEFF/, "").replace(/^[\r\n]+/, ""))![0].replaceAll(/"[^"]*"/g, "");
  const count = (mark: string): number => head.split(mark).length;
  return count(expected) > 1 ? expected : SEPARATORS.reduce((most, mark) => (count(mark) > count(most) ? mark : most), expected);
}

/** The rows of a text, whose separator its first line shows; refuses duplicate or empty column names, and rows of another length, naming the line. */
export function parseCsv(text: string, name: string, delimiter: "," | "\t" = ","): Located[] {
  const rows = split(text, name, separatorOf(text, delimiter));
  const [head, ...body] = rows;
  if (!head || body.length === 0) fail(name, head ? "it has column names but no rows" : "it is empty", "a line of names, then rows", "");
  const columns = head.cells.map((cell) => cell.trim());
  const seen = new Set<string>();
  if (columns.length > MOST_FIELDS) fail(`${name} line ${head.at}`, `it has ${columns.length} columns`, `at most ${MOST_FIELDS}`, "");
  columns.forEach((column, i) => {
    if (column === "")
      fail(`${name} line ${head.at}`, `column ${i + 1} has no name`, "a name for each column", "The first line names the columns.");
    if (seen.has(column)) fail(`${name} line ${head.at}`, `column "${column}" is named twice`, "unique names", "Rename one of them.");
    seen.add(column);
  });
  return body.map(({ cells, at }) => {
    const place = `${name} line ${at}`;
    if (cells.length !== columns.length)
      fail(
        place,
        `it has ${cells.length} cells`,
        `${columns.length}: ${columns.join(", ")}`,
        "Put a cell that contains the separator or a line break in double quotes.",
      );
    const filled = columns.map((column, i) => [column, cells[i]!] as const).filter(([, cell]) => cell !== ""); // an empty cell leaves the field unset
    return { value: Object.fromEntries(filled), at, place };
  });
}

interface Row {
  readonly cells: readonly string[];
  readonly at: number;
}

function split(text: string, name: string, delimiter: string): Row[] {
  try {
    const found = parse(text, {
      bom: true,
      delimiter,
      info: true,
      max_record_size: LONGEST_TEXT,
      relax_column_count: true,
      skip_empty_lines: true,
      record_delimiter: ["\r\n", "\n", "\r"],
    }) as unknown as { record: string[]; info: InfoRecord }[];
    return found.map(({ record, info }) => ({
      cells: record,
      at: Math.max(1, info.lines - record.join("").split(/\r\n|\n|\r/).length + 1),
    }));
  } catch (error) {
    if (error instanceof LetheError || !(error instanceof CsvError)) throw error;
    const line: unknown = (error as unknown as { lines?: unknown }).lines;
    const isOpen = error.code === "CSV_QUOTE_NOT_CLOSED";
    if (error.code === "CSV_MAX_RECORD_SIZE")
      fail(
        name,
        `it has a row of more than ${LONGEST_TEXT} characters`,
        "shorter rows",
        "Close every double quote, and divide long texts.",
      );
    fail(
      typeof line === "number" ? `${name} line ${line}` : name,
      isOpen ? "a double quote is not closed" : `it is not CSV (${error.message})`,
      "double quotes around cells that contain the separator, a quote or a line break",
      'Write a quote inside a text twice: "".',
    );
  }
}
