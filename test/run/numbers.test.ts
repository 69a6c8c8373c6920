/** Every number that is declared, of steps, methods, attacks, finetuning, grids and recipes: fractions, signs, NaN, infinity and the huge are refused where they mean nothing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, describe, expect, test } from "vitest";
import { registry as attacks } from "../../src/attack/registry.ts";
import { type Declared, type Param, type ParamValue, resolveParams } from "../../src/base/schema.ts";
import { specFrom, withFields } from "../../src/cli/step-command.ts";
import { registry as methods } from "../../src/methods/registry.ts";
import type { Config } from "../../src/model/arch/arch.ts";
import { load } from "../../src/model/load.ts";
import { flagName } from "../../src/run/fields.ts";
import { parseGrid } from "../../src/run/grid/read.ts";
import { unfold } from "../../src/run/grid/unfold.ts";
import { steps } from "../../src/run/run.ts";
import { readValues, schemaOf } from "../../src/run/spec.ts";
import { readRecipe } from "../../src/train/from-recipe.ts";
import { FINETUNE } from "../../src/train/tune.ts";

/** Numbers that need not be whole, by name; every other one counts something. */
const REAL = new Set(
  "alpha apart away beta bound cap clamp clip coefficient contrastWeight decay delta dualStep enough eps floor gamma importance kl l2 lambda least limit loraAlpha lr margins most noise radius ratio relative retainWeight rho ridge saturation scale steering threshold weight weight_decay".split(
    " ",
  ),
);
/** Numbers that may be below zero, with the reason. */
const SIGNED: Readonly<Record<string, string>> = {
  least: "a number of an evaluation may be negative, such as a difference",
  most: "the same",
  delta: "a margin of a loss: below zero it asks for less",
  margins: "WISE's margins of routing, which are compared with differences",
};
const HOSTILE = { fraction: 1.5, negative: -1, "not a number": NaN, infinite: Infinity, "minus infinite": -Infinity, huge: 1e300 } as const;

/** The hostile values that a number takes although it should not. */
function taken(name: string, takes: (value: number) => boolean): string[] {
  const refused = (kind: string): boolean =>
    !(kind === "fraction" && REAL.has(name)) && !(kind === "negative" && name in SIGNED) && !(kind === "huge" && REAL.has(name));
  return Object.entries(HOSTILE)
    .filter(([kind, value]) => refused(kind) && takes(value))
    .map(([kind, value]) => `${name} takes ${value} (${kind})`);
}

const succeeds = (work: () => unknown): boolean => {
  try {
    work();
    return true;
  } catch {
    return false;
  }
};

const numeric = steps().flatMap((step) =>
  Object.entries(step.fields).flatMap(([key, of]) => (of.kind === "number" || of.kind === "numbers" ? [{ step, key, of }] : [])),
);

describe("fields of steps", () => {
  test("there are some of every step that has numbers", () => {
    expect(numeric.length).toBeGreaterThan(20);
  });

  test.each(numeric.map((one) => [`${one.step.name} ${one.key}`, one] as const))("%s", (_, { step, key, of }) => {
    const held = (value: number): unknown => (of.kind === "numbers" ? [value] : value);
    expect(taken(key, (value) => schemaOf(of).safeParse(held(value)).success)).toEqual([]);
    const inSpec = (value: number): unknown => readValues(step.name, { [key]: of }, { step: step.name, [key]: held(value) });
    expect(taken(key, (value) => succeeds(() => inSpec(value)))).toEqual([]);
    if (of.flag === false) return;
    const onCommandLine = (value: number): void => {
      const command = withFields(new Command(step.name), { ...step, fields: { [key]: of } })
        .exitOverride()
        .configureOutput({ writeErr: () => {} });
      command.action((flags: Record<string, unknown>) => void specFrom({ ...step, fields: { [key]: of } }, flags, undefined as never));
      command.parse([`--${flagName(key, of)}=${value}`], { from: "user" });
    };
    expect(taken(key, (value) => succeeds(() => onCommandLine(value)))).toEqual([]);
    expect(succeeds(() => onCommandLine(of.max === undefined ? 3 : of.min!))).toBe(true);
  });
});

const declared = Object.entries({
  ...Object.fromEntries(Object.entries({ ...methods, ...attacks }).map(([name, { params }]) => [name, params as object])),
  finetune: FINETUNE as object,
});

