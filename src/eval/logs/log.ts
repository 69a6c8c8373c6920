/** Logs of other tools: their content, and how a format is declared. */
import { mean } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import { isRecord } from "../../base/json.ts";
import type { Located } from "../../data/records.ts";
import type { SampleRecord } from "../metric.ts";

/** A file of a log, parsed: one JSON value, or the objects of its lines. */
export interface LogFile {
  /** Its name without the folder, for errors. */
  readonly name: string;
  readonly value?: unknown;
  readonly lines?: readonly Located[];
}

/** The content of a log: rows to judge, and notes about them. */
export interface LogContent {
  readonly rows: readonly SampleRecord[];
  readonly notes?: readonly string[];
  /** The rows that have no value and are left out, by group. */
  readonly omitted?: Readonly<Record<string, number>>;
  /** Numbers that the log gives without the rows to compute them. */
  readonly stated?: Readonly<Record<string, number>>;
}

export interface LogFormat {
  readonly name: string;
  /** The tool that writes such logs. */
  readonly title: string;
  readonly doc: string;
  /** The default suite for its rows. */
  readonly suite: string;
  /** Whether a file belongs to such a log. */
  readonly claims: (file: LogFile) => boolean;
  readonly read: (files: readonly LogFile[]) => LogContent;
  /** The rows as a file of this format. */
  readonly write?: (rows: readonly SampleRecord[]) => string;
}

/** Declares a format. */
export const defineLogFormat = <F extends LogFormat>(format: F): F => format;

/** The only matching file; undefined if there is none. Refuses two, because it is unclear which run to judge. */
export function theOne(files: readonly LogFile[]): LogFile | undefined {
  if (files.length > 1)
    fail(files.map(({ name }) => name).join(", "), `one folder contains ${files.length} logs`, "one log", "Name the file.");
  return files[0];
}

/** How often each name occurs. */
export function countsOf(names: Iterable<string>): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** A place in a log for errors: the file, then the keys. */
export type Place = string;

const HINT = "Download or write the log again.";

const shown = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 60);

/** The value as an object; fails if it is not one. */
export function anObject(value: unknown, place: Place): Record<string, unknown> {
  return isRecord(value) ? value : fail(place, shown(value), "an object", HINT, "unavailable");
}

export function aNumber(value: unknown, place: Place): number {
  return typeof value === "number" ? value : fail(place, shown(value), "a number", HINT, "unavailable");
}

export function aText(value: unknown, place: Place): string {
  return typeof value === "string" ? value : fail(place, shown(value), "a text", HINT, "unavailable");
}

export function numbers(value: unknown, place: Place): readonly number[] {
  if (!Array.isArray(value)) fail(place, shown(value), "a list of numbers", HINT, "unavailable");
  return value.map((item, i) => aNumber(item, `${place} item ${i}`));
}

/** One number, or the mean of a list of them. */
export const numberOrMean = (value: unknown, place: Place): number =>
  Array.isArray(value) ? mean(numbers(value, place)) : aNumber(value, place);

/** A map or a list of rows as pairs of row and value; the rows of a map in its order. */
export function rowsOf(value: unknown, place: Place): ReadonlyMap<string, unknown> {
  return new Map(Array.isArray(value) ? value.map((item, i) => [String(i), item]) : Object.entries(anObject(value, place)));
}

/** Keys of an object under which a data set keeps right answers. */
const RIGHT = ["value", "text", "answer", "answers", "aliases"];

/**
 * The right answers of a row: the first is the answer, others are its aliases. They are a text, a number, or a list of which any is right; the
 * parts of an inner list belong together. Also an object with such under one of {@link RIGHT}.
 */
export function rightOf(value: unknown, place: Place): { answer: string; aliases?: readonly string[] } {
  const one = (item: unknown): string =>
    typeof item === "number" || typeof item === "boolean"
      ? String(item)
      : Array.isArray(item)
        ? item.map(one).join(" ")
        : aText(item, place);
  const all = isRecord(value) ? RIGHT.flatMap((key) => value[key] ?? []) : value;
  const known = [...new Set(Array.isArray(all) ? all.map(one) : [one(all)])];
  const said = known.some((text) => text.trim() !== "") ? known.filter((text) => text.trim() !== "") : known;
  const [answer, ...aliases] = said;
  if (answer === undefined) fail(place, shown(value), "a right answer, or a list of them", HINT, "unavailable");
  return { answer, ...(aliases.length > 0 && { aliases }) };
}

/** [prompt, generation, gold], where gold may be a list of which any is right. */
export function texts(value: unknown, place: Place): Pick<SampleRecord, "question" | "generation" | "answer" | "aliases"> {
  if (!Array.isArray(value) || value.length < 3) fail(place, shown(value), "a list of prompt, generation and answer", HINT, "unavailable");
  const [question, generation] = value.slice(0, 2).map((item, i) => aText(item, `${place} item ${i}`));
  return { question: question!, generation: generation!, ...rightOf(value[2], `${place} item 2`) };
}
