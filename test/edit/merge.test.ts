/** Two changes as one: what applying them in turn gives, applying the one gives. */
import { describe, expect, it } from "vitest";
import { asFloats, floats, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { changed } from "../../src/edit/apply.ts";
import { type Delta, deltasOf, type Draft, type PromptChange } from "../../src/edit/edit.ts";
import { merged } from "../../src/edit/combine.ts";

const random = rng("merge");
const drawn = (...shape: number[]): NdArray =>
  floats(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
    "float64",
  );
const DELTAS: Record<string, () => Delta> = {
  outer: () => ({ outer: [drawn(3, 2), drawn(2, 4)] }),
  dense: () => ({ dense: drawn(3, 4) }),
  value: () => ({ value: drawn(3, 4) }),
};
const draft = (delta: Delta, memory?: NdArray): Draft => ({
  change: { kind: "delta", weights: { w: delta } },
  ...(memory && { memory: { keys: memory } }),
});

describe("merged", () => {
  const pairs = Object.keys(DELTAS).flatMap((a) => Object.keys(DELTAS).map((b) => [a, b] as const));
  it.each(pairs)("%s and then %s", (a, b) => {
    const [first, second, before] = [DELTAS[a]!(), DELTAS[b]!(), drawn(3, 4)];
    const inTurn = changed("w", changed("w", before, first), second);
    const atOnce = changed("w", before, deltasOf(merged(draft(first), draft(second)))["w"]!);
    [...asFloats(atOnce, "float64").data].forEach((x, i) => expect(Number(x)).toBeCloseTo(Number(inTurn.data[i]), 12));
  });
  it("keeps changes of other matrices, and the later memory", () => {
    const [first, second] = [draft(DELTAS["outer"]!(), drawn(1)), draft(DELTAS["outer"]!(), drawn(2))];
    const other: Draft = { change: { kind: "delta", weights: { v: DELTAS["dense"]!() } } };
    expect(Object.keys(deltasOf(merged(first, other)))).toEqual(["w", "v"]);
    expect(merged(first, second).memory!["keys"]!.shape).toEqual([2]);
    expect(merged(first, other).memory!["keys"]!.shape).toEqual([1]);
  });
  it("puts the contexts of prompt edits one after the other, and nothing else together", () => {
    const prompt = (context: string, over: Partial<PromptChange> = {}): Draft => ({
      change: { kind: "prompt", entries: [{ shown: [], context }], frame: "{}", encoder: "", select: "all", ...over },
    });
    const { change } = merged(prompt("a"), prompt("b"));
    expect(change.kind === "prompt" && change.entries.map((e) => e.context)).toEqual(["a", "b"]);
    for (const other of [
      prompt("b", { frame: "Q: {}" }),
      prompt("b", { encoder: "x" }),
      prompt("b", { select: { nearest: 1 } }),
      draft(DELTAS["dense"]!()),
    ])
      expect(() => merged(prompt("a"), other)).toThrow(/two of one kind/);
    expect(() => merged(draft(DELTAS["dense"]!()), prompt("a"))).toThrow(/two of one kind/);
  });
  it("keeps outer products low-rank", () => {
    const { w } = deltasOf(merged(draft(DELTAS["outer"]!()), draft(DELTAS["outer"]!())));
    if (!w || !("outer" in w)) throw new Error("an outer product");
    expect(w.outer.map((p) => p.shape)).toEqual([
      [3, 4],
      [4, 4],
    ]);
  });
});
