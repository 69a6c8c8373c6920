/** Recipes: each scale of each opens without an error, and grids that share steps are one. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { canonical } from "../../src/base/hash.ts";
import { openGrid } from "../../src/run/grid.ts";
import { joined, recipeOf, recipes } from "../../src/run/recipes.ts";

const names = recipes().map(({ name }) => name);

describe.each(names)("%s", (name) => {
  const { files, scales, doc } = recipeOf(name);

  test("says what it is, and has three scales", () => {
    expect(doc).toMatch(/arXiv:\d{4}\.\d{5}/);
    expect(scales).toEqual(["tiny", "small", "full"]);
    expect(files.length).toBeGreaterThan(3);
  });

  test.each(scales)("unfolds at the scale %s", (scale) => {
    const grids = files.map((file) => openGrid(file, { set: { scale } }));
    const whole = joined(name, grids as [(typeof grids)[0], ...typeof grids]);
    const apart = grids.flatMap(({ unfolded }) => unfolded.units);
    const keys = whole.unfolded.units.map(({ key }) => key);
    const specs = whole.unfolded.units.map(({ spec }) => canonical(spec));
    expect(new Set(specs)).toEqual(new Set(apart.map(({ spec }) => canonical(spec))));
    expect(specs.length).toBe(new Set(specs).size);
    expect(keys.length).toBeLessThan(apart.length); // some steps are shared
    const place = new Map(keys.map((key, i) => [key, i]));
    for (const { key, needs } of whole.unfolded.units) for (const need of needs) expect(place.get(need)!).toBeLessThan(place.get(key)!);
    for (const { grid } of grids) expect(Object.keys(grid.tables)).not.toEqual([]);
  });

  test("needs nothing from outside the repository at the scale tiny", () => {
    for (const file of files)
      for (const { spec } of openGrid(file, { set: { scale: "tiny" } }).unfolded.units)
        for (const value of Object.values(spec)) {
          const path = typeof value === "string" ? /^(?:\w+:)?(\/[^#]+|.*studies\/[^#]+)/.exec(value)?.[1] : undefined;
          if (path === undefined) continue;
          expect(existsSync(path), path).toBe(true);
          expect(path).not.toContain("shared");
        }
  });
});

test("an unknown recipe is refused with the nearest", () => {
  expect(() => recipeOf("editing-as-unlearnin")).toThrow(/no recipe.*Did you mean "editing-as-unlearning"\?/);
  expect(recipes(fileURLToPath(new URL("../run", import.meta.url)))).toEqual([]);
});
