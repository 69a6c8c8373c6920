/** Our own samples.jsonl: one row of named fields per line. */
import { fail, nearest } from "../../base/fail.ts";
import { isRecord } from "../../base/json.ts";
import type { Located } from "../../data/records.ts";
import { type Field, FIELDS, type Kind, type SampleRecord } from "../metric.ts";
import { anObject, aText, defineLogFormat, type Place } from "./log.ts";

const NAMES = Object.keys(FIELDS) as Field[];
/** Numbers that JSON does not support, as texts. */
const NO_NUMBERS = ["NaN", "Infinity", "-Infinity"];

export const samples = defineLogFormat({
  name: "samples",
  title: "Lethe",
  doc: 'samples.jsonl: an id and named fields per line; non-finite numbers are written "NaN", "Infinity", "-Infinity"',
  suite: "tofu",
  claims: ({ lines }) => lines !== undefined && isRecord(lines[0]!.value) && "id" in lines[0]!.value,
  read: (files) => {
    const seen = new Map<string, Place>();
    return { rows: files.flatMap(({ lines }) => lines!.map((line) => rowOf(line, seen))) };
  },
  write: (rows) => rows.map((row) => `${JSON.stringify(plainly(row))}\n`).join(""),
});

/** A row as JSON: non-finite numbers become texts. */
export const plainly = (row: SampleRecord): unknown =>
  JSON.parse(JSON.stringify(row, (_, value: unknown) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value)));

function rowOf({ value, place }: Located, seen: Map<string, Place>): SampleRecord {
  const { id: given, ...fields } = anObject(value, place);
  const id = aText(given, `${place} id`);
  const before = seen.get(id);
  if (before) fail(place, `the id "${id}" is also at ${before}`, "unique ids", "Give each row its own id.");
  seen.set(id, place);
  const read = Object.entries(fields).map(([name, of]) => {
    const kind = Object.hasOwn(FIELDS, name) ? FIELDS[name as Field][0] : undefined;
    const near = nearest(name, NAMES);
    if (!kind) fail(place, `field "${name}" is not known`, NAMES.join(", "), near ? `Did you mean "${near}"?` : "Remove it.");
    return [name, READERS[kind](of, `${place} ${name}`)] as const;
  });
  return { id, ...Object.fromEntries(read) };
}

function numberOf(value: unknown, place: Place): number {
  if (typeof value === "number") return value;
  if (NO_NUMBERS.includes(value as string)) return Number(value);
  return fail(place, (JSON.stringify(value) ?? "nothing").slice(0, 60), "a number", "Write it without quotes.");
}

const listOf =
  <T>(one: (value: unknown, place: Place) => T) =>
  (value: unknown, place: Place): T[] =>
    Array.isArray(value)
      ? value.map((item, i) => one(item, `${place} item ${i}`))
      : fail(place, (JSON.stringify(value) ?? "nothing").slice(0, 60), "a list in brackets", "Put it in brackets.");

const READERS: Readonly<Record<Kind, (value: unknown, place: Place) => unknown>> = {
  text: aText,
  number: numberOf,
  numbers: listOf(numberOf),
  texts: listOf(aText),
};

const NUMBER = { anyOf: [{ type: "number" }, { enum: NO_NUMBERS }] };
const SHAPES: Readonly<Record<Kind, object>> = {
  text: { type: "string" },
  number: NUMBER,
  numbers: { type: "array", items: NUMBER },
  texts: { type: "array", items: { type: "string" } },
};

/** The JSON Schema of a line of samples.jsonl. */
export const samplesSchema = (): object => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "A line of samples.jsonl",
  description: "One sample: its id and its measured fields. Losses and log-probabilities are in nats.",
  type: "object",
  required: ["id"],
  additionalProperties: false,
  properties: {
    id: { type: "string", description: "The sample's id, which no other line has." },
    ...Object.fromEntries(Object.entries(FIELDS).map(([name, [kind, description]]) => [name, { description, ...SHAPES[kind] }])),
  },
});
