/** The schema of a grid's report: its tables, and the figures that are drawn from them. */
import { z } from "zod";

const value = z.json();
const named = z.string().min(1);

/** The shares of a proof: the target is said after the first search, after the second one, or not. Together they are 1. */
export const PROVEN = ["first", "again", "failed"] as const;
/** What an attack recovers: as the request is, the mean attempt, and the best of all attempts. */
export const RECOVERED = ["direct", "mean", "worst"] as const;

const column = z
  .strictObject({
    title: named.describe("the heading"),
    text: z.string().optional().describe('a text with ${name} in it, such as "${method.title}"'),
    number: named.optional().describe("the number of an evaluation, by its title"),
    sample: z
      .enum(["question", "answer", "generation"])
      .optional()
      .describe("a text of one question: what was asked, the right answer, or what the model said"),
    row: z.int().min(1).optional().describe("with `sample`: which question of the evaluation, counted from 1; the first by default"),
    of: named.optional().describe("the evaluation that `number` or `sample` is of"),
    facts: z
      .boolean()
      .optional()
      .describe("with `number`: a question and its paraphrases are drawn together, so the interval is a bootstrap over facts"),
    before: named.optional().describe("an evaluation whose number stands before an arrow"),
    seconds: named.optional().describe("the step whose time is told, all attempts together"),
    first: z.boolean().optional().describe("of the first step of a row: how many seconds it took more than the median of the others"),
    per: named.optional().describe("a step whose rows divide the seconds or the bytes"),
    bytes: named.optional().describe("the step whose result's bytes are told"),
    rows: named.optional().describe("the step whose rows are counted"),
    proof: named.optional().describe("the forgetting whose proof is shown; needs `share`"),
    recovered: named.optional().describe("the attack whose recovered part of the answers is shown; needs `share`"),
    share: z
      .enum([...PROVEN, ...RECOVERED])
      .optional()
      .describe(
        "with `proof`: the questions answered with the target after the first search, after the second, or not at all; with `recovered`: of the request as it is, of an attempt, or of the best attempt",
      ),
    as: z
      .enum(["percent", "count", "number", "minutes", "KiB", "MB"])
      .optional()
      .describe("how the value is written; count: a share as so many of so many rows"),
    decimals: z.int().min(0).max(6).optional().describe("digits after the point"),
  })
  .describe("a column: one of text, sample, number, seconds, bytes, rows, proof and recovered says what it holds");

const variables = z.record(named, value);

const published = z
  .strictObject({
    file: named.describe("a JSON file: a list of published figures, each an object with a value and what it is the value of"),
    match: variables.default({}).describe("what a figure of this table must say, such as paper, table and method; ${name} is filled in"),
    columns: z
      .record(
        named,
        z.strictObject({
          match: variables.describe("what a figure of this column must say besides, such as metric and group"),
          scale: z.number().positive().default(1).describe("the factor from the published unit to ours: 0.01 for per cent"),
        }),
      )
      .describe("by the title of the column"),
  })
  .describe("published figures, which are shown beside ours");

const order = z
  .strictObject({
    column: named.describe("the title of a column of numbers"),
    a: variables.describe("variables of `rows` with their values: the one side"),
    b: variables.describe("the same for the other side; variables that neither names agree in both rows"),
    is: z.enum(["higher", "lower"]).optional().describe("what the paper says of a beside b, where it has no figures of both"),
    shows: named.optional().describe("the observation that the order is a part of"),
    protocol: z.enum(["corrected", "published"]).default("corrected").describe("how the edits of both rows were made"),
  })
  .describe("two rows whose order in the paper is tested on our runs");

const top = z
  .strictObject({
    title: z.string().optional().describe("the heading of the table of counts"),
    of: named.describe("the variable of `rows` whose values are counted, such as method"),
    best: z.int().min(1).default(2).describe("the best so many of a column count"),
    columns: z.array(named).min(1).describe("the titles of the columns of numbers in which the best are counted"),
    without: z.array(value).default([]).describe("values of the variable that take no part"),
  })
  .describe("a second table: how often each value of a variable is among the best of a column");

