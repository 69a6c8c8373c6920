/** Suites by name: their columns are metrics over groups of rows, with titles; one JSON file each. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fail, nearest } from "../base/fail.ts";
import { readJson } from "../base/files.ts";
import type { Suite } from "./judge.ts";

const FOLDER = fileURLToPath(new URL("suites/", import.meta.url));

/** The names of all suites. */
export const suiteNames = (): string[] =>
  readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();

/** A suite by its name; refuses an unknown name. */
export function suiteOf(name: string): Suite {
  const names = suiteNames();
  if (names.includes(name)) return readJson(`${FOLDER}${name}.json`, "suite") as Suite;
  const near = nearest(name, names);
  return fail("--suite", `there is no suite "${name}"`, names.join(", "), near ? `Did you mean "${near}"?` : "");
}