test.each(declared)("parameters of %s", async (name, params) => {
  const model = await load("bundled");
  const table = params as Readonly<Record<string, Param<ParamValue, Config>>>;
  const found = Object.entries(table).flatMap(([key, param]) => {
    const fallback = typeof param.default === "function" ? param.default(model.config) : param.default;
    const isList = Array.isArray(fallback);
    const sample = isList ? ((fallback as unknown[])[0] ?? (param.min === undefined ? "" : 0)) : fallback;
    if (typeof sample !== "number") return [];
    const resolve = (value: unknown): unknown =>
      resolveParams(name, { [key]: param } as Declared<Record<string, number>, Config>, { [key]: value }, model.config);
    return [
      ...taken(key, (value) => succeeds(() => resolve(isList ? [value] : value))),
      ...taken(key, (value) => succeeds(() => resolve(String(value)))),
    ];
  });
  await model.release();
  expect([...new Set(found)]).toEqual([]);
});

describe("grids", () => {
  const grid = (range: string): unknown =>
    unfold(
      parseGrid(`name: g\naxes:\n  n: { range: ${range} }\nsteps:\n  s: { step: select, data: x, skip: "\${n}" }\n`, "g.yaml"),
      () => ({}) as never,
    );
  test.each(["1.5", "-1", ".nan", ".inf", "1e300", "100001", "[0, 1e9]", "4294967296"])("a range of %s is refused", (range) => {
    expect(() => grid(range)).toThrow(/g\.yaml line 3 column \d+: a range of|wanted/);
  });
  test.each(["1.5", "-1", ".nan", ".inf", "1e300", "7"])("decimals of %s are refused", (decimals) => {
    const text = `name: g\nsteps:\n  s: { step: select, data: x }\ntables:\n main:\n  rows: [a]\n  columns: [{ title: t, rows: s, decimals: ${decimals} }]\n`;
    expect(() => parseGrid(text, "g.yaml")).toThrow(/g\.yaml line 7 column \d+: tables\.main\.columns\.0\.decimals is/);
  });
  test("more combinations than can be run are refused", () => {
    const axes = Array.from({ length: 8 }, (_, i) => `  a${i}: { range: 9 }\n`).join("");
    const read = parseGrid(`name: g\naxes:\n${axes}steps:\n  s: { step: select, data: x }\n`, "g.yaml");
    expect(() => unfold(read, () => ({}) as never)).toThrow(/531441 combinations; wanted at most 100000/);
  });
});

describe("recipes", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-recipe-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const bundled = JSON.parse(readFileSync(new URL("../../bundled/recipe.json", import.meta.url), "utf8")) as {
    train: Numbers & { optimizer: Numbers };
  };
  interface Numbers {
    readonly [key: string]: unknown;
  }
  /** The recipe with another number in its place; JSON has no NaN, and writes infinity as a number too large. */
  const readWith = (path: readonly string[], value: number): void => {
    const copy = structuredClone(bundled) as unknown as Record<string, Record<string, unknown>>;
    const parent = path.slice(0, -1).reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, copy);
    parent[path.at(-1)!] = "HERE";
    const file = join(folder, "recipe.json");
    writeFileSync(
      file,
      JSON.stringify(copy).replace(
        '"HERE"',
        Number.isFinite(value) ? String(value) : value > 0 ? "1e999" : Number.isNaN(value) ? "NaN" : "-1e999",
      ),
    );
    readRecipe(file);
  };
  const numbersOf = (of: Numbers, path: readonly string[]): string[][] =>
    Object.entries(of).flatMap(([key, value]) =>
      typeof value === "number"
        ? [[...path, key]]
        : Array.isArray(value) || (typeof value === "object" && value !== null)
          ? numbersOf(value as Numbers, [...path, key])
          : [],
    );
  test.each(numbersOf(bundled.train, ["train"]).map((path) => [path.join("."), path] as const))("%s", (_, path) => {
    const name = path.at(-1)!;
    expect(taken(name, (value) => succeeds(() => readWith(path, value)))).toEqual([]);
    expect(() => readWith(path, name === "floor" || /^\d$/.test(name) ? 0.5 : 3)).not.toThrow();
  });
});
