/** Maps the columns of a table to the fields of a request. */
import { fail, nearest } from "../base/fail.ts";
import { isRecord } from "../base/store.ts";
import type { Located } from "./records.ts";

/** The fields that a column can fill; list fields take several columns. */
const FIELDS = ["id", "subject", "prompt", "answer", "aliases", "paraphrases", "wrong", "restated", "relation", "group"] as const;
const LISTS: readonly string[] = ["aliases", "paraphrases", "wrong"];

/** Each field with the columns that fill it. */
export type Columns = ReadonlyMap<string, readonly string[]>;

/**
 * Reads `prompt=question,answer=reply,wrong=b,wrong=c`: field, then column. A column may be nested: `answer=answers.text.0`.
 * Refuses unknown fields, and two columns for a field that is not a list.
 */
export function parseColumns(text: string): Columns {
  const columns = new Map<string, string[]>();
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    const [field, column] = [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    if (at < 1 || column === "") fail("--columns", `"${part}"`, "field=column", "For example --columns prompt=question,answer=reply.");
    if (!(FIELDS as readonly string[]).includes(field)) {
      const near = nearest(field, FIELDS);
      fail(
        "--columns",
        `there is no field "${field}"`,
        FIELDS.join(", "),
        near ? `Did you mean "${near}"?` : "Write the field first: prompt=question.",
      );
    }
    const known = columns.get(field);
    if (known && !LISTS.includes(field))
      fail("--columns", `"${field}" is given twice`, `one column; only ${LISTS.join(" and ")} are lists`, "");
    if (known) known.push(column);
    else columns.set(field, [column]);
  }
  if (!columns.has("prompt"))
    fail("--columns", "no column for prompt", "the column of the questions", "For example --columns prompt=question.");
  return columns;
}

/** Fields that keep a column of their own name without being asked for. */
const KEPT: readonly string[] = [...FIELDS, "neighbours"];

/**
 * Rows with our fields instead of their columns. A column of a field's name keeps its place, unless the field is filled from another column or the
 * column fills another field; other columns are dropped. Refuses a column that no row has.
 */
export function arrange(records: readonly Located[], columns: Columns, name: string): Located[] {
  for (const column of [...columns.values()].flat())
    if (!records.some(({ value }) => at(value, column) !== undefined)) {
      const known = [...new Set(records.slice(0, 100).flatMap(({ value }) => (isRecord(value) ? Object.keys(value) : [])))];
      const near = nearest(column, known);
      fail(
        name,
        `no row has a column "${column}"`,
        known.slice(0, 30).join(", ") || "rows with columns",
        near ? `Did you mean "${near}"?` : "",
      );
    }
  const taken = new Set([...columns.keys(), ...[...columns.values()].flat()]);
  return records.map((record) => {
    const { value } = record;
    if (!isRecord(value)) return record; // the reader of requests reports it
    const kept = Object.entries(value).filter(([name, cell]) => KEPT.includes(name) && !taken.has(name) && cell !== null && cell !== "");
    const fields = [...columns].map(([field, from]) => {
      const found = from.map((column) => at(value, column)).filter((cell) => cell !== undefined && cell !== null);
      return [field, LISTS.includes(field) ? found.flatMap(listOf) : found[0]] as const;
    });
    return {
      ...record,
      value: Object.fromEntries([
        ...kept.map(([field, cell]) => [field, fieldOf(field, cell)]),
        ...fields.filter(([, cell]) => cell !== undefined).map(([field, cell]) => [field, textOf(cell)]),
      ]) as unknown,
    };
  });
}

/** Rows of a table whose columns have the names of our fields: a list in a cell becomes a list, a number becomes a text. */
export const asFields = (records: readonly Located[]): Located[] =>
  records.map((record) => {
    if (!isRecord(record.value)) return record;
    const fields = Object.entries(record.value).map(([field, cell]) => [field, fieldOf(field, cell)]);
    return { ...record, value: Object.fromEntries(fields) as unknown };
  });

