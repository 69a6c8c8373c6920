/** Arrays along an axis: what is joined is cut again, and growth is told from change. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesPer, type Dtype, floats, type NdArray, sizeOf, zeros } from "../../src/base/array.ts";
import { growthOf, isSame, joined, partOf } from "../../src/base/blocks.ts";

const DTYPES: readonly Dtype[] = ["float32", "float64", "bfloat16", "int64", "uint8"];

/** An array of bytes counted up from `seed`. */
function counted(dtype: Dtype, shape: readonly number[], seed: number): NdArray {
  const array = zeros(dtype, shape);
  const bytes = new Uint8Array(array.data.buffer as ArrayBuffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (seed + 7 * i) % 251;
  return array;
}

const cases = fc.record({
  dtype: fc.constantFrom(...DTYPES),
  shape: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  axis: fc.nat(2),
  more: fc.integer({ min: 1, max: 3 }),
  seed: fc.nat(250),
});

describe("arrays along an axis", () => {
  it("come apart as they were put together, whatever the dtype, and say how one grew", () =>
    fc.assert(
      fc.property(cases, ({ dtype, shape, axis: drawn, more, seed }) => {
        const axis = drawn % shape.length;
        const a = counted(dtype, shape, seed);
        const b = counted(dtype, shape.with(axis, more), seed + 100);
        const [tail, head] = [joined([a, b], axis), joined([b, a], axis)];
        expect(tail.data.byteLength).toBe(sizeOf(tail.shape) * bytesPer(dtype));
        expect(isSame(partOf(tail, axis, 0, shape[axis]!), a)).toBe(true);
        expect(isSame(partOf(tail, axis, shape[axis]!, shape[axis]! + more), b)).toBe(true);
        expect(isSame(partOf(head, axis, more, more + shape[axis]!), a)).toBe(true);
        expect(growthOf(a, tail)).toEqual({ axis, side: "tail" });
        const grown = growthOf(a, head);
        if (grown?.side === "head") expect(grown.axis).toBe(axis);
        else expect(isSame(partOf(head, axis, 0, shape[axis]!), a)).toBe(true); // it stands at both ends
      }),
      { seed: 5 },
    ));

  it("a row of a matrix is one of its columns' numbers", () => {
    const a = floats([1, 2, 3, 4], [2, 2]);
    expect([...joined([a, floats([5, 6], [2, 1])], 1).data]).toEqual([1, 2, 5, 3, 4, 6]);
    expect([...joined([a, floats([5, 6], [1, 2])], 0).data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(growthOf(a, floats([9, 1, 2, 8, 3, 4], [2, 3]))).toEqual({ axis: 1, side: "head" });
  });

  it("what changed, shrank, or grew along two axes has not grown", () => {
    const a = floats([1, 2, 3, 4], [2, 2]);
    for (const other of [
      floats([1, 2, 5, 3, 7, 6], [2, 3]),
      floats([1, 2], [1, 2]),
      floats([1, 2, 0, 3, 4, 0, 0, 0, 0], [3, 3]),
      floats([1, 2, 3, 4, 5, 6], [3, 2], "float64"),
      floats([1, 2, 3, 4], [4]),
      a,
    ])
      expect(growthOf(a, other)).toBeUndefined();
  });

  it("are the same to the bit or not at all", () => {
    expect(isSame(floats([0]), floats([-0]))).toBe(false);
    expect(isSame(floats([NaN]), floats([NaN]))).toBe(true);
    expect(isSame(floats([1, 2], [2, 1]), floats([1, 2], [1, 2]))).toBe(false);
    expect(isSame(floats([1]), floats([1], [1], "float64"))).toBe(false);
  });

  it("are refused where they do not fit together", () =>
    expect(() => joined([floats([1, 2], [1, 2]), floats([1, 2, 3], [1, 3])], 0)).toThrow(/\[-1, 3\].*wanted.*\[-1, 2\]/));
});
