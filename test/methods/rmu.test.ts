/** RMU: what every method that trains shows; its formula, its direction, and how far up it reaches. */
import { describe, expect, it } from "vitest";
import { deltasOf } from "../../src/edit/edit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { controlOf, rmu, rmuLoss } from "../../src/methods/rmu.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { bench, BRIEF, conformsByTraining, FORGET, KEEP } from "../conformance/unlearn.ts";
import { check, mean, type Said, sum } from "../train/slope.ts";

conformsByTraining(rmu as unknown as AnyMethod, {
  params: { layers: [0, 1], steering: 8 },
  alone: { alpha: 0 },
  alpha: 0.2,
});

describe("rmu", () => {
  const { ctx, model: loaded } = bench();
  const find = async (params: FindOptions["params"]) =>
    findEdit(await loaded(), FORGET, { method: "rmu", retain: KEEP, params: { ...BRIEF, steps: 1, ...params }, ctx });

  const [gamma, alpha, D] = [0.7, 1.3, 32];
  const control = controlOf(D, 2, 5);
  /** Of each position of a row that predicts a label: the mean over D of the squared distance to a state. */
  const distances = (row: Said, layer: number, to: (i: number) => Float64Array, back = 1): number[] =>
    row.labels.map((i) => mean(Array.from(row.hidden[layer]![i - back]!, (x, d) => (x - to(i - back)[d]!) ** 2)));

  it.each([0, 1])("is the distance to the direction and to what was, behind block %d: value and gradient", async (layer) => {
    await check(rmuLoss({ gamma, alpha, layer }, new Set(), control), ({ now, before }) => {
      const pushed = now.forget.map((row) => mean(distances(row, layer, () => control)));
      const held = now.retain.map((row, r) => mean(distances(row, layer, (i) => before.retain[r]!.hidden[layer]![i]!)));
      return gamma * mean(pushed) + alpha * mean(held);
    });
  });

  it("answer-words: the states at the labels themselves", async () => {
    await check(rmuLoss({ gamma, alpha, layer: 1 }, new Set(["answer-words"]), control), ({ now, before }) => {
      const pushed = now.forget.map((row) => mean(distances(row, 1, () => control, 0)));
      const held = now.retain.map((row, r) => mean(distances(row, 1, (i) => before.retain[r]!.hidden[1]![i]!, 0)));
      return gamma * mean(pushed) + alpha * mean(held);
    });
  });

  it("shared-lengths: the mean of sums by the mean of the lengths' inverses", async () => {
    const shared = (rows: readonly (readonly number[])[]): number => mean(rows.map(sum)) * mean(rows.map((row) => 1 / row.length));
    await check(rmuLoss({ gamma, alpha, layer: 1 }, new Set(["shared-lengths"]), control), ({ now, before }) => {
      const pushed = shared(now.forget.map((row) => distances(row, 1, () => control)));
      return gamma * pushed + alpha * shared(now.retain.map((row, r) => distances(row, 1, (i) => before.retain[r]!.hidden[1]![i]!)));
    });
  });

  it("the direction has the length asked for, no entry below 0, and hangs on the seed", () => {
    for (const size of [2, 20]) expect(Math.hypot(...controlOf(192, size, 3))).toBeCloseTo(size, 12);
    expect(Math.min(...controlOf(192, 2, 3))).toBeGreaterThanOrEqual(0);
    expect(controlOf(192, 2, 3)).toEqual(controlOf(192, 2, 3));
    expect(controlOf(192, 2, 3)).not.toEqual(controlOf(192, 2, 4));
  });

  it("touches nothing above its block, even where everything may be trained", async () => {
    const changed = async (params: FindOptions["params"]): Promise<string[]> => Object.keys(deltasOf(await find(params)));
    expect(await changed({ layers: [0, 1, 2, 3, 4, 5], layer: 1 })).toEqual(["blocks.0.mlp.out", "blocks.1.mlp.out"]);
    const all = await changed({ layers: [], weights: [], layer: 1 });
    expect(all).toContain("embed");
    expect(all.filter((name) => /blocks\.[2-5]|final_norm/.test(name))).toEqual([]);
    await expect(find({ layers: [4], layer: 1 })).rejects.toThrow(/states after block 1, which is below all trained blocks/);
    await expect(find({ layer: 9 })).rejects.toThrow(/layer 9.*0 to 5/);
  });

  it("a rank puts factors beside the matrices that it would train, and never above its block", async () => {
    const changed = async (params: FindOptions["params"]): Promise<string[]> => {
      const edit = await findEdit(await loaded(), FORGET, { method: "rmu", retain: KEEP, params: { steps: 1, rank: 2, ...params }, ctx });
      for (const delta of Object.values(deltasOf(edit))) expect("outer" in delta && delta.outer[0].shape[1]).toBe(2);
      return Object.keys(deltasOf(edit));
    };
    expect(await changed({})).toEqual(["blocks.0.mlp.out", "blocks.1.mlp.out"]);
    expect(await changed({ targets: ["attn.q"] })).toEqual(["blocks.0.attn.q", "blocks.1.attn.q"]);
    expect(await changed({ layers: [] })).toEqual(["blocks.0.mlp.out", "blocks.1.mlp.out"]);
    await expect(changed({ targets: ["blocks.4.mlp.out"] })).rejects.toThrow(/none of blocks.4.mlp.out in layers 1, 0.*--set layers=/);
    await expect(changed({ layers: [9] })).rejects.toThrow(/layer 9.*0 to 5/);
  });
});
