/** GRACE: what every method shows, the rules of the codebook, and answers that survive a file, a cache and company. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { deltasOf } from "../../src/edit/edit.ts";
import { type Entry, place } from "../../src/locate/codebook.ts";
import { grace } from "../../src/methods/grace/grace.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { answersOf, OTHER, REFUSAL } from "../conformance/adapter.ts";
import { conforms, FACT } from "../conformance/method.ts";

const params = { steps: 25, layer: 4 };
conforms(grace as unknown as AnyMethod, { params: { ...params, others: 16 } });

const entry = (key: number, radius: number, target: readonly number[], prompt = 3): Entry => ({
  key: Float64Array.of(key),
  value: Float64Array.of(0),
  radius,
  target,
  prompt,
});

describe("the codebook", () => {
  const book = [entry(0, 1, [7])];
  it.each([
    ["far away: a new key", entry(3, 1, [7]), "new", [1, 1]],
    ["near, another target: both radii halve the way", entry(1, 1, [8]), "split", [0.5 - 1e-5, 0.5]],
    ["near, the same target, outside the radius: it grows", entry(1.5, 1, [7]), "expand", [1.5]],
    ["near, the same target, inside: nothing moves", entry(0.5, 1, [7]), "keep", [1]],
    ["the same key, another target: the key is taught anew", entry(0, 1, [8]), "retake", [1]],
  ])("%s", (_, fresh, rule, radii) => {
    const placed = place(book, fresh, "coverage");
    expect(placed.rule).toBe(rule);
    expect(placed.book.map((e) => e.radius)).toEqual(radii);
  });
  it("by default a near key keeps the radius that was measured for it, and so does the new one", () => {
    const { default: expand } = grace.params.expand;
    const placed = [1.5, 2.4, 2.6].reduce<readonly Entry[]>(
      (before, key) => place(before, entry(key, 1, [7]), expand as string).book,
      book,
    );
    expect(placed.map((e) => [e.key[0], e.radius])).toEqual([
      [0, 1],
      [1.5, 1], // 2.4 lies within it
      [2.6, 1],
    ]);
    const apart = (by: string): number[] => place([entry(0, 3, [7])], entry(2, 0.5, [8]), by).book.map((e) => e.radius);
    expect(apart(expand as string)).toEqual([1 - 1e-5, 0.5]);
    expect(apart("coverage")).toEqual([1 - 1e-5, 1]);
  });
  it("a key that moves goes halfway", () =>
    expect(place(book, entry(1.5, 1, [7]), "moving_average").book.map((e) => e.key[0])).toEqual([0.75]));
  it("compares targets, not means, unless asked to", () => {
    const fresh = entry(1, 1, [6, 8]);
    expect(place([entry(0, 1, [7, 7])], fresh, "coverage").rule).toBe("split");
    expect(place([entry(0, 1, [7, 7])], fresh, "coverage", true).rule).toBe("keep");
  });
});

describe("grace", () => {
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  const folder = mkdtempSync(join(tmpdir(), "lethe-grace-"));
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const options = { method: "grace", say: REFUSAL, params: { layer: 1, steps: 150, lr: 0.3, radius: 0.5 }, ctx };

  it("answers from a file, with a cache, in company, as before; others say what the base says", async () => {
    const model = await loaded;
    const edit = await findEdit(model, [FACT, OTHER], options);
    const { base, edited } = await answersOf(model, edit, join(folder, "edit"));
    expect(edited.slice(0, 2).map((g) => g.text)).toEqual([REFUSAL, REFUSAL]);
    expect(edited.slice(2).map((g) => g.ids)).toEqual(base.slice(2).map((g) => g.ids));
  });

  it("goes on from an earlier edit: one codebook, whose first key is untouched", async () => {
    const model = await loaded;
    const [one, both] = [await findEdit(model, [FACT], options), await findEdit(model, [FACT, OTHER], options)];
    if (one.change.kind !== "adapter" || both.change.kind !== "adapter") throw new Error("adapters");
    expect(both.change.state["keys"]!.shape[0]).toBe(2);
    expect([...(both.change.state["values"]!.data as Float32Array).subarray(0, model.config.width)]).toEqual([
      ...(one.change.state["values"]!.data as Float32Array),
    ]);
  });

  it("cannot be written as weights", async () =>
    expect(async () => deltasOf(await findEdit(await loaded, FACT, options))).rejects.toThrow(/rewrites activations/));

  it("refuses a layer that is not there", async () => {
    await expect(findEdit(await loaded, FACT, { ...options, params: { layer: 99 } })).rejects.toThrow(/layer 99/);
  });
});
