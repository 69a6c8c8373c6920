/**
 * Unfolds a grid: one point for each combination of the axes, the specs of its steps, and a list of all distinct specs in an order in which
 * they can run.
 */
import { fail } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { AnyMethod } from "../../methods/method.ts";
import type { NestedSpec } from "../fields.ts";
import { AUTO } from "../specs/forget.ts";
import type { Check } from "./checks.ts";
import { type Declared, Here, type Path, textOf } from "./here.ts";
import { Memo } from "./memo.ts";
import { pointsOf } from "./points.ts";
import type { ReadGrid } from "./read.ts";
import type { Table } from "./report-schema.ts";
import type { Json } from "./schema.ts";

/** A step with everything filled in. */
export interface Unit {
  /** Its name among the units: equal specs have one unit. */
  readonly key: string;
  readonly spec: NestedSpec;
  /** The name of its spec template. */
  readonly name: string;
  /** The common part of the points that need it: "rome, single, skip 3". */
  readonly at: string;
  /** Keys of the units whose specs it contains. */
  readonly needs: readonly string[];
  /** The keys of the contained specs. */
  readonly keys: ReadonlyMap<object, string>;
  /** The name of its cache; undefined if its points have several caches, or if the grid names none. */
  readonly cache?: string;
}

/** One combination of the axes, as a table sees it. */
export interface Point {
  /** The text of each text column at this point. */
  readonly texts: Readonly<Record<string, string>>;
  /** The unit of each step, by the step's name. A step that is skipped at this point has none. */
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

/** What a grid may ask of a method. One that is not chosen yet takes what is asked, and nothing else is known of it. */
export const declaredBy = (method: AnyMethod | undefined): Declared => {
  const { title = AUTO, takes = "many", needs = [], rows } = method ?? {};
  return { title, takes, needs: [...needs], trains: rows !== undefined };
};

/** The chosen points: allowed values, as text, of some variables. */
export type Only = Readonly<Record<string, readonly string[]>>;

/** How a grid is unfolded. */
export interface Unfolding {
  /** The chosen points; all by default. */
  readonly only?: Only;
  /** Refuses a spec that cannot be run. */
  readonly check?: Check;
}

/**
 * Unfolds a grid. `declared` returns a method's declaration. Refuses an unknown name, and a choice without any point.
 */
export function unfold(
  { grid, wanted: steps, placeOf }: ReadGrid,
  declared: (method: string) => Declared,
  { only = {}, check = () => {} }: Unfolding = {},
): Unfolded {
  const units = new Map<string, Omit<Unit, "at" | "cache">>();
  const tables = Object.entries(grid.tables).map(([name, table]) => ({ name, table, rows: new Map<string, Growing>() }));
  const common = new Map<string, readonly string[]>();
  const caches = new Map<string, Set<string>>();
  const { cache: ownCache } = grid;
  const memo = new Memo();
  for (const { values, origins, words } of pointsOf(grid, placeOf)) {
    const here = new Here({ ...grid.vars, ...values }, grid, placeOf, declared, { origins, memo });
    if (grid.skip.some((rule, i) => here.fits(rule, ["skip", i]))) continue;
    if (!Object.entries(only).every(([name, wanted]) => wanted.includes(textOf(here.value(name, []))))) continue;
    const cache = ownCache === undefined ? undefined : textOf(here.filled(ownCache, ["cache"]));
    const own: Record<string, string> = {};
    for (const name of steps) {
      const spec = here.stepAt(name);
      if (spec === null) continue;
      const key = add({ units, here, memo, check }, spec, name);
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
  path: Path,
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

/** What {@link add} adds to, and what it knows. */
interface Adding {
  readonly units: Map<string, Omit<Unit, "at" | "cache">>;
  readonly here: Here;
  readonly memo: Memo;
  readonly check: Check;
}

/** Adds a spec after the specs that it contains. Returns its key. */
function add(adding: Adding, spec: NestedSpec, unnamed: string): string {
  const { units, here, memo, check } = adding;
  const key = memo.keyOf(spec);
  if (units.has(key)) return key;
  const template = memo.names.get(spec);
  const name = template ?? unnamed;
  check(
    spec,
    (field) => here.placeOfField(name, field),
    template === undefined ? undefined : memo.varying(template, here.templateOf(template)),
  );
  const keys = new Map<object, string>();
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) part.forEach(visit);
    else if (isRecord(part) && typeof part["step"] === "string") keys.set(part, add(adding, part as unknown as NestedSpec, name));
    else if (isRecord(part)) Object.values(part).forEach(visit);
  };
  Object.values(spec).forEach(visit);
  units.set(key, { key, spec, name, needs: [...new Set(keys.values())], keys });
  return key;
}
