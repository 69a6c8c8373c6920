/** Flags as bits; numbers that are let go of. */
import { describe, expect, it } from "vitest";
import { floats, letGo, packBits, rereadable, setAside, unpackBits } from "../../src/base/array.ts";

describe("bits", () => {
  it("the first flag is the highest bit, and what is left of a byte is zero", () =>
    expect([...packBits([1, 0, 1, 0, 0, 0, 0, 0, 1])]).toEqual([0b10100000, 0b10000000]));
  it("come back as they were", () => {
    const flags = Array.from({ length: 21 }, (_, i) => Number(i % 3 === 1));
    expect([...unpackBits(packBits(flags), flags.length)]).toEqual(flags);
  });
});

describe("an array that can be read again", () => {
  it("is read once, and once more after it was set aside", () => {
    let reads = 0;
    const array = rereadable(() => floats([++reads, 2]));
    expect(array.data).toBe(array.data);
    const copy = { ...array };
    setAside(array);
    expect([...array.data]).toEqual([2, 2]);
    expect([...copy.data]).toEqual([1, 2]);
    setAside(copy);
    expect([...copy.data]).toEqual([1, 2]);
  });
  it("equals a plain one", () => expect(rereadable(() => floats([1, 2]))).toEqual(floats([1, 2])));
});

it("arrays that are let go of are empty at once, also where two share their memory", () => {
  const [a, b, kept] = [floats([1, 2]), floats([3]), floats([4])];
  letGo([a, b, { ...a }]);
  expect([a.data.length, b.data.length, kept.data.length]).toEqual([0, 0, 1]);
});
