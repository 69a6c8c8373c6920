/**
 * Reads a grid file: checks its YAML against the schema, names line and column in every error, and sets variables from the command line.
 */
import { dirname, join, resolve } from "node:path";
import { isMap, isNode, isScalar } from "yaml";
import { fail } from "../../base/fail.ts";
import { isRecord } from "../../base/store.ts";
import { parseYaml, type Yaml } from "../../base/yaml.ts";
import { readText } from "../../data/records.ts";
import { stepOf } from "../run.ts";
import { checkReport, stepsNamed } from "./check-report.ts";
import { placed } from "./checks.ts";
import { type Place, unknownIn } from "./place.ts";
import { keysAt } from "./report-schema.ts";
import { type GridFile, gridSchema, type Json, UNLESS } from "./schema.ts";

/** A grid file, and the position of its parts in the text. */
export interface ReadGrid {
  readonly grid: GridFile;
  /** The steps that are run: those of the file, and those that its tables and figures name. Other steps are run where these need them. */
  readonly wanted: readonly string[];
  /** `FILE line 3 column 7`, for errors. */
  readonly placeOf: Place;
}

type Path = readonly (string | number)[];

/** The variable that every grid has: the folder of its file. */
const HERE = "here";

/** Reads a grid file. `set` changes variables. Refuses keys and names that are not defined. */
export function readGrid(path: string, set: Readonly<Record<string, string>> = {}): ReadGrid {
  return parseGrid(readText(path), path, set);
}

/** {@link readGrid} of a given text. `path` is used in errors, and its folder is {@link HERE}. */
export function parseGrid(text: string, path: string, set: Readonly<Record<string, string>> = {}): ReadGrid {
  const own = tableIn(text, path);
  const used = usedBy(own, path);
  const value = used ? merged(used.value, own.value) : own.value;
  const placeOf: Place = (at) => {
    const place = positionOf(own.read, at);
    const shared = used && positionOf(used.read, at);
    return shared && place.depth < shared.depth ? `${used.path}${shared.text}` : `${path}${place.text}`;
  };
  const result = gridSchema.safeParse(value);
  if (!result.success) {
    const { issues } = result.error;
    refuse(issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!, value, placeOf); // a misspelt key is reported first, because it explains a missing one
  }
  const grid = result.data!;
  if (Object.keys(grid.steps).length === 0) fail(placeOf(["steps"]), "there is no step", "at least one", "docs/grid.md has an example.");
  checkNames(grid, placeOf);
  checkSteps(grid, placeOf);
  checkReport(grid, placeOf);
  const wanted = [...new Set([...Object.keys(isRecord(own.value["steps"]) ? own.value["steps"] : {}), ...stepsNamed(grid)])];
  return { grid: { ...grid, vars: withSet({ ...grid.vars, [HERE]: dirname(path) }, grid.scales, set, placeOf) }, wanted, placeOf };
}

/** A file of names and values, as it is written. */
interface Written {
  readonly path: string;
  readonly read: Yaml;
  readonly value: Readonly<Record<string, unknown>>;
}

function tableIn(text: string, path: string): Written {
  const read = parseYaml(text, { who: "grid", file: path, at: (line, column) => `${path} line ${line} column ${column}` }, { merge: true });
  return isRecord(read.value)
    ? { path, read, value: read.value }
    : fail(path, "no table of names", "name, steps and the rest", "docs/grid.md has an example.");
}

/** The parts that a file may share with others. */
const SHARED = ["doc", "vars", "scales", "steps", "observations", "records", "shared"];

/** The file that another one uses. Refuses keys that belong to one grid only. */
function usedBy({ value: { use }, read }: Written, path: string): Written | undefined {
  if (typeof use !== "string" || use === "") return undefined;
  const [file, place] = [join(dirname(path), use), `${path}${positionOf(read, ["use"]).text}`];
  if (resolve(file) === resolve(path)) fail(place, "the file uses itself", "another file", "Leave out use:, or name the file to share.");
  const text = placed(
    () => place,
    () => readText(file),
  );
  return shared(text, file);
}

/** The names and values of a file that grids share. */
export const readShared = (path: string): Written["value"] => shared(readText(path), path).value;

function shared(text: string, file: string): Written {
  const found = tableIn(text, file);
  for (const key of Object.keys(found.value))
    if (!SHARED.includes(key)) unknownIn(`${file}${positionOf(found.read, [key]).text}`, `a shared file has no key "${key}"`, key, SHARED);
  return found;
}

/** The members of two files; those of the second one hold where both have a name. */
function merged(used: Written["value"], own: Written["value"]): Record<string, unknown> {
  const both: Record<string, unknown> = { ...used, ...own };
  for (const key of SHARED) if (isRecord(used[key]) && isRecord(own[key])) both[key] = { ...used[key], ...own[key] };
  return both;
}

/**
 * The position of a part of the document, and how much of its path the document has; for a part from a YAML merge, the position of the
 * nearest enclosing part in the text.
 */
