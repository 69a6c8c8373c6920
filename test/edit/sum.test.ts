/** Changes of one matrix added up as they come: the bits of adding all of them anew, and a dense difference where factors would be larger. */
import { describe, expect, it } from "vitest";
import { asFloats, floats, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { changed } from "../../src/edit/apply.ts";
import type { Delta } from "../../src/edit/edit.ts";
import { added, type Sum } from "../../src/edit/sum.ts";
import type { Precision } from "../../src/model/model.ts";
import { asIfAtOnce } from "./at-once.ts";

const random = rng("sum");
const drawn = (shape: readonly number[], dtype: Precision = "float64", scale = 1): NdArray =>
  floats(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    shape,
    dtype,
  );
const product = (rows: number, columns: number, rank: number, dtype: Precision = "float32", scale = 0.1): Delta => ({
  outer: [drawn([rows, rank], dtype, scale), drawn([rank, columns], dtype)],
});
const DELTAS: Record<string, () => Delta> = {
  outer: () => product(3, 4, 1, "float64"),
  dense: () => ({ dense: drawn([3, 4]) }),
  value: () => ({ value: drawn([3, 4]) }),
};
const sumOf = (before: NdArray, deltas: readonly Delta[]): Sum =>
  deltas.reduce<Sum | undefined>((sum, delta) => added(sum, "w", before, delta), undefined)!;
const numbers = (a: NdArray): number[] => Array.from(a.data as Float64Array, Number);

describe("a matrix's changes in a row", () => {
  const pairs = Object.keys(DELTAS).flatMap((a) => Object.keys(DELTAS).map((b) => [a, b] as const));
  it.each(pairs)("%s and then %s are what both give in turn", (a, b) => {
    const [first, second, before] = [DELTAS[a]!(), DELTAS[b]!(), drawn([3, 4])];
    const inTurn = changed("w", changed("w", before, first), second);
    const sum = sumOf(before, [first, second]);
    expect(sum.matrix).toEqual(changed("w", before, sum.delta));
    numbers(sum.matrix).forEach((x, i) => expect(x).toBeCloseTo(Number(inTurn.data[i]), 12));
  });

  it.each(["float32", "float64"] as const)("%s products, asked for after each or at the end, have the bits of all at once", (dtype) => {
    const before = drawn([24, 40], "float32");
    const deltas = Array.from({ length: 9 }, (_, i) => product(24, 40, 1 + (i % 2), dtype));
    let sum: Sum | undefined;
    for (const [i, delta] of deltas.entries()) {
      sum = added(sum, "w", before, delta);
      expect(sum.matrix).toEqual(asIfAtOnce(before, deltas.slice(0, i + 1)));
    }
    expect(sumOf(before, deltas).matrix).toEqual(sum!.matrix);
    expect(changed("w", before, sum!.delta)).toEqual(sum!.matrix);
  });

  it("differences are rounded as an edit keeps them, each time", () => {
    const before = drawn([3, 4], "float32");
    const deltas = Array.from({ length: 5 }, (): Delta => ({ dense: drawn([3, 4], "float32") }));
    const { matrix, delta } = sumOf(before, deltas);
    expect(matrix).toEqual(asIfAtOnce(before, deltas));
    expect(matrix).toEqual(changed("w", before, delta));
  });

  it("products stay factors while these are smaller than the matrix, then their sum is one difference", () => {
    const before = drawn([24, 40], "float32"); // 960 numbers, 64 a rank: 15 ranks are 960, 16 are more
    const deltas = Array.from({ length: 40 }, () => product(24, 40, 1));
    for (const count of [1, 15, 16, 40]) {
      const { delta, matrix } = sumOf(before, deltas.slice(0, count));
      if (count <= 15)
        expect("outer" in delta && delta.outer.map((a) => a.shape)).toEqual([
          [24, count],
          [count, 40],
        ]);
      else expect("dense" in delta && delta.dense.shape).toEqual([24, 40]);
      expect(matrix).toEqual(changed("w", before, delta));
      const factors = asIfAtOnce(before, deltas.slice(0, count));
      const difference = numbers(asFloats(matrix, "float64")).map((x, i) => Math.abs(x - Number(factors.data[i])));
      const largest = Math.max(...numbers(before).map(Math.abs), ...numbers(matrix).map(Math.abs));
      expect(Math.max(...difference)).toBeLessThanOrEqual(count <= 15 ? 0 : largest * 2 ** -23);
    }
  });

  it("a difference that products became goes on to have the bits that it has when it is asked for at the end alone", () => {
    const before = drawn([6, 8], "float32");
    const deltas = Array.from({ length: 12 }, () => product(6, 8, 1));
    let sum: Sum | undefined;
    for (const delta of deltas) void (sum = added(sum, "w", before, delta)).matrix;
    expect(sumOf(before, deltas).delta).toEqual(sum!.delta);
  });

  it("a draft's own factors are left as they are, whatever their rank", () => {
    const delta = product(3, 4, 5);
    expect(sumOf(drawn([3, 4], "float32"), [delta]).delta).toEqual(delta);
  });

  it("refuses a change of another shape", () =>
    expect(() => sumOf(drawn([3, 4], "float32"), [product(3, 5, 1)]).matrix).toThrow(
      /a change of shape \[1, 5\] for "w" of shape \[3, 4\]/,
    ));
});
