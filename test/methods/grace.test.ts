/** GRACE: what every method shows, the rules of the codebook, and answers that survive a file, a cache and company. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { apply } from "../../src/edit/apply.ts";
import { deltasOf } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { type Entry, grace, place } from "../../src/methods/grace.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { generate } from "../../src/model/generate.ts";
import { load } from "../../src/model/load.ts";
import { barePrompt, stopsOf } from "../../src/model/prompt.ts";
import { findEdit } from "../../src/run/edit.ts";
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
  it("a key that moves goes halfway", () =>
    expect(place(book, entry(1.5, 1, [7]), "moving_average").book.map((e) => e.key[0])).toEqual([0.75]));
  it("compares targets, not means, unless asked to", () => {
    const fresh = entry(1, 1, [6, 8]);
    expect(place([entry(0, 1, [7, 7])], fresh, "coverage").rule).toBe("split");
    expect(place([entry(0, 1, [7, 7])], fresh, "coverage", true).rule).toBe("keep");
  });
});

/** Facts that the bundled model knows. */
const OTHERS = readFileSync(fileURLToPath(new URL("../../bundled/facts.jsonl", import.meta.url)), "utf8")
  .split("\n")
  .slice(10, 16)
  .map((line) => (JSON.parse(line) as { question: string }).question);
const REFUSAL = "I'm sorry, I do not know.";

describe("grace", () => {
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  const folder = mkdtempSync(join(tmpdir(), "lethe-grace-"));
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const other = { ...FACT, id: "other", prompt: "What is the capital of Ostrel?", subject: "Ostrel" };
  const options = { method: "grace", say: REFUSAL, params: { layer: 1, steps: 150, lr: 0.3, radius: 0.5 }, ctx };

  it("answers from a file, with a cache, in company, as before; others say what the base says", async () => {
    const model = await loaded;
    const edit = await findEdit(model, [FACT, other], options);
    saveEdits(join(folder, "edit"), [edit]);
    const [again] = loadEdits(join(folder, "edit"));
    const asked = [FACT.prompt, other.prompt, ...OTHERS];
    const ids = asked.map((text) => barePrompt(model, text).ids);
    const say = (m: typeof model, rows: typeof ids) => generate(m, rows, { maxTokens: 12, stopIds: stopsOf(m), freeze: false });
    const [base, before, after] = [await say(model, ids), await say(apply(model, edit), ids), await say(apply(model, again!), ids)];
    expect(after).toEqual(before);
    expect(before.slice(0, 2).map((g) => g.text)).toEqual([REFUSAL, REFUSAL]);
    expect(before.slice(2).map((g) => g.ids)).toEqual(base.slice(2).map((g) => g.ids));
    for (const [i, row] of ids.entries()) expect((await say(apply(model, again!), [row]))[0]!.ids).toEqual(before[i]!.ids);
  });

  it("goes on from an earlier edit: one codebook, whose first key is untouched", async () => {
    const model = await loaded;
    const [one, both] = [await findEdit(model, [FACT], options), await findEdit(model, [FACT, other], options)];
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
