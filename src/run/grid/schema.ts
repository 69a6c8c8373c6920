/** The schema of a grid file: variables, axes, spec templates, and the report of their results. */
import { z } from "zod";
import { answers, figures, observations, tables } from "./report-schema.ts";

const value = z.json();
const named = z.string().min(1);

/** The key of rules in a template of a step. */
export const UNLESS = "unless";
const rule = z.record(named, value);

const range = z
  .strictObject({
    range: z.union([value, z.tuple([value, value])]).describe("N: the whole numbers from 0 to N-1; or [FROM, TO]: from FROM to TO-1"),
    below: value.optional().describe("a second bound: only numbers below it"),
  })
  .describe("whole numbers, one after the other");

const alone = z.string().regex(/^\$\{[^{}]+\}$/, { error: "a list, { range: N }, or ${NAME} of a variable with a list" });

export const gridSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][\w-]*$/, { error: "lower-case letters, digits and hyphens" })
    .describe("the id of the grid, and of the markers between which a page has its tables"),
  doc: z.string().optional().describe("one sentence that says what the grid shows"),
  use: z.string().min(1).optional().describe("a file with vars, scales and steps that this file shares; the path is relative to this file"),
  scales: z
    .record(named, z.record(named, value))
    .default({})
    .describe("other values of variables by scale; the variable scale says which of them holds: --set scale=NAME"),
  vars: z.record(named, value).default({}).describe("variables by name, each with its default; --set NAME=VALUE gives another"),
  axes: z
    .record(named, z.union([z.array(value), range, alone], { error: "a list, { range: N }, or ${NAME} of a variable with a list" }))
    .default({})
    .describe("what varies: a list for each axis; an entry is the value of the variable of that name, or a table of variables"),
  cache: z
    .string()
    .min(1)
    .optional()
    .describe(
      "a name with variables in it: steps of different names find nothing in each other's cache, so that the seconds of each hold all that it takes",
    ),
  skip: z
    .array(rule)
    .default([])
    .describe("combinations that are left out: a rule fits when every variable it names has its value, or one of its list"),
  steps: z
    .record(named, z.record(z.string(), value).and(z.object({ [UNLESS]: z.array(rule).optional() })))
    .describe(
      "templates of specs by name; ${NAME} is a variable, or the spec of another step; a template is left out where a rule of its unless fits",
    ),
  tables,
  figures,
  answers,
  observations,
  needs: z
    .record(named, z.union([z.string(), z.number()]))
    .optional()
    .describe("what every step needs of a worker of a queue, such as device: gpu; memory and threads are known"),
  records: named.optional().describe("a folder of committed records that count as done; lethe grid records FILE -o FOLDER fills it"),
  shared: value.optional().describe("a place for YAML anchors; nothing else reads it"),
});

export type GridFile = z.output<typeof gridSchema>;
export type Json = z.output<typeof value>;

/** The JSON Schema of a grid file. */
export const gridJsonSchema = (): Record<string, unknown> => ({
  title: "A grid of lethe",
  ...(z.toJSONSchema(gridSchema, { io: "input" }) as Record<string, unknown>),
});