/** A cell by its column's name, or by a path of nested names. */
function at(value: unknown, column: string): unknown {
  if (isRecord(value) && Object.hasOwn(value, column)) return value[column];
  const dot = column.lastIndexOf(".");
  if (dot < 0) return undefined;
  const [outer, inner] = [at(value, column.slice(0, dot)), column.slice(dot + 1)];
  return typeof outer === "object" && outer !== null && Object.hasOwn(outer, inner) ? (outer as Record<string, unknown>)[inner] : undefined;
}

/** A cell as the value of its field. */
const fieldOf = (field: string, cell: unknown): unknown =>
  LISTS.includes(field) ? listOf(cell) : field === "neighbours" ? (typeof cell === "string" ? (inJson(cell) ?? cell) : cell) : textOf(cell);

/** The names that others give to what fills a field, the likeliest first. */
const CALLED: readonly (readonly [field: (typeof FIELDS)[number], names: readonly string[]])[] = [
  ["prompt", ["prompt", "question", "query", "instruction", "input", "src", "problem", "text"]],
  [
    "answer",
    [
      "answer",
      "answers",
      "ground_truth",
      "target_true",
      "gold",
      "target",
      "output",
      "response",
      "completion",
      "reply",
      "label",
      "target_new",
    ],
  ],
  ["subject", ["subject", "entity", "name", "person", "topic"]],
  [
    "paraphrases",
    ["paraphrases", "rephrase_prompt", "rephrased_question", "paraphrased_question", "rephrase", "paraphrase", "paraphrase_prompts"],
  ],
  ["wrong", ["wrong", "target_new", "perturbed_answer", "distractor", "alt"]],
];

/** What `--columns` would say of rows with these columns, filled in from their own names; undefined where none looks like a question. */
export function suggestColumns(records: readonly Located[]): string | undefined {
  const row = records.map(({ value }) => value).find(isRecord);
  if (!row) return undefined;
  const leaves = leavesOf(row);
  const taken = new Set<string>();
  const suggested = CALLED.flatMap(([field, names]) => {
    const ends = (column: string, name: string): boolean => {
      const parts = column
        .toLowerCase()
        .split(".")
        .filter((part) => !/^(\d+|str|text|value)$/.test(part) || part === name);
      return parts.at(-1) === name;
    };
    const free = leaves.filter(([column]) => !taken.has(column));
    const named = names.flatMap((name) => free.filter(([column]) => ends(column, name)))[0];
    const asking = field === "prompt" ? free.find(([, cell]) => typeof cell === "string" && cell.trim().endsWith("?")) : undefined;
    const [column] = named ?? asking ?? [];
    if (column === undefined || column.includes(",") || column.includes("=")) return [];
    taken.add(column);
    return [`${field}=${column}`];
  });
  return suggested[0]?.startsWith("prompt=") ? suggested.join(",") : undefined;
}

/** Texts and numbers of a row by their path, three deep. */
function leavesOf(row: Readonly<Record<string, unknown>>, depth = 3): [column: string, cell: unknown][] {
  return Object.entries(row).flatMap(([key, cell]): [string, unknown][] => {
    if (typeof cell === "string" || typeof cell === "number") return [[key, cell]];
    if (depth === 1 || typeof cell !== "object" || cell === null) return [];
    const inner = Array.isArray(cell) ? { 0: cell[0] as unknown } : (cell as Record<string, unknown>);
    return leavesOf(inner, depth - 1).map(([name, of]) => [`${key}.${name}`, of]);
  });
}

/** A list, a list in JSON in a cell, or one text. */
function listOf(cell: unknown): unknown[] {
  if (Array.isArray(cell)) return cell.map(textOf);
  const list = typeof cell === "string" ? inJson(cell) : undefined;
  return list ? list.map(textOf) : [textOf(cell)];
}

/** A list that a cell holds as JSON. */
function inJson(cell: string): unknown[] | undefined {
  if (!cell.trim().startsWith("[")) return undefined;
  try {
    const list: unknown = JSON.parse(cell);
    return Array.isArray(list) ? list : undefined;
  } catch {
    return undefined;
  }
}

/** Numbers and booleans of a table become texts; other values are checked by the reader. */
const textOf = (cell: unknown): unknown =>
  (typeof cell === "number" && Number.isFinite(cell)) || typeof cell === "boolean" ? String(cell) : cell;
