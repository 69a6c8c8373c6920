/** An evaluation as tables: for people, and as the row of figures that TOFU's authors publish. */
import type { Collapse, CompareRecord, EvalRecord, JudgedNumber } from "../run/record.ts";

/** The columns of aggr_result.csv, in its order. */
const CSV = [
  ...["Real Authors", "Real World", "Retain", "Forget"].flatMap((group) =>
    ["ROUGE", "Prob.", "Truth Ratio"].map((name) => `${name} ${group}`),
  ),
  "Model Utility",
  "Forget Quality",
];

/** aggr_result.csv: a heading and one row; what was not judged is empty. */
export function aggregateCsv({ numbers }: EvalRecord, method: string, by: string): string {
  const values = new Map(numbers.map(({ title, value }) => [title, value]));
  const cells = CSV.map((title) => (values.has(title) ? pythonNumber(values.get(title)!) : ""));
  return `${[...CSV, "Method", "Submitted By"].join(",")}\n${[...cells, quoted(method), quoted(by)].join(",")}\n`;
}

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A number as Python writes it: 1.0, 1e-05, nan, inf. */
export function pythonNumber(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const isSmall = x !== 0 && (Math.abs(x) < 1e-4 || Math.abs(x) >= 1e16);
  const text = isSmall ? x.toExponential() : String(x);
  const padded = text.replace(/e([+-])(\d)$/, "e$10$2");
  return /[.e]/.test(padded) ? padded : `${padded}.0`;
}

/** A value for a table: four digits after the point, or as a power of ten where they would be nothing. */
export function shownValue(x: number): string {
  if (Number.isNaN(x)) return "NaN";
  return x !== 0 && Math.abs(x) < 1e-3 ? x.toExponential(3) : x.toFixed(4);
}

/** Heading and rows: title, value, interval, and what stands beside it. */
export function evalRows({ numbers }: EvalRecord): string[][] {
  return [
    ["", "VALUE", "95 % INTERVAL", "ROWS", ""],
    ...numbers.map((number) => [number.title, shownValue(number.value), intervalOf(number), String(number.rows), besides(number)]),
  ];
}

const intervalOf = ({ interval }: JudgedNumber): string => (interval ? `${shownValue(interval.low)} to ${shownValue(interval.high)}` : "");

const WISHES: Readonly<Record<JudgedNumber["better"], string>> = { higher: "↑", lower: "↓", reference: "as in the comparison run" };

function besides({ details, nanRows, compat, better }: JudgedNumber): string {
  const { D, h, n, m, method } = details;
  return [
    WISHES[better],
    ...(D === undefined ? [] : [`D ${typeof D === "number" ? D.toFixed(4) : D}, h ${h}, n ${n}, m ${m}, ${method}`]),
    ...(nanRows > 0 ? [`${nanRows} rows NaN`] : []),
    ...(compat.length > 0 ? [`compat ${compat.join(", ")}`] : []),
  ].join("  ");
}

/** What was asked, as the command line names it. */
export interface AskedOf {
  readonly model: string;
  readonly edits: readonly string[];
  readonly output: string;
}

/** What was done: a model was asked, or a log was judged. */
function doneLine({ log, suite }: EvalRecord, asked: AskedOf | undefined): string {
  const rows = (of: string): string => `${log.rows} ${of}${log.rows === 1 ? "" : "s"}`;
  if (!asked) return `${log.name}: ${rows("row")} of a ${log.format} log, judged by the suite ${suite} (${log.hash.slice(0, 12)})`;
  const { model, edits, output } = asked;
  return `${model}${edits.length > 0 ? ` with ${edits.join(" and ")}` : ""} was asked ${rows("question")} of the suite ${suite}; the answers are in ${output}`;
}

/** What stands around the table: what was done, against which, which quirks, whether the model has collapsed, what is missing, what misleads. */
export function evalNotes(record: EvalRecord, asked?: AskedOf): { readonly head: readonly string[]; readonly tail: readonly string[] } {
  const { reference, compat, numbers, missing, collapse, stated } = record;
  const caveats = new Map(numbers.map(({ metric, caveat }) => [metric, caveat]));
  return {
    head: [
      doneLine(record, asked),
      ...(reference ? [`compared with ${reference.name}: ${reference.rows} rows (${reference.hash.slice(0, 12)})`] : []),
    ],
    tail: [
      ...(collapse ? [collapseLine(collapse)] : []),
      compat.length > 0 ? `compat: ${compat.join(", ")}` : "compat: none, every formula is the correct one",
      ...missing.map(({ title, reason }) => `left out: ${title}, ${reason}`),
      ...Object.entries(stated).map(([title, value]) => `as the log says, not worked out again: ${title} ${shownValue(value)}`),
      "",
      "How each can mislead:",
      ...[...caveats].map(([metric, caveat]) => `  ${metric}: ${caveat}`),
    ],
  };
}

const collapseLine = ({ isCollapsed, loss, guess, vocabulary, nanRows }: Collapse): string =>
  `collapsed: ${isCollapsed ? "yes" : "no"} (the forget answers cost ${loss.toFixed(3)} nats a token, a guess among ${vocabulary} tokens ${guess.toFixed(3)}${nanRows > 0 ? `; ${nanRows} more cost NaN` : ""})`;

/** Heading and rows of a comparison: both values, what differs, and how often chance alone would differ as much. */
export function compareRows({ numbers }: CompareRecord): string[][] {
  return [
    ["", "A", "B", "B − A", "95 % INTERVAL", "ROWS", "p, CORRECTED"],
    ...numbers.map(({ title, a, b, difference, interval, rows, corrected }) => [
      title,
      shownValue(a),
      shownValue(b),
      shownValue(difference),
      interval ? `${shownValue(interval.low)} to ${shownValue(interval.high)}` : "",
      String(rows),
      shownValue(corrected),
    ]),
  ];
}
