/** The table of what was measured of methods: its rows, the row that is nearest to a wish, and what many requests leave of other answers. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { fail } from "../base/fail.ts";
import { canonical, hash, type Hash } from "../base/hash.ts";
import { parseJson, readUtf8, writeAtomic } from "../base/store.ts";

const share = z.number().min(0).max(1).nullable();
const amount = z.number().positive().nullable(); // null, never 0, is what was not measured

const rowSchema = z.strictObject({
  method: z.string().min(1),
  mode: z.enum(["single", "batch", "sequential"]),
  /** Requests of one edit. */
  requests: z.int().min(1),
  /** Facts behind the shares: those of all edits of the row together. */
  facts: z.int().min(1),
  /** Parameters and quirks that differ from the defaults. */
  set: z.record(z.string(), z.unknown()),
  /** Inputs of methods that were given to it, by the names of their needs. */
  given: z.array(z.string()),
  /** Shares: answers that are the target; answers that are gone, to the question and to a paraphrase; other answers that are kept. */
  target: share,
  gone: share,
  rephrased: share,
  others: share,
  /** The 95 % interval of `others`. */
  interval: z.tuple([z.number(), z.number()]).nullable(),
  /** Seconds for one request. */
  seconds: amount,
  /** Peak memory of the process, and the size of the edit's file; bytes. */
  peak: amount,
  bytes: amount,
  /** The kind of change; and for weights, whether it has a low rank, which a LoRA adapter needs. */
  kind: z.enum(["delta", "adapter", "prompt"]).nullable(),
  isLowRank: z.boolean().nullable(),
  /** The model by name, and by the hash of its content; a row without the hash is of the model that another row with this name has. */
  model: z.strictObject({ name: z.string(), id: z.string().nullable() }),
  machine: z.string().nullable(),
  /** The hash of the code that made the edit. */
  code: z.string().nullable(),
  /** Year, month and day. */
  date: z.string().nullable(),
  /** The grid, or the page, that the row comes from. */
  from: z.string(),
});

/** One method in one mode with one number of requests, as a grid measured it. A null was not measured. */
export type MeasuredRow = Readonly<z.output<typeof rowSchema>>;

/** The table that comes with the package: a row a line, as JSON. */
export const SHIPPED = fileURLToPath(new URL("../../studies/measured.jsonl", import.meta.url));

const WAY = "lethe grid measured FILE -o TABLE makes one.";

/** The rows of a table. Refuses a file of another form with the line and the field. */
export function readMeasured(path: string = SHIPPED): readonly MeasuredRow[] {
  if (!existsSync(path)) fail("auto", `there is no ${path}`, "the table of what was measured", WAY, "unavailable");
  const lines = readUtf8(path, "auto").split("\n");
  return lines.flatMap((line, i) => {
    if (line.trim() === "") return [];
    const at = `${path} line ${i + 1}`;
    const read = rowSchema.safeParse(parseJson(line, at, "auto"));
    if (read.success) return [read.data];
    const { path: field, message } = read.error.issues[0]!;
    return fail("auto", `${at}: ${field.join(".") || "row"}: ${message}`, "a row of what was measured", WAY);
  });
}

