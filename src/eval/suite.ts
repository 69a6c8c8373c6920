/** Suites by name: which metrics of which rows, under which titles; one JSON file each, ours or the caller's. */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { defaultContext } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { readJson } from "../base/files.ts";
import { named, type Plugged } from "../base/plugin.ts";
import { check } from "../data/records.ts";
import { metricsOf, type Suite } from "./judge.ts";
import { type Field, FIELDS } from "./metric.ts";

const FOLDER = fileURLToPath(new URL("suites/", import.meta.url));

/** The suites that come with Lethe. */
export const suiteNames = (): string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();

const text = z.string().refine((value) => value.trim() !== "", { error: "a text that is not empty" });
const suiteSchema = z.strictObject({
  name: text,
  doc: text,
  columns: z
    .array(
      z.strictObject({
        title: text,
        metric: text,
        group: text.optional(),
        better: z.enum(["higher", "lower", "reference"]).optional(),
      }),
    )
    .min(1),
  fields: z.array(z.enum(Object.keys(FIELDS) as [Field, ...Field[]])).optional(),
  against: z.literal("base").optional(),
});

/** A suite by its name, or of a file FILE.json; refuses one that is not there, and a file that says what no suite can be. */
export function suiteOf(name: string, ctx: Plugged = defaultContext()): Suite {
  const names = suiteNames();
  if (names.includes(name)) return readJson(`${FOLDER}${name}.json`, "suite") as Suite;
  if (name.endsWith(".json")) return suiteIn(name, names, ctx);
  const near = nearest(name, names);
  const hint = near ? `Did you mean "${near}"?` : "A suite of your own is named by its file, FILE.json.";
  return fail("--suite", `there is no suite "${name}"`, names.join(", "), hint);
}

function suiteIn(path: string, taken: readonly string[], ctx: Plugged): Suite {
  if (!existsSync(path)) fail("--suite", `there is no file ${path}`, "a suite as JSON: name, doc, columns", "docs/extend.md has one.");
  const { name, columns, ...rest } = check(suiteSchema, { value: readJson(path, "suite"), at: 1, place: path });
  if (taken.includes(name)) fail("--suite", `${path} has the name "${name}"`, "a name that is free", "A suite of Lethe has it.");
  for (const { metric } of columns) named(`${path}: metric`, metricsOf(ctx), metric);
  return { name, columns, ...rest } as Suite;
}
