/**
 * Unfolds a grid: one point for each combination of the axes, the specs of its steps, and a list of all distinct specs in an order in which
 * they can run.
 */
import { fail, nearest } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { AnyMethod } from "../../methods/method.ts";
import type { NestedSpec } from "../fields.ts";
import type { Place } from "./place.ts";
import type { ReadGrid } from "./read.ts";
import type { Table } from "./report-schema.ts";
import type { GridFile, Json } from "./schema.ts";

/** A step with everything filled in. */
export interface Unit {
  /** The spec as text: equal specs have one unit. */
  readonly key: string;
  readonly spec: NestedSpec;
  /** The name of its spec template. */
  readonly name: string;
  /** The common part of the points that need it: "rome, single, skip 3". */
  readonly at: string;
  /** Keys of the units whose specs it contains. */
  readonly needs: readonly string[];
  /** The name of its cache; undefined if its points have several caches, or if the grid names none. */
  readonly cache?: string;
}

/** One combination of the axes, as a table sees it. */
export interface Point {
  /** The text of each text column at this point. */
  readonly texts: Readonly<Record<string, string>>;
  /** The unit of each step, by the step's name. */
  readonly units: Readonly<Record<string, string>>;
  /** The seed; empty if the table has no variable for it. */
  readonly seed: string;
  /** `published` of the table, filled in. */
  readonly published?: NonNullable<Table["published"]>;
}

/** The points of a row of a table. */
export interface PointRow {
  readonly at: Readonly<Record<string, Json>>;
  readonly points: readonly Point[];
}

export interface Unfolded {
  readonly units: readonly Unit[];
  /** The rows of each table, by its name. */
  readonly tables: Readonly<Record<string, readonly PointRow[]>>;
}

/** The declaration of a method, which rules and texts can use: `method.takes`. */
type Declared = Readonly<Record<string, Json>>;
export const declaredBy = ({ title, takes, needs, rows }: AnyMethod): Declared => ({
  title,
  takes,
  needs: [...needs],
  trains: rows !== undefined,
});

type Values = Readonly<Record<string, Json>>;

/** One combination of the axes: variables, and a word for each axis. */
interface Combination {
  readonly values: Values;
  readonly words: readonly string[];
}

/** The chosen points: allowed values, as text, of some variables. */
export type Only = Readonly<Record<string, readonly string[]>>;

/**
 * Unfolds a grid. `declared` returns a method's declaration, and `only` chooses points. Refuses an unknown name, and a choice without any
 * point.
 */
export function unfold({ grid, placeOf }: ReadGrid, declared: (method: string) => Declared, only: Only = {}): Unfolded {
  const units = new Map<string, Omit<Unit, "at" | "cache">>();
  const tables = Object.entries(grid.tables).map(([name, table]) => ({ name, table, rows: new Map<string, Growing>() }));
  const common = new Map<string, readonly string[]>();
  const caches = new Map<string, Set<string>>();
  const { cache: ownCache } = grid;
  for (const { values, words } of pointsOf(grid, placeOf)) {
    const here = new Here({ ...grid.vars, ...values }, grid, placeOf, declared);
    if (grid.skip.some((rule, i) => here.fits(rule, ["skip", i]))) continue;
    if (!Object.entries(only).every(([name, wanted]) => wanted.includes(textOf(here.value(name, []))))) continue;
    const cache = ownCache === undefined ? undefined : textOf(here.filled(ownCache, ["cache"]));
    const own: Record<string, string> = {};
    for (const name of Object.keys(grid.steps)) {
      const key = add(units, here.specOf(name), name, here.names);
      own[name] = key;
      common.set(key, common.get(key)?.map((word, i) => (word === words[i] ? word : "")) ?? words);
      if (cache !== undefined) caches.set(key, (caches.get(key) ?? new Set()).add(cache));
    }
    for (const { name, table, rows } of tables) addPoint(rows, here, table, ["tables", name], own);
  }
  const finished = [...units.values()].map((unit): Unit => {
    const [cache, ...others] = caches.get(unit.key) ?? [];
    const at = (common.get(unit.key) ?? []).filter(Boolean).join(", ");
    return { ...unit, at, ...(cache !== undefined && others.length === 0 && { cache }) };
  });
  if (finished.length === 0) fail("grid", "no combination of its axes is left", "at least one", "Check --only, and the rules of skip.");
  return { units: finished, tables: Object.fromEntries(tables.map(({ name, rows }) => [name, [...rows.values()]])) };
}

type Growing = { readonly at: Readonly<Record<string, Json>>; readonly points: Point[] };

