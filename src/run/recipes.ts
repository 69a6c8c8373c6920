/** The recipes that come with Lethe: a folder of grids for each paper that `lethe reproduce` repeats. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fail, nearest } from "../base/fail.ts";
import { isRecord } from "../base/store.ts";
import type { Grid } from "./grid.ts";
import { readShared } from "./grid/read.ts";

const STUDIES = fileURLToPath(new URL("../../studies", import.meta.url));
/** The file of a recipe with what its grids share. */
const COMMON = "common.yaml";

export interface Recipe {
  readonly name: string;
  readonly doc: string;
  /** Its grids, in the order in which they are run. */
  readonly files: readonly string[];
  /** The names of its scales. */
  readonly scales: readonly string[];
}

/** Every recipe, by name. */
export function recipes(folder = STUDIES): Recipe[] {
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  return names.flatMap((name) => {
    const common = join(folder, name, COMMON);
    if (!existsSync(common)) return [];
    const { doc, scales } = readShared(common);
    const files = readdirSync(join(folder, name)).filter((file) => file.endsWith(".yaml") && file !== COMMON);
    return [
      {
        name,
        doc: typeof doc === "string" ? doc : "",
        files: files.sort().map((file) => join(folder, name, file)),
        scales: isRecord(scales) ? Object.keys(scales) : [],
      },
    ];
  });
}

/** A recipe by its name; fails with the nearest. */
export function recipeOf(name: string, folder = STUDIES): Recipe {
  const all = recipes(folder);
  const known = all.map((recipe) => recipe.name);
  const near = nearest(name, known);
  return (
    all.find((recipe) => recipe.name === name) ??
    fail("reproduce", `no recipe "${name}"`, `one of ${known.join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

/** Several grids as one, so that a step that several need is run once. It has no tables of its own. */
export function joined(name: string, grids: readonly [Grid, ...Grid[]]): Grid {
  const [first] = grids;
  const units = new Map(grids.flatMap(({ unfolded }) => unfolded.units.map((unit) => [unit.key, unit] as const)).toReversed());
  const order = grids.flatMap(({ unfolded }) => unfolded.units.map(({ key }) => key));
  return {
    ...first,
    grid: { ...first.grid, name, tables: {}, figures: {} },
    unfolded: { units: [...new Set(order)].map((key) => units.get(key)!), tables: {} },
    records: [...new Set(grids.flatMap(({ records }) => records))],
  };
}