function positionOf({ document, placeAt }: Yaml, at: Path): { readonly text: string; readonly depth: number } {
  for (let end = at.length; end >= 0; end--) {
    const parent = end === 0 ? undefined : document.getIn(at.slice(0, end - 1), true);
    const pair = isMap(parent) ? parent.items.find(({ key }) => isScalar(key) && key.value === at[end - 1]) : undefined;
    const node = pair ? pair.key : document.getIn(at.slice(0, end), true);
    if (isNode(node) && node.range) {
      const { line, column } = placeAt(node.range[0]);
      return { text: ` line ${line} column ${column}`, depth: end };
    }
  }
  return { text: "", depth: -1 };
}

type Issue = NonNullable<ReturnType<typeof gridSchema.safeParse>["error"]>["issues"][number];

function refuse(issue: Issue, value: unknown, placeOf: Place): never {
  const path = issue.path as (string | number)[];
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = path.length === 0 ? Object.keys(gridSchema.shape) : (keysAt(path) ?? ["range", "below"]);
    unknownIn(placeOf([...path, key]), `there is no key "${key}"`, key, known);
  }
  const got = path.reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], value);
  const shown = got === undefined ? "nothing" : (JSON.stringify(got) ?? "nothing");
  fail(placeOf(path), `${path.join(".") || "the file"} is ${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown}`, wantedBy(issue), "");
}

/** The words for the schema's types. */
const WORDS: Readonly<Record<string, string>> = {
  string: "a text",
  record: "a table of names",
  object: "a table of names",
  array: "a list",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
};

function wantedBy(issue: Issue): string {
  if (issue.code === "invalid_value") return `one of ${issue.values.join(", ")}`;
  return issue.message.replace(/^Invalid input: expected (\w+),.*$/s, (_, type: string) => WORDS[type] ?? type);
}

/** Refuses a name with two meanings: it is a variable, an axis or a step. */
function checkNames({ vars, axes, steps }: GridFile, placeOf: Place): void {
  for (const name of Object.keys(steps))
    if (Object.hasOwn(vars, name) || Object.hasOwn(axes, name) || name === HERE)
      fail(placeOf(["steps", name]), `the step "${name}" is called like a variable`, "another name", "${NAME} must mean one thing.");
  if (Object.hasOwn(vars, HERE))
    fail(placeOf(["vars", HERE]), `a variable "${HERE}"`, "another name", "It is the folder of the grid file.");
}

/** Checks a spec template: it names its step, and only fields of this step. */
function checkSteps({ steps }: GridFile, placeOf: Place): void {
  for (const [name, template] of Object.entries(steps)) checkTemplate(template, ["steps", name], placeOf);
}

function checkTemplate(part: Json, path: Path, placeOf: Place): void {
  if (Array.isArray(part)) return part.forEach((one, i) => checkTemplate(one, [...path, i], placeOf));
  if (!isRecord(part)) return;
  const isTop = path.length === 2;
  if (isTop && typeof part["step"] !== "string")
    fail(placeOf(path), `"${String(path[1])}" does not say which step it is`, "step: NAME", "For example step: forget.");
  if (typeof part["step"] === "string") {
    const { fields, name } = stepAt(part["step"], placeOf([...path, "step"]));
    for (const key of Object.keys(part))
      if (key !== "step" && !(isTop && key === UNLESS) && !Object.hasOwn(fields, key))
        unknownIn(placeOf([...path, key]), `${name} has no field "${key}"`, key, Object.keys(fields));
  }
  for (const [key, one] of Object.entries(part)) checkTemplate(one as Json, [...path, key], placeOf);
}

function stepAt(name: string, place: string): ReturnType<typeof stepOf> {
  try {
    return stepOf(name);
  } catch (error) {
    if (!(error instanceof Error && "got" in error)) throw error;
    const { got, wanted, hint } = error as unknown as { got: string; wanted: string; hint: string };
    return fail(place, got, wanted, hint);
  }
}

/** The variable that names the scale. */
const SCALE = "scale";

/**
 * The variables with the values of their scale, and of `--set`. The text is read as YAML, so that 5 is a number. Refuses a variable or a
 * scale that the file does not have.
 */
function withSet(
  vars: GridFile["vars"],
  scales: GridFile["scales"],
  set: Readonly<Record<string, string>>,
  placeOf: Place,
): GridFile["vars"] {
  const known = Object.keys(vars).filter((name) => name !== HERE);
  for (const name of Object.keys(set)) if (!known.includes(name)) unknownIn("--set", `there is no variable "${name}"`, name, known);
  for (const [scale, values] of Object.entries(scales))
    for (const name of Object.keys(values))
      if (!known.includes(name)) unknownIn(placeOf(["scales", scale, name]), `there is no variable "${name}"`, name, known);
  const read = (name: string, text: string): Json => {
    const file = `--set ${name}`;
    return parseYaml(text, { who: "grid", file, at: (_, column) => `${file} column ${column}` }).value as Json;
  };
  const given = Object.fromEntries(Object.entries(set).map(([name, text]) => [name, read(name, text)]));
  const scale = given[SCALE] ?? vars[SCALE];
  if (typeof scale !== "string" || Object.keys(scales).length === 0) return { ...vars, ...given };
  if (!Object.hasOwn(scales, scale))
    unknownIn(SCALE in given ? `--set ${SCALE}` : placeOf(["vars", SCALE]), `there is no scale "${scale}"`, scale, Object.keys(scales));
  return { ...vars, ...scales[scale], ...given };
}
