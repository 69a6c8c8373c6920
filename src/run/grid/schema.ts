/** The schema of a grid file: variables, axes, spec templates, and the report of their results. */
import { z } from "zod";
import { figures, tables } from "./report-schema.ts";

const value = z.json();
const named = z.string().min(1);

const range = z
  .strictObject({
    range: z.union([value, z.tuple([value, value])]).describe("N: the whole numbers from 0 to N-1; or [FROM, TO]: from FROM to TO-1"),
    below: value.optional().describe("a second bound: only numbers below it"),
  })
  .describe("whole numbers, one after the other");

export const gridSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][\w-]*$/, { error: "lower-case letters, digits and hyphens" })
    .describe("the id of the grid, and of the markers between which a page has its tables"),
  doc: z.string().optional().describe("one sentence that says what the grid shows"),
  vars: z.record(named, value).default({}).describe("variables by name, each with its default; --set NAME=VALUE gives another"),
  axes: z
    .record(named, z.union([z.array(value), range], { error: "a list, or { range: N }" }))
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
    .array(z.record(named, value))
    .default([])
    .describe("combinations that are left out: a rule fits when every variable it names has its value, or one of its list"),
  steps: z
    .record(named, z.record(z.string(), value))
    .describe("templates of specs by name; ${NAME} is a variable, or the spec of another step"),
  tables,
  figures,
  shared: value.optional().describe("a place for YAML anchors; nothing else reads it"),
});

export type GridFile = z.output<typeof gridSchema>;
export type Json = z.output<typeof value>;

/** The JSON Schema of a grid file. */
export const gridJsonSchema = (): Record<string, unknown> => ({
  title: "A grid of lethe",
  ...(z.toJSONSchema(gridSchema, { io: "input" }) as Record<string, unknown>),
});
