/** Blends of changes, by hand. */
import { describe, expect, it } from "vitest";
import { rng } from "../../../src/base/rng.ts";
import { blend } from "../../../src/methods/wise/blend.ts";

const options = { density: 0.5, random: rng(1) };
const of = (...xs: number[]): Float64Array => Float64Array.from(xs);

describe("blend", () => {
  it("ties: the largest of each survive, the weightier sign wins, and those of it are averaged", () => {
    // kept of the first: 4 and −3; of the second: −5 and 2
    const made = blend("ties", [of(4, -3, 1, 0.5), of(-5, 1, 2, 0.1)], [0.5, 0.5], options);
    expect([...made]).toEqual([-5, -3, 2, 0]);
    const other = blend("ties", [of(4, -3, 1, 0.5), of(-5, 1, 2, 0.1)], [0.8, 0.2], options);
    [4, -3, 2, 0].forEach((x, i) => expect(other[i]).toBeCloseTo(x, 12));
  });
  it("ties: of equal entries the first are kept, and no more than there is room for", () =>
    expect([...blend("ties", [of(1, 1, 1, 1)], [1], options)]).toEqual([1, 1, 0, 0]));
  it("linear: the weighted sum", () => expect([...blend("linear", [of(1, 2), of(3, 4)], [0.25, 0.5], options)]).toEqual([1.75, 2.5]));
  it("dare: half is dropped, the rest doubled, and the same seed drops the same", () => {
    const ones = new Float64Array(4000).fill(1);
    const made = blend("dare", [ones], [1], { density: 0.5, random: rng(3) });
    expect(new Set(made)).toEqual(new Set([0, 2]));
    expect(Math.abs(made.reduce((a, b) => a + b, 0) / 4000 - 1)).toBeLessThan(0.05);
    expect(blend("dare", [ones], [1], { density: 0.5, random: rng(3) })).toEqual(made);
  });
  it("slerp: halfway on the circle; parallel changes on the line", () => {
    const made = blend("slerp", [of(1, 0), of(0, 1)], [1, 1], options);
    made.forEach((x) => expect(x).toBeCloseTo(Math.SQRT1_2, 12));
    expect([...blend("slerp", [of(1, 1), of(3, 3)], [1, 1], options)]).toEqual([2, 2]);
  });
  it("refuses no changes", () => expect(() => blend("linear", [], [], options)).toThrow(/no changes/));
});
