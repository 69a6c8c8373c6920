/** Lines of JSONL, or the rows of one JSON value, each checked against a schema; errors name file, place, field and fix. */
import { basename } from "node:path";
import type { z } from "zod";
import { breakable } from "../base/bounded.ts";
import type { Breathe } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { readBytes } from "../base/files.ts";
import { findTrouble, isRecord } from "../base/json.ts";
import { rowsOfValue, valuesIn } from "./json-rows.ts";

/** A JSON value and its place. */
export interface Located {
  readonly value: unknown;
  /** Its line (JSONL) or its number (array), counted from 1. */
  readonly at: number;
  /** `facts.jsonl line 3` or `facts.json item 3`. */
  readonly place: string;
}

/** The values of a JSONL file or the rows of one JSON value; accepts a byte order mark, CRLF and blank lines; refuses an empty file. */
export const readRecords = (path: string, name = basename(path)): Located[] => parseRecords(readText(path), name);

/** The text of a UTF-8 file, or of a UTF-16 file with a byte order mark, without that mark; refuses a missing file, what is no plain file, and other encodings. */
export function readText(path: string): string {
  const bytes = readBytes(path, "data", { wanted: "a text file" });
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
  if (wide !== undefined) return new TextDecoder(wide).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail(`${basename(path)} line ${firstBroken(bytes)}`, "it is not UTF-8 text", "UTF-8", "Save the file as UTF-8.");
  }
}

/** The first line that is not UTF-8; a line break is never part of another character. */
function firstBroken(bytes: Uint8Array<ArrayBuffer>): number | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const found = bytes.indexOf(10, start);
    const end = found < 0 ? bytes.length : found;
    try {
      decoder.decode(bytes.subarray(start, end));
    } catch {
      return line;
    }
    start = end + 1;
  }
  return undefined;
}

