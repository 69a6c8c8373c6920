/** Parameters of all methods and attacks: counts are whole, and rates, norms and weights of penalties are not below zero. */
import { expect, test } from "vitest";
import { registry as attacks } from "../../src/attack/registry.ts";
import { type Declared, resolveParams } from "../../src/base/schema.ts";
import { registry as methods } from "../../src/methods/registry.ts";
import type { Config } from "../../src/model/arch/arch.ts";
import { load } from "../../src/model/load.ts";

const COUNTS = [
  "steps",
  "batch",
  "rank",
  "budget",
  "skip",
  "layer",
  "layers",
  "others",
  "k",
  "contrast",
  "patience",
  "tokens",
  "locality",
  "strangers",
  "shard",
  "period",
  "samples",
  "topTokens",
  "anchor",
  "every",
];
const SIZES = ["lr", "decay", "clamp", "kl", "enough", "clip", "limit", "ridge", "loraAlpha", "warmup", "apart", "retainWeight"];

const declared = Object.entries({ ...methods, ...attacks }).map(([name, { params }]) => [name, params as object] as const);

test.each(declared)("%s", async (name, params) => {
  const model = await load("bundled");
  const resolve = (given: Readonly<Record<string, unknown>>): object =>
    resolveParams(name, params as Declared<Record<string, number>, Config>, given, model.config);
  const list = (key: string, value: number): unknown => (key === "layers" ? [value] : value);
  const own = Object.keys(params);
  for (const key of COUNTS.filter((count) => own.includes(count))) {
    expect(() => resolve({ [key]: list(key, 1.5) })).toThrow(/wanted a (list of )?whole number/);
    expect(() => resolve({ [key]: list(key, -1) })).toThrow(new RegExp(`${key} is`));
    expect(() => resolve({ [key]: list(key, 4) })).not.toThrow();
  }
  for (const key of SIZES.filter((size) => own.includes(size))) {
    expect(() => resolve({ [key]: -0.5 })).toThrow(new RegExp(`${key} is -0\\.5; wanted a number`));
    expect(() => resolve({ [key]: 0.5 })).not.toThrow();
  }
  await model.release();
});