/** Puts rows into a table, in the place of those about the same. Returns the number of rows that it has then. */
export function putRows(path: string, newer: readonly MeasuredRow[]): number {
  const older = existsSync(path) ? readMeasured(path) : [];
  const rows = [...new Map([...older, ...newer].map((row) => [keyOf(row), row])).values()].sort(
    (a, b) => compare(a.method, b.method) || compare(a.mode, b.mode) || a.requests - b.requests || compare(keyOf(a), keyOf(b)),
  );
  writeAtomic(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return rows.length;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** What a row is about. A later row about the same replaces it. */
const keyOf = ({ method, mode, requests, facts, set, model }: MeasuredRow): string =>
  canonical([method, mode, requests, facts, set, model.name]);

/** The hash of the rows: a choice by the table depends on it. */
export const measuredId = (): Hash => hash(readMeasured());

/** The edit that a row is looked up for. */
export interface Wanted {
  readonly method: string;
  readonly mode: MeasuredRow["mode"];
  readonly requests: number;
  /** The hash of the model's content. */
  readonly model: string;
}

/** A row for an edit. `isBeyond`: the edit has more requests than every row. `isOwn`: it was measured on this model. */
export interface Nearest {
  readonly row: MeasuredRow;
  readonly isBeyond: boolean;
  readonly isOwn: boolean;
}

/**
 * The row for an edit: measured on this model if there is one; then with the nearest number of requests that is not smaller, else with the
 * largest number. Of equal rows: the one with the fewest settings, then the most facts, then the newest.
 */
export function nearestRow(rows: readonly MeasuredRow[], wanted: Wanted): Nearest | undefined {
  const { found, isOwn } = rowsFor(rows, wanted);
  const size = sizeOf(wanted);
  const enough = found.filter(({ requests }) => requests >= size);
  const from = enough.length > 0 ? enough : found;
  const best = enough.length > 0 ? Math.min(...from.map(({ requests }) => requests)) : Math.max(...from.map(({ requests }) => requests));
  const row = from.filter(({ requests }) => requests === best).sort(byWorth)[0];
  return row && { row, isBeyond: enough.length === 0, isOwn };
}

/** Requests of one edit. */
const sizeOf = ({ mode, requests }: Wanted): number => (mode === "single" ? 1 : requests);

/** The rows of a method in a mode: with one request the modes do not differ. Those of this model alone, if there are any. */
function rowsFor(
  rows: readonly MeasuredRow[],
  { method, mode, model }: Wanted,
): { readonly found: MeasuredRow[]; readonly isOwn: boolean } {
  const names = new Set(rows.flatMap((row) => (row.model.id === model ? [row.model.name] : [])));
  const all = rows.filter((row) => row.method === method && (row.requests === 1 || row.mode === mode));
  const own = all.filter(({ model: { id, name } }) => (id === null ? names.has(name) : id === model));
  return own.length > 0 ? { found: own, isOwn: true } : { found: all, isOwn: false };
}

const byWorth = (a: MeasuredRow, b: MeasuredRow): number =>
  Object.keys(a.set).length - Object.keys(b.set).length ||
  b.facts - a.facts ||
  compare(b.date ?? "", a.date ?? "") ||
  compare(a.from, b.from);

/** The share of other answers that must be kept: below it, more requests cost too much. */
const LEAST_KEPT = 0.95;
/** The part of the number of requests at that limit from which a warning is given. */
const NEAR = 0.8;

type Point = MeasuredRow & { readonly others: number };

/** The rows of one model by their number of requests, one for each, that have a share of kept answers. */
function curveOf(found: readonly MeasuredRow[]): Point[] {
  const all = found.filter((row): row is Point => row.others !== null);
  const models = [...new Set(all.map(({ model }) => model.name))].map((name) => all.filter(({ model }) => model.name === name));
  const own = models.sort((a, b) => b.length - a.length)[0] ?? [];
  const sizes = [...new Set(own.map(({ requests }) => requests))].sort((a, b) => a - b);
  return sizes.map((size) => own.filter(({ requests }) => requests === size).sort(byWorth)[0]!);
}

/**
 * The number of requests at which the kept share of others falls below the limit: on the line between two rows, or that of the first row if it
 * is below. Undefined if no row is below.
 */
function limitIn(curve: readonly Point[]): number | undefined {
  const at = curve.findIndex(({ others }) => others < LEAST_KEPT);
  if (at < 0) return undefined;
  const [before, after] = [curve[at - 1], curve[at]!];
  if (!before) return after.requests;
  const part = (before.others - LEAST_KEPT) / (before.others - after.others);
  return before.requests + part * (after.requests - before.requests);
}

/** What is said of an edit that has many requests, and whether it is a warning. */
export interface Told {
  readonly kind: "warning" | "note";
  readonly text: string;
}

/**
 * What was measured of an edit with so many requests: a warning near and above the number at which others fall below 95 %, a note above the
 * largest row. Undefined if neither holds. Between rows the value is on a line; outside of them nothing is estimated.
 */
export function tellMany(rows: readonly MeasuredRow[], wanted: Wanted & { readonly title: string }): Told | undefined {
  const { mode, title } = wanted;
  const size = sizeOf(wanted);
  const { found, isOwn } = rowsFor(rows, wanted);
  const curve = curveOf(found);
  const last = curve.at(-1);
  if (!last || last.requests === 1 || size === 1) return undefined; // one request says nothing of many
  const limit = limitIn(curve);
  const subject = `${mode === "batch" ? "a batch" : "a sequence"} of ${size} requests by ${title}`;
  const where = (used: readonly MeasuredRow[]): string =>
    `measured with ${used.map(({ requests }) => requests).join(" and ")} request${used.at(-1)!.requests === 1 ? "" : "s"} on ${last.model.name}${isOwn ? "" : ", which is another model"}`;
  if (size > last.requests) {
    const kept = `${percent(last.others)} of other answers were kept${within(last)}; more requests were not measured`;
    return { kind: limit === undefined ? "note" : "warning", text: `${subject}: ${kept} (${where([last])})` };
  }
  if (limit === undefined || size < NEAR * limit) return undefined;
  const upper = curve.findIndex(({ requests }) => requests >= size);
  const used = curve.slice(Math.max(0, upper - (curve[upper]!.requests === size ? 0 : 1)), upper + 1);
  const below = `they fall below ${percent(LEAST_KEPT)} at about ${Math.ceil(limit)} requests`;
  return { kind: "warning", text: `${subject}: ${keptBetween(used, size)}; ${below} (${where(used)})` };
}

/** What rows on both sides of a number of requests, or the row with this number, say of kept answers. */
function keptBetween([from, to = from]: readonly Point[], size: number): string {
  if (from!.requests > size) return `already ${from!.requests} requests keep ${percent(from!.others)} of other answers${within(from!)}`;
  if (from === to) return `${percent(from!.others)} of other answers were kept${within(from!)}`;
  const part = (size - from!.requests) / (to!.requests - from!.requests);
  return `about ${percent(from!.others + part * (to!.others - from!.others))} of other answers are kept`;
}

const within = ({ interval }: MeasuredRow): string =>
  interval === null ? "" : ` (95 % interval ${interval.map((bound) => (100 * bound).toFixed(1)).join(" to ")})`;

/** A share as people read it. */
export const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