/** {@link readRecords} for a text; `name` is used in errors. */
export function parseRecords(text: string, name: string): Located[] {
  const bare = text.replace(/^\uFEFF/, "");
  const records = isLines(bare) ? lines(bare, name) : /^\s*\[/.test(bare) ? items(bare, name) : objects(bare, name);
  refuseNone(records, name);
  return records;
}

/** As {@link parseRecords}, for a text of any length. */
export async function recordsOf(text: string, name: string, breathe: Breathe): Promise<Located[]> {
  const bare = text.replace(/^\uFEFF/, "");
  if (!isLines(bare)) return breakable("data", () => parseRecords(bare, name));
  const found: Located[] = [];
  for (const [i, line] of bare.split(BREAKS).entries()) {
    if (i % SLICE === 0) await breathe();
    found.push(...lineOf(line, i, name));
  }
  refuseNone(found, name);
  return found;
}

/** Whether a text has an object on each line: no array, and no object that goes over several lines or holds all rows. */
function isLines(text: string): boolean {
  if (!/^\s*\{/.test(text)) return !/^\s*\[/.test(text);
  const start = text.search(/\S/);
  const end = text.slice(start).search(BREAKS);
  return end >= 0 && text.slice(start + end).trim() !== "" && parsed(text.slice(start, start + end)) !== undefined;
}

/** Lines between two chances for signals. */
const SLICE = 256;
const BREAKS = /\r\n|\n|\r/;

/** The most characters of a line or a text, and the most fields of a row. */
export const [LONGEST_TEXT, MOST_FIELDS] = [1 << 24, 10_000];

/** Gives the rows back. Refuses a row with too many fields, and a field with too long a text. */
export function ofBoundedSize(rows: Located[]): Located[] {
  for (const { value, place } of rows) {
    if (!isRecord(value)) continue;
    const fields = Object.entries(value);
    if (fields.length > MOST_FIELDS)
      fail(place, `it has ${fields.length} fields`, `at most ${MOST_FIELDS}`, "Write one object for each row.");
    for (const [field, held] of fields)
      for (const text of Array.isArray(held) ? (held as unknown[]) : [held])
        if (typeof text === "string" && text.length > LONGEST_TEXT)
          fail(place, `field "${field.slice(0, 80)}" has ${text.length} characters`, `at most ${LONGEST_TEXT}`, "Divide the text.");
  }
  return rows;
}

function refuseNone(records: readonly Located[], name: string): void {
  if (records.length === 0) fail(name, "it is empty", "at least one object", "Write one JSON object per line.");
}

function items(text: string, name: string): Located[] {
  const values = parse(text, name, "Write the whole file as one JSON array, or one object per line.");
  if (!Array.isArray(values)) fail(name, `it is ${kindOf(values)}`, "a JSON array or one object per line", "");
  return values.map((value: unknown, i) => ({ value, at: i + 1, place: `${name} item ${i + 1}` }));
}

/** One object with rows in it, or objects that go over several lines. */
function objects(text: string, name: string): Located[] {
  const values = valuesIn(text) ?? [];
  const read = values.map(({ text: one, line }) => ({ value: parsed(one), at: line, place: `${name} line ${line}` }));
  if (read.length === 0 || read.some(({ value }) => value === undefined)) return lines(text, name); // which says what is wrong
  if (read.length > 1) return read;
  const rows = rowsOfValue(read[0]!.value);
  return rows[0] === read[0]!.value ? read : rows.map((value, i) => ({ value, at: i + 1, place: `${name} item ${i + 1}` }));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const lines = (text: string, name: string): Located[] => text.split(BREAKS).flatMap((line, i) => lineOf(line, i, name));

/** The value of a line; none where it is blank. */
function lineOf(line: string, i: number, name: string): readonly Located[] {
  if (line.trim() === "") return [];
  const place = `${name} line ${i + 1}`;
  if (line.length > LONGEST_TEXT)
    fail(place, `it has ${line.length} characters`, `at most ${LONGEST_TEXT}`, "Write one object a line, with shorter texts.");
  const hint = "Write one complete JSON object per line, with names and texts in double quotes.";
  return [{ value: parse(line, place, hint, true), at: i + 1, place }];
}

/** Parses a value; an error has its column, and its line if the text has several. */
function parse(text: string, place: string, hint: string, isLine = false): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const { at, problem } = findTrouble(text) ?? { at: text.length, problem: "it cannot be read" };
    const before = text.slice(0, at).split(/\r\n|\n|\r/);
    const column = `column ${before.at(-1)!.length + 1}`;
    const where = isLine ? column : `line ${before.length}, ${column}`;
    const bare = /(^|[:,[\s])(-?Infinity|NaN|undefined)\s*([,\]}]|$)/.exec(text)?.[2];
    fail(place, `it is not JSON at ${where}: ${problem}`, "JSON", bare ? `JSON has no ${bare}: omit the field.` : hint);
  }
}

/** The record as the schema's type; the first error names the field, its value and what to write instead. */
export function check<S extends z.ZodObject>(schema: S, record: Located): z.output<S> {
  const result = schema.safeParse(record.value);
  if (result.success) return result.data;
  const issue = result.error.issues.find(({ code }) => code === "unrecognized_keys") ?? result.error.issues[0]!; // report a misspelt name before the field that is missing because of it
  const field = issue.path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = knownKeys(schema, issue.path);
    const near = nearest(key, known);
    const shown = field === "" ? key : `${field}.${key}`;
    fail(record.place, `field "${shown}" is not known`, known.join(", "), near ? `Did you mean "${near}"?` : "Remove it.");
  }
  const value = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], record.value);
  const wanted = issue.code === "invalid_type" ? aOrAn(issue.expected) : issue.message;
  if (field === "")
    fail(record.place, `it is ${kindOf(value)}`, "a JSON object", `Write its fields in braces: ${Object.keys(schema.shape).join(", ")}.`);
  if (value === undefined) fail(record.place, `field "${field}" is missing`, wanted, `Add "${field}".`);
  fail(record.place, `field "${field}" is ${brief(value)}`, wanted, value === null ? "Omit it instead." : hintFor(value, wanted));
}

/** The keys of the object schema at `path`, through arrays, defaults and optionals. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at = unwrap(schema);
  for (const key of path) at = unwrap((typeof key === "number" ? at.element : at.shape?.[String(key)]) as z.ZodType);
  return Object.keys(at.shape ?? {});
}

interface Open {
  shape?: Record<string, z.ZodType>;
  element?: z.ZodType;
  unwrap?: () => z.ZodType;
  def?: { type: string };
}

function unwrap(schema: z.ZodType): Open {
  const open = schema as unknown as Open;
  return open.def?.type === "default" || open.def?.type === "optional" ? unwrap(open.unwrap!()) : open;
}

const aOrAn = (noun: string): string => (noun === "array" ? "a list in brackets" : `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`);
const kindOf = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`;

function brief(value: unknown): string {
  const text = JSON.stringify(shallow(value)) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** A value without what is nested more than three deep, because foreign data may be nested deeply. */
function shallow(value: unknown, depth = 3): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (Array.isArray(value)) return value.slice(0, 20).map((item) => shallow(item, depth - 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, 20)
      .map(([key, item]) => [key, shallow(item, depth - 1)]),
  );
}

function hintFor(value: unknown, wanted: string): string {
  if (wanted === "a string" && (typeof value === "number" || typeof value === "boolean")) return `Put it in quotes: "${value}".`;
  if (wanted === "a list in brackets" && typeof value === "string") return "Put it in brackets.";
  return "";
}
