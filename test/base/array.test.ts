/** Flags as bits. */
import { describe, expect, it } from "vitest";
import { packBits, unpackBits } from "../../src/base/array.ts";

describe("bits", () => {
  it("the first flag is the highest bit, and what is left of a byte is zero", () =>
    expect([...packBits([1, 0, 1, 0, 0, 0, 0, 0, 1])]).toEqual([0b10100000, 0b10000000]));
  it("come back as they were", () => {
    const flags = Array.from({ length: 21 }, (_, i) => Number(i % 3 === 1));
    expect([...unpackBits(packBits(flags), flags.length)]).toEqual(flags);
  });
});
