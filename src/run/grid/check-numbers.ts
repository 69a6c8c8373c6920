/** Refuses a number that its evaluation will not have, before anything is run. */
import type { Plugged } from "../../base/plugin.ts";
import { isRecord } from "../../base/store.ts";
import { suiteOf } from "../../eval/suite.ts";
import { TEXT_COLUMN } from "../eval.ts";
import { unknownIn } from "./place.ts";
import type { ReadGrid } from "./read.ts";
import type { Unfolded, Unit } from "./unfold.ts";

/** Checks the numbers of the tables' columns, and those by which steps choose their rows, against the suites of the evaluations. */
export function checkNumbers({ grid, placeOf }: ReadGrid, { units, tables }: Unfolded, ctx: Plugged): void {
  const titles = new Map<string, readonly string[]>();
  const seen = new Set<string>();
  const check = (number: string, spec: Unit["spec"] | undefined, path: readonly (string | number)[]): void => {
    const suite = spec?.["suite"];
    if (typeof suite !== "string" || seen.size === seen.add([suite, number, ...path].join("\n")).size) return;
    const known = titles.get(suite) ?? [...suiteOf(suite, ctx).columns.map(({ title }) => title), TEXT_COLUMN.title];
    titles.set(suite, known);
    if (!known.includes(number)) unknownIn(placeOf(path), `the suite ${suite} has no number "${number}"`, number, known);
  };
  const specs = new Map(units.map(({ key, spec }) => [key, spec]));
  for (const [name, { columns }] of Object.entries(grid.tables))
    for (const [i, { number, of, before }] of columns.entries()) {
      if (number === undefined) continue;
      for (const { points } of tables[name]!)
        for (const point of points)
          for (const step of [of, before])
            if (step !== undefined) check(number, specs.get(point.units[step] ?? ""), ["tables", name, "columns", i, "number"]);
    }
  for (const { name, spec } of units)
    if (typeof spec["number"] === "string" && isRecord(spec["by"]))
      check(spec["number"], spec["by"] as unknown as Unit["spec"], ["steps", name, "number"]);
}
