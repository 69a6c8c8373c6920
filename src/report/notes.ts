/** What stands below a table: the meaning of its marks, reasons of what is missing, published figures, and what the numbers were made with. */
import { hash } from "../base/hash.ts";
import type { Described, GridRecord, TableRecord, Verdict } from "../run/grid/record.ts";
import type { Acceptance } from "../run/record.ts";
import { cellsOf, rowName, written } from "./cells.ts";

/** The sign of a value that differs from the untouched model. */
export const CHANGED = "*";

/** The meaning of the marks that the table has, a sentence each. */
export function legendOf(table: TableRecord): string[] {
  const { rows, columns, isCompared } = table;
  const cells = rows.flatMap((row) => row.cells);
  const texts = rows.flatMap((row) => cellsOf(table, row));
  const kinds = [...new Set(cells.flatMap(({ interval }) => interval?.by ?? []))];
  const isTested = cells.some(({ best }) => typeof best === "object");
  const collapsed = rows.flatMap((row) => row.collapsed ?? [])[0];
  return [
    ...(kinds.length > 0 ? [`Brackets: 95 % intervals (${kinds.map((kind) => KINDS[kind] ?? kind).join("; ")}).`] : []),
    ...(isCompared && texts.some(({ isBest }) => isBest)
      ? [
          isTested
            ? "Bold: the best value of a column, and values that a paired test does not tell from it (p at least 0.05)."
            : "Bold: the best value of a column.",
        ]
      : []),
    ...(texts.some(({ isChanged }) => isChanged) ? [`${CHANGED} The value differs from that of the untouched model (p below 0.05).`] : []),
    ...(isTested || cells.some(({ base }) => base)
      ? ["The tests are paired bootstrap tests over the questions that both rows have; p is corrected by Holm over the tests of a column."]
      : []),
    ...(collapsed
      ? [
          `Collapsed: the answers to forget cost the model more than a random guess among all tokens (up to ${collapsed.loss.toFixed(2)} nats a token; a guess costs ${collapsed.guess.toFixed(2)}). A collapsed model is never the best.`,
        ]
      : []),
    ...(columns.some(({ better }) => better === "reference")
      ? [`${titles(table, "reference")}: the nearer to the comparison run the better; no value is bold.`]
      : []),
  ];
}

const titles = ({ columns }: TableRecord, wish: string): string =>
  columns
    .filter(({ better }) => better === wish)
    .map(({ title }) => title)
    .join(", ");

const KINDS: Readonly<Record<string, string>> = { exact: "exact, by Clopper and Pearson" };

/** Why values are missing, a sentence for each reason. Rows with the same reason share it. */
export function reasonsIn({ columns, rows }: TableRecord): string[] {
  const found = new Map<string, string[]>();
  const add = (sentence: string, name: string): void => void found.set(sentence, [...(found.get(sentence) ?? []), name]);
  for (const row of rows) {
    const name = rowName({ columns }, row);
    for (const reason of new Set(row.cells.flatMap(({ absent }) => absent))) add(`n/a, because ${ended(reason)}`, name);
    const lacking = new Map<string, string[]>();
    for (const [i, { lacks, values, text }] of row.cells.entries())
      if (values.length === 0 && text === undefined)
        for (const reason of lacks) lacking.set(reason, [...(lacking.get(reason) ?? []), columns[i]!.title]);
    for (const [reason, names] of lacking) add(`"-" under ${names.join(", ")}, because ${ended(reason)}`, name);
  }
  const nameOf = (names: readonly string[]): string => (names.length === rows.length && rows.length > 1 ? "every row" : names.join("; "));
  return [...found].map(([sentence, names]) => `${nameOf(names)}: ${sentence}`);
}

/** A sentence with one full stop. */
const ended = (sentence: string): string => `${sentence.replace(/\.$/, "")}.`;

/** What the reader must know of the published figures: what differs, what is corrected and why, and the verdicts. */
export function publishedNotes(table: TableRecord): { readonly differs: readonly string[]; readonly verdicts: readonly string[] } {
  const whys = table.rows.flatMap((row) =>
    row.cells.flatMap(({ published }, i) =>
      published?.why === undefined ? [] : [`${rowName(table, row)}, ${table.columns[i]!.title}: ${published.why}`],
    ),
  );
  return { differs: [...table.differs, ...whys], verdicts: table.verdicts.map((verdict) => verdictText(table, verdict)) };
}