/** Adds a point to the row of a table that has its values. */
function addPoint(
  rows: Map<string, Growing>,
  here: Here,
  { rows: variables, columns, seeds, published }: Table,
  path: readonly (string | number)[],
  units: Point["units"],
): void {
  const at = Object.fromEntries(variables.map((name) => [name, here.value(name, [...path, "rows"])]));
  const texts = Object.fromEntries(
    columns.flatMap(({ title, text }, i) =>
      text === undefined ? [] : [[title, textOf(here.filled(text, [...path, "columns", i, "text"]))]],
    ),
  );
  const seed = seeds !== undefined ? textOf(here.value(seeds, [...path, "seeds"])) : here.has(SEED) ? textOf(here.value(SEED, path)) : "";
  const found = rows.get(canonical(at)) ?? { at, points: [] };
  rows.set(canonical(at), found);
  found.points.push({
    texts,
    units,
    seed,
    ...(published && { published: here.filled(published, [...path, "published"]) as typeof published }),
  });
}

/** The variable that is the seed if a table names no other. */
const SEED = "seed";

/** Adds a spec after the specs that it contains. Returns its key. */
function add(units: Map<string, Omit<Unit, "at" | "cache">>, spec: NestedSpec, name: string, names: ReadonlyMap<object, string>): string {
  const key = canonical(spec);
  if (units.has(key)) return key;
  const needs: string[] = [];
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) part.forEach(visit);
    else if (isRecord(part) && typeof part["step"] === "string")
      needs.push(add(units, part as unknown as NestedSpec, names.get(part) ?? part["step"], names));
    else if (isRecord(part)) Object.values(part).forEach(visit);
  };
  Object.values(spec).forEach(visit);
  units.set(key, { key, spec, name, needs: [...new Set(needs)] });
  return key;
}

/** Combinations of a grid, at most: each becomes steps that are run. */
const MOST = 100_000;

/** The combinations of the axes, the first axis slowest. */
function pointsOf(grid: GridFile, placeOf: Place): Combination[] {
  let points: Combination[] = [{ values: {}, words: [] }];
  const vars = new Here(grid.vars, { ...grid, steps: {} }, placeOf, () => ({}));
  for (const [axis, entries] of Object.entries(grid.axes)) {
    const more = listOf(entries, vars, ["axes", axis]).flatMap((entry, i): Combination[] =>
      isRecord(entry) ? membersOf(axis, entry as Values, vars, ["axes", axis, i]) : [{ values: { [axis]: entry }, words: [textOf(entry)] }],
    );
    if (points.length * more.length > MOST)
      fail(placeOf(["axes", axis]), `${points.length * more.length} combinations`, `at most ${MOST}`, "Divide the grid.");
    points = points.flatMap(({ values, words }) =>
      more.map((one) => ({ values: { ...values, ...one.values }, words: [...words, ...one.words] })),
    );
  }
  return points;
}

/** An axis entry that is a table of variables: one combination for each value of the ranges in it. Its label is the value of the axis. */
function membersOf(axis: string, entry: Values, vars: Here, path: readonly (string | number)[]): Combination[] {
  let made: { values: Values; word: string }[] = [{ values: {}, word: textOf(entry[axis] ?? null) }];
  for (const [name, value] of Object.entries(entry)) {
    if (!(isRecord(value) && "range" in value)) {
      made = made.map((one) => ({ ...one, values: { ...one.values, [name]: value } }));
      continue;
    }
    const numbers = listOf(value as never, vars, [...path, name]);
    if (made.length * numbers.length > MOST)
      fail(vars.placeOf([...path, name]), `${made.length * numbers.length} combinations`, `at most ${MOST}`, "Divide the grid.");
    made = made.flatMap(({ values, word }) =>
      numbers.map((n) => ({ values: { ...values, [name]: n }, word: `${word}, ${name} ${String(n)}` })),
    );
  }
  return made.map(({ values, word }) => ({ values, words: [word] }));
}

/** A list as it is, or the numbers of a range. */
function listOf(entries: GridFile["axes"][string], vars: Here, path: readonly (string | number)[]): Json[] {
  if (Array.isArray(entries)) return entries;
  const { range, below } = entries;
  const whole = (value: Json): number => {
    const n = vars.filled(value, path);
    return Number.isSafeInteger(n) && (n as number) >= 0
      ? (n as number)
      : fail(vars.placeOf(path), `a range of ${JSON.stringify(n)}`, "whole numbers", "");
  };
  const [from, to] = Array.isArray(range) ? [whole(range[0]!), whole(range[1]!)] : [0, whole(range)];
  const end = below === undefined ? to : Math.min(to, whole(below));
  if (end - from > MOST) fail(vars.placeOf(path), `a range of ${end - from} numbers`, `at most ${MOST}`, "Divide the grid.");
  return Array.from({ length: Math.max(0, end - from) }, (_, i) => from + i);
}