const table = z.strictObject({
  title: z.string().optional().describe("the heading above the table"),
  caption: z.string().optional().describe("a sentence below the table"),
  rows: z
    .array(named)
    .min(1)
    .describe("the variables that tell rows apart: points that agree in them share a row, which shows means and medians"),
  columns: z.array(column).min(1),
  seeds: named.optional().describe("the variable whose values are seeds; the default is `seed`, if the grid has it"),
  base: z
    .union([named, variables])
    .optional()
    .describe(
      "the untouched model, against which rows are tested: an evaluation, which becomes a row of its own, or variables of `rows` with the values that tell its rows",
    ),
  compare: z.boolean().default(true).describe("test the rows against the best one and against the base"),
  published: published.optional(),
  differs: z.array(z.string().min(1)).default([]).describe("what is different from the published setting, a sentence each"),
  top: top.optional(),
  orders: z.array(order).default([]).describe("published orders of two rows, each with our verdict"),
});

const drawn = {
  title: z.string().optional().describe("the heading above the figure"),
  caption: z.string().optional().describe("a sentence below the figure"),
  table: named.describe("the table whose rows are drawn"),
  only: variables.optional().describe("only rows in which these variables of `rows` have this value, or one of this list"),
};
const columnTitle = named.describe("the title of a column of numbers");

const figure = z
  .discriminatedUnion(
    "kind",
    [
      z.strictObject({ kind: z.literal("bars"), ...drawn, columns: z.array(columnTitle).min(1) }).describe("bars with their intervals"),
      z.strictObject({ kind: z.literal("radar"), ...drawn, columns: z.array(columnTitle).min(3) }).describe("a polygon for each row"),
      z
        .strictObject({ kind: z.literal("frontier"), ...drawn, x: columnTitle, y: columnTitle })
        .describe("what is forgotten against what is kept: a mark for each row, with both intervals"),
      z
        .strictObject({ kind: z.literal("curve"), ...drawn, x: named.describe("a variable of `rows` with numbers"), y: columnTitle })
        .describe("a number by a variable, such as a sample size; a line for rows that differ in this variable alone"),
      z
        .strictObject({ kind: z.literal("losses"), ...drawn, of: named.describe("a step that trains: finetune or forget") })
        .describe("the loss by step of the training"),
      z
        .strictObject({ kind: z.literal("sweep"), ...drawn, of: named.describe("a step of the kind attack") })
        .describe("how much of the answers an attack recovers, by its number of attempts"),
    ],
    { error: "a kind: bars, radar, frontier, curve, losses or sweep" },
  )
  .describe("a figure");

const answersOf = z
  .strictObject({
    table: named.describe("the table whose rows gave the answers"),
    before: named.describe("the evaluation of the untouched model"),
    after: named.describe("the evaluation of the row's model"),
    group: named.default("forget").describe("the group of the suite whose questions are written"),
  })
  .describe("a file of answers for people to rate: each question with the right answer, and the model's answers before and after");

/** Tables by their names, and the place of the names in files and pages. */
export const tables = z
  .record(z.string().regex(/^[a-z][\w-]*$/, { error: "lower-case letters, digits and hyphens" }), table)
  .default({})
  .describe("the tables that the records make, by name");

export const figures = z
  .record(z.string().regex(/^[a-z][\w-]*$/, { error: "lower-case letters, digits and hyphens" }), figure)
  .default({})
  .describe("the figures that the tables make, by name");

export const answers = z
  .record(z.string().regex(/^[a-z][\w-]*$/, { error: "lower-case letters, digits and hyphens" }), answersOf)
  .default({})
  .describe("files of answers for people to rate, by name");

export const observations = z
  .record(named, z.string().min(1))
  .default({})
  .describe("what a paper concludes, a sentence each, by its number; `shows` of an order names it");

/** The name of the table of counts of a table. */
export const topName = (table: string): string => `${table}-top`;

/** The names of all tables of a grid, as its report has them. */
export const tableNames = (tables: Readonly<Record<string, Table>>): string[] =>
  Object.entries(tables).flatMap(([name, { top: counts }]) => (counts ? [name, topName(name)] : [name]));

export type Answers = z.output<typeof answersOf>;
export type Column = z.output<typeof column>;
export type Table = z.output<typeof table>;
export type Figure = z.output<typeof figure>;

/** The keys of each part with fixed keys, for "did you mean": the path tells which part it is. */
export function keysAt(path: readonly (string | number)[]): readonly string[] | undefined {
  const [part, , inner] = path;
  if (part === "figures") return [...new Set(figure.options.flatMap(({ shape }) => Object.keys(shape)))];
  if (part === "answers") return Object.keys(answersOf.shape);
  if (part !== "tables") return undefined;
  if (inner === undefined) return Object.keys(table.shape);
  if (inner === "columns") return Object.keys(column.shape);
  if (inner === "orders") return Object.keys(order.shape);
  if (inner === "top") return Object.keys(top.shape);
  return inner === "published" ? [...Object.keys(published.shape), "scale"] : undefined;
}
