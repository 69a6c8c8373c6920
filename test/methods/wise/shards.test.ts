/** Side memories in company: from which movement each may answer. */
import { describe, expect, it } from "vitest";
import { rng } from "../../../src/base/rng.ts";
import { candidatesOf, settled, type ShardParams } from "../../../src/methods/wise/shards.ts";

const params: ShardParams = {
  layer: 0,
  retrieve: true,
  mask: 1,
  ratio: 0.8,
  strictness: 0.5,
  tokens: 1,
  shard: 2,
  period: 4,
  blend: "ties",
  density: 1,
  weight: 1,
};
const NONE = { inside: Infinity, outside: 0 };
/** Nothing edited yet, of a matrix [1, 2]. */
const empty = { m: 2, side: new Float32Array(2), count: 0, moves: NONE, edited: [], strangers: [], shards: [] };
/** An edit after which the memory is `side`, with one edited question and one other. */
const made = (side: readonly number[], edited: readonly number[], strangers: readonly Float32Array[], outside: number) => ({
  side: Float32Array.from(side),
  mask: Uint8Array.of(1, 1),
  states: [Float32Array.from(edited)],
  strangers,
  inside: 0,
  outside,
  evaluations: [],
  norms: [],
});
const thresholds = (memory: Parameters<typeof candidatesOf>[0], compat: readonly string[] = []): number[] =>
  candidatesOf(memory, params, new Set(compat), rng(0)).map((c) => c.threshold);

describe("thresholds", () => {
  // the edited question is moved by 10; 8 of it are the share from which its memory may answer
  const after = (outside: number, compat: readonly string[] = []): number =>
    thresholds({ ...empty, side: Float32Array.of(1, 0), count: 1, moves: { inside: 10, outside } }, compat)[0]!;

  it("lie between the others' movement and the edited questions', and as high as these reach where they do not lie apart", () => {
    expect(after(2)).toBeCloseTo(4, 9);
    expect(after(9)).toBeCloseTo(9, 9);
    expect(after(50)).toBeCloseTo(9.9, 9);
    expect(after(50, ["ratio-threshold"])).toBeCloseTo(8, 9);
  });

  it("rise for memories that were put away, when later edits bring other questions that move them", () => {
    const near = Float32Array.of(1, 0);
    const first = settled(empty, made([1, 0], [10, 0], [near], 1), params, rng(0));
    const full = settled(first, made([1, 0], [10, 1], [near], 1), params, rng(0));
    expect(full.shards).toHaveLength(1);
    const stranger = Float32Array.of(9, 0);
    const later = settled(full, made([0, 1], [0, 10], [near, stranger], 1), params, rng(0));
    expect(later.shards[0]!.moves).toEqual({ inside: 10, outside: 9 });
    const [before, now] = [thresholds(full)[0]!, thresholds(later)[1]!];
    expect(before).toBeCloseTo(Math.sqrt(8), 9);
    expect(now).toBeCloseTo(9, 9);
  });
});