const textOf = (value: Json): string => (value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** A point: its variables, and the spec templates filled in with them. */
class Here {
  /** The spec template of each spec. */
  readonly names = new Map<object, string>();
  readonly placeOf: Place;
  private readonly values: Values;
  private readonly grid: GridFile;
  private readonly declared: (method: string) => Declared;
  private readonly specs = new Map<string, NestedSpec>();
  private readonly open: string[] = [];

  constructor(values: Values, grid: GridFile, placeOf: Place, declared: (method: string) => Declared) {
    [this.values, this.grid, this.placeOf, this.declared] = [values, grid, placeOf, declared];
  }

  /** Whether a rule applies: each of its variables equals the value, is in the list of values, or is a list with the value. */
  fits(rule: Values, path: readonly (string | number)[]): boolean {
    return Object.entries(rule).every(([name, wanted]) => {
      const own = this.value(name, [...path, name]);
      const any = Array.isArray(wanted) ? wanted : [wanted];
      const all = Array.isArray(own) ? [...own, own] : [own];
      return any.some((one) => all.some((value) => canonical(value) === canonical(one)));
    });
  }

  /** Whether a variable has this name. */
  has(name: string): boolean {
    return Object.hasOwn(this.values, name);
  }

  /** The spec of a step at this point. */
  specOf(name: string): NestedSpec {
    const known = this.specs.get(name);
    if (known) return known;
    const spec = this.within(name, ["steps", name], () =>
      this.filled(this.grid.steps[name]! as Json, ["steps", name]),
    ) as unknown as NestedSpec;
    this.specs.set(name, spec);
    this.names.set(spec, name);
    return spec;
  }

  /** The meaning of a name at this point: a variable, a field of a method's declaration, or the spec of a step. */
  value(name: string, path: readonly (string | number)[]): Json {
    if (Object.hasOwn(this.values, name)) return this.within(name, path, () => this.filled(this.values[name]!, path));
    if (Object.hasOwn(this.grid.steps, name)) return this.specOf(name) as unknown as Json;
    const declared = this.declarations();
    if (Object.hasOwn(declared, name)) return declared[name]!;
    const known = [...Object.keys(this.values), ...Object.keys(this.grid.steps), ...Object.keys(declared)];
    const near = nearest(name, known);
    return fail(this.placeOf(path), `nothing is called "${name}"`, `one of ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "");
  }

  /**
   * A value with every `${name}` replaced. A text that is only one name becomes the value of the name. Members without a value are left
   * out.
   */
  filled(value: Json, path: readonly (string | number)[]): Json {
    if (typeof value === "string") {
      const [, alone] = /^\$\{([^{}]*)\}$/.exec(value) ?? [];
      if (alone !== undefined) return this.value(alone.trim(), path);
      return value.replaceAll(/\$\{([^{}]*)\}/g, (_, name: string) => this.inText(name.trim(), path));
    }
    if (Array.isArray(value)) return value.map((one, i) => this.filled(one, [...path, i])).filter((one) => one !== null);
    if (!isRecord(value)) return value;
    const members = Object.entries(value).map(([key, one]) => [key, this.filled(one as Json, [...path, key])] as const);
    return Object.fromEntries(members.filter(([, one]) => one !== null));
  }

  private inText(name: string, path: readonly (string | number)[]): string {
    const value = this.value(name, path);
    if (typeof value === "object" && value !== null)
      fail(
        this.placeOf(path),
        `"${name}" inside a text`,
        "a text or a number",
        `Write \${${name}} alone where a list or a spec is wanted.`,
      );
    return textOf(value);
  }

  private declarations(): Declared {
    const method = this.values["method"];
    const own = typeof method === "string" && !method.includes("${") ? this.declared(method) : {};
    return Object.fromEntries(Object.entries(own).map(([key, value]) => [`method.${key}`, value]));
  }

  /** Runs the work unless the name is being resolved already (a circle). */
  private within<T>(name: string, path: readonly (string | number)[], work: () => T): T {
    if (this.open.includes(name))
      fail(this.placeOf(path), `"${name}" needs itself: ${[...this.open, name].join(" → ")}`, "a name that does not", "");
    this.open.push(name);
    try {
      return work();
    } finally {
      this.open.pop();
    }
  }
}