/** "Ob1: gone, GA before NPO: agreement (paper 0.90 and 0.70, ours 0.95 and 0.60, difference 0.35 [0.20, 0.50])." */
export function verdictText({ columns }: Pick<TableRecord, "columns">, told: Verdict): string {
  const { column, a, b, shows, verdict, reason, is, theirs, ours, difference, interval } = told;
  const shape = columns.find(({ title }) => title === column)!;
  const show = (value: number): string =>
    written({ ...shape, as: shape.as === "count" ? "number" : shape.as, decimals: shape.decimals || 2 }, value);
  const numbers = [
    ...(reason === undefined ? [] : [reason]),
    ...(theirs ? [`paper ${show(theirs[0])} and ${show(theirs[1])}`] : is === undefined ? [] : [`paper: the first is ${is}`]),
    ...(ours ? [`ours ${written(shape, ours[0])} and ${written(shape, ours[1])}`] : []),
    ...(difference === undefined
      ? []
      : [`difference ${show(difference)}${interval ? ` [${show(interval.low)}, ${show(interval.high)}]` : ""}`]),
  ];
  return `${shows === undefined ? "" : `${shows}: `}${column}, ${a} and ${b}: ${verdict}${numbers.length > 0 ? ` (${numbers.join("; ")})` : ""}.`;
}

/** How many steps are done, processor, threads and Node, the code of each kind of step, and what was accepted of older code. */
export function madeWith({ machines, code, steps, accepted = [] }: Pick<GridRecord, "machines" | "code" | "steps" | "accepted">): string[] {
  const makers = machines.map(
    ({ processor, cores, threads, node }) =>
      `${cores} cores of ${processor}, ${threads} thread${threads === 1 ? "" : "s"}, Node ${node.replace(/^v/, "")}`,
  );
  const codes = Object.entries(code).map(([step, ids]) => `${step} ${brief(ids)}`);
  return [
    ...(steps.finished < steps.total ? [`${steps.finished} of ${steps.total} steps are done.`] : []),
    ...(makers.length > 0 ? [`${makers.join("; ")}.`] : []),
    ...(codes.length > 0 ? [`Code: ${codes.join(", ")}.`] : []),
    ...accepted.map(acceptedText),
  ];
}

/** "Accepted on 2025-01-02: records of older code (forget `aa`, 4 records, now `bb`). 3 runs of them, drawn with seed 0, gave …" */
function acceptedText({ date, codes, samples, seed }: Acceptance): string {
  const kinds = codes.map(({ step, old, now, records }) => `${step} ${brief([old])}, ${counted(records, "record")}, now ${brief([now])}`);
  return `Accepted on ${date.slice(0, 10)}: records of older code (${kinds.join("; ")}). ${counted(samples.length, "run")} of them, drawn with seed ${seed}, gave the same bytes on the later code.`;
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

/** One id, or a hash of several and how many there are. */
const brief = (ids: readonly string[]): string =>
  ids.length === 1 ? `\`${ids[0]!.slice(0, 12)}\`` : `\`${hash(ids).slice(0, 12)}\` (of ${ids.length})`;

/** The methods paragraph: what was used, with every parameter that departs from its sourced default, models, data and seeds. */
export function methodsText({ described, models, data, seeds, failed, answers }: GridRecord): string[] {
  const list = (name: string, values: readonly string[]): string[] => (values.length > 0 ? [`${name}: ${values.join(", ")}.`] : []);
  return [
    ...described.map(describedText),
    ...list("Models", models),
    ...list("Data", data),
    ...list("Seeds", seeds),
    ...list(
      "Answers for people to rate",
      answers.map(({ name, lines }) => `\`answers/${name}.jsonl\` (${counted(lines.length, "answer")})`),
    ),
    ...failed.map(({ step, at, reason }) => `Failed: ${[step, at].filter(Boolean).join(", ")}: ${reason.replace(/\.$/, "")}.`),
  ];
}

const describedText = ({ title, paper, departures, compat }: Described): string =>
  [
    `${title}${paper ? ` (${paper})` : ""}: `,
    departures.length > 0
      ? `parameters that differ from the sourced defaults (in brackets): ${departures.join("; ")}.`
      : "every parameter has its sourced default.",
    compat.length > 0 ? ` Quirks of published code: ${compat.join(", ")}.` : "",
  ].join("");
