/** Damaged config.json files of every architecture: each is read, or refused with a message of ours, and none takes long. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { rng, type Rng } from "../../src/base/rng.ts";
import { type Config, storedWeights } from "../../src/model/arch/arch.ts";
import { identifyConfig } from "../../src/model/load.ts";
import { configJson } from "../../src/model/save.ts";

type Json = Record<string, unknown>;

const FOLDER = new URL("../../parity/fixtures/tiny/", import.meta.url).pathname;
const VALUES: readonly unknown[] = [null, 0, -1, 1.5, 1e9, "x", true, [], {}, "full_attention", [null], { a: 1 }, 3, 7];
const TIMES = 60;

/** Every place of an object, as keys. */
const placesOf = (of: Json, before: readonly string[] = []): string[][] =>
  Object.entries(of).flatMap(([key, value]) => [
    [...before, key],
    ...(typeof value === "object" && value !== null && !Array.isArray(value) ? placesOf(value as Json, [...before, key]) : []),
  ]);

/** A copy in which one value is another one, or is gone. */
function mutated(config: Json, draws: Rng): Json {
  const copy = structuredClone(config);
  const places = placesOf(copy).filter(([key]) => key !== "model_type");
  const place = places[draws.below(places.length)]!;
  const owner = place.slice(0, -1).reduce<Json>((of, key) => of[key] as Json, copy);
  if (draws.below(4) === 0) delete owner[place.at(-1)!];
  else owner[place.at(-1)!] = VALUES[draws.below(VALUES.length)];
  return copy;
}

/** What is wrong with a config that was read. */
function wrong(config: Config, shapes: Iterable<{ readonly name: string; readonly shape: readonly number[] }>): string[] {
  const numbers = Object.entries(config).filter(([, value]) => typeof value === "number" && !Number.isFinite(value));
  const odd = [...shapes].filter(({ shape }) => shape.some((size) => !Number.isInteger(size) || size < 1));
  return [...numbers.map(([key]) => `${key} is no number`), ...odd.map(({ name, shape }) => `${name} has the shape ${shape.join()}`)];
}

describe("a damaged config.json", () => {
  test.each(readdirSync(FOLDER).sort())("of %s is read or refused", (name) => {
    const whole = JSON.parse(readFileSync(join(FOLDER, name, "config.json"), "utf8")) as Json;
    const draws = rng(`configs ${name}`);
    const counts = { read: 0, refused: 0 };
    for (let i = 0; i < TIMES; i++) {
      const given = mutated(mutated(whole, draws), draws);
      try {
        const found = identifyConfig(given, { path: name }, defaultContext());
        const files = { config: given, tokenizerJson: {}, tokenizerConfig: {} };
        configJson(found.config, found.arch, files as never, "float32");
        expect(wrong(found.config, storedWeights(found).values())).toEqual([]);
        counts.read++;
      } catch (error) {
        if (!(error instanceof LetheError) || error.trouble === "internal") throw error;
        counts.refused++;
      }
    }
    expect(counts.read).toBeGreaterThan(0);
    expect(counts.refused).toBeGreaterThan(0);
  });
});
