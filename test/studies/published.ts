/** The figures of the two papers as rows, and what is wrong with such rows. */
import { readFileSync } from "node:fs";

export interface Published {
  readonly paper: string;
  /** Where the figure is: a table of the paper, or a file of its repository. */
  readonly table: string;
  readonly model: string;
  readonly data: string;
  /** Questions to forget; null if it is not said. */
  readonly rows: number | null;
  readonly method: string;
  /** What is said instead; null for methods without a target. */
  readonly target: string | null;
  /** Questions in one merged request; 1 beside such rows if none are merged. */
  readonly merge?: number;
  readonly metric: string;
  readonly group: string;
  /** As published; null if it is published as "not a number". */
  readonly value: number | null;
  /** The other end, if a range was published. */
  readonly to?: number;
  /** The name of the run, if the table has several of one method and target. */
  readonly run?: string;
  /** The value that should have been published, and the reason. */
  readonly corrected?: number;
  readonly why?: string;
  readonly note?: string;
}

export const publishedIn = (name: string): Published[] =>
  JSON.parse(readFileSync(new URL(`../../studies/published/${name}.json`, import.meta.url), "utf8")) as Published[];

const TEXTS = ["paper", "table", "model", "data", "method", "metric", "group"] as const;
const OTHERS = ["rows", "target", "value", "merge", "to", "run", "corrected", "why", "note"] as const;
const KNOWN: readonly string[] = [...TEXTS, ...OTHERS];

/** What is wrong with the rows of a file: fields, rows that are there twice, and composites that do not follow from their parts. */
export function faultsOf(rows: readonly Published[]): string[] {
  const seen = new Set<string>();
  return rows.flatMap((row, at) => {
    const place = `${[settingOf(row), row.metric, row.group].join(" / ")}`;
    const isTwice = seen.has(place);
    seen.add(place);
    return [...fieldFaults(row), ...(isTwice ? ["is there twice"] : []), ...compositeFaults(row, rows)].map(
      (fault) => `${at}: ${place}: ${fault}`,
    );
  });
}

const settingOf = ({ table, model, data, rows, method, target, merge, run }: Published): string =>
  [table, model, data, rows, method, target, merge, run].join(" ");

function fieldFaults(row: Published): string[] {
  const isText = (value: unknown): boolean => typeof value === "string" && value.trim() !== "";
  const isNumber = (value: unknown): boolean => Number.isFinite(value);
  const unknown = Object.keys(row).filter((key) => !KNOWN.includes(key));
  return [
    ...TEXTS.filter((key) => !isText(row[key])).map((key) => `has no ${key}`),
    ...unknown.map((key) => `has a field ${key}`),
    ...(row.rows === null || isNumber(row.rows) ? [] : ["has no number of rows"]),
    ...(row.target === null || isText(row.target) ? [] : ["has no target"]),
    ...(isNumber(row.value) || (row.value === null && isText(row.note)) ? [] : ["has no value, and no note that says why"]),
    ...(["merge", "to", "corrected"] as const).filter((key) => key in row && !isNumber(row[key])).map((key) => `${key} is no number`),
    ...(["run", "why", "note"] as const).filter((key) => key in row && !isText(row[key])).map((key) => `${key} is no text`),
    ...("corrected" in row && !("why" in row) ? ["is corrected without a reason"] : []),
    ...("to" in row && !(row.to! > row.value!) ? ["is a range that ends before it begins"] : []),
  ];
}

/** The parts have three digits behind the point: the composite may be off by one and a half in the third. */
function compositeFaults(row: Published, rows: readonly Published[]): string[] {
  if (row.metric !== "composite") return [];
  const part = (group: string): number | null | undefined =>
    rows.find((other) => settingOf(other) === settingOf(row) && other.metric === "ROUGE-1" && other.group === group)?.value;
  const [forget, retain] = [part("forget"), part("retain")];
  if (typeof forget !== "number" || typeof retain !== "number") return [];
  const right = 1 - forget + retain;
  return Math.abs((row.corrected ?? row.value ?? NaN) - right) <= 0.0015 ? [] : [`its parts give ${right.toFixed(3)}`];
}
