/** Questions under several seeds: weights, intervals that seeds widen, and paired differences by hand. */
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { agreedShare, layeredDifference, layeredInterval, layerOf, type Layers, questionsIn } from "../../src/eval/layers.ts";
import { shareInterval } from "../../src/eval/stats.ts";

const values = (list: readonly number[]): Record<string, number> => Object.fromEntries(list.map((value, i) => [`q${i}`, value]));
const layers = (...seeds: readonly (readonly number[])[]): Layers => new Map(seeds.map((list, i) => [String(i), layerOf([values(list)])]));
const width = (of: Layers): number => {
  const { low, high } = layeredInterval(of, rng("test"))!;
  return high - low;
};
const TEN = [0, 0, 0, 1, 1, 1, 0, 1, 0, 1];

describe("layerOf", () => {
  test("each run has the weight 1, whatever its number of questions", () => {
    const layer = layerOf([{ a: 1 }, { b: 0, c: 1 }]);
    expect([...layer]).toEqual([
      ["a", { value: 1, weight: 1 }],
      ["b", { value: 0, weight: 0.5 }],
      ["c", { value: 1, weight: 0.5 }],
    ]);
  });

  test("a question of several runs has their weighted mean", () => {
    expect(layerOf([{ a: 1 }, { a: 0, b: 1 }]).get("a")).toEqual({ value: 2 / 3, weight: 1.5 });
  });
});

describe("layeredInterval", () => {
  test("it is around the mean, and says what was drawn", () => {
    expect(layeredInterval(layers(TEN), rng("test"))).toMatchObject({ level: 0.95, by: "bootstrap over questions" });
    const two = layeredInterval(layers(TEN, TEN), rng("test"))!;
    expect(two.by).toBe("bootstrap over seeds and questions");
    expect(two.low).toBeLessThan(0.5);
    expect(two.high).toBeGreaterThan(0.5);
  });

  test("seeds that say the same of the same questions make it no narrower", () => {
    expect(Math.abs(width(layers(TEN, TEN, TEN, TEN, TEN)) - width(layers(TEN)))).toBeLessThan(0.11);
  });

  test("seeds that differ make it wider", () => {
    const [high, low] = [Array.from({ length: 10 }, () => 1), Array.from({ length: 10 }, () => 0)];
    expect(width(layers(high, low))).toBe(1);
  });

  test("nothing to draw from, and a value that is no number, have none", () => {
    expect(layeredInterval(layers([1]), rng("test"))).toBeNull();
    expect(layeredInterval(layers([1, NaN, 0]), rng("test"))).toBeNull();
  });

  test("seeds with questions of their own have an interval too", () => {
    const apart: Layers = new Map([
      ["0", layerOf([{ a: 1 }])],
      ["1", layerOf([{ b: 0 }])],
    ]);
    expect(questionsIn(apart)).toEqual(["a", "b"]);
    expect(layeredInterval(apart, rng("test"))).toMatchObject({ low: 0, high: 1 });
  });
});

describe("agreedShare", () => {
  test("questions that agree in all runs have the exact interval of their number, not that of the runs", () => {
    expect(
      agreedShare([
        { a: 1, b: 1 },
        { a: 1, b: 1 },
      ]),
    ).toEqual(shareInterval(2, 2));
    expect(agreedShare([{ a: 1 }, { b: 0 }, { c: 1 }])).toEqual(shareInterval(2, 3));
    expect(
      agreedShare([
        { a: 1, b: 1 },
        { c: 1, a: 1, d: 1 },
      ]),
    ).toEqual(shareInterval(4, 4));
  });

  test("where runs disagree, or questions do not count alike, there is none", () => {
    expect(agreedShare([{ a: 1 }, { a: 0 }])).toBeUndefined();
    expect(agreedShare([{ a: 1 }, { b: 0, c: 1 }])).toBeUndefined();
    expect(agreedShare([{ a: 0.5 }])).toBeUndefined();
  });
});

describe("layeredDifference", () => {
  const ones = (count: number): Layers => layers(Array.from({ length: count }, () => 1));
  const zeros = (count: number): Layers => layers(Array.from({ length: count }, () => 0));

  test("over the questions that both have", () => {
    const pair = layeredDifference(layers([1, 1, 0, 1]), layers([0, 1]), rng("test"))!;
    expect(pair).toMatchObject({ difference: 0.5, questions: 2 });
    expect(layeredDifference(layers([1]), new Map([["0", layerOf([{ other: 1 }])]]), rng("test"))).toBeUndefined();
  });

  test("few questions that all agree have the p-value of their sign test", () => {
    for (const n of [2, 6]) expect(layeredDifference(ones(n), zeros(n), rng("test"))!.p).toBe(2 ** (1 - n));
    expect(layeredDifference(ones(20), zeros(20), rng("test"))!.p).toBe(1 / 10_001);
  });

  test("one question alone is not tested", () => {
    expect(layeredDifference(ones(1), zeros(1), rng("test"))).toBeUndefined();
  });

  test("no difference has p 1, and a question without a number on one side is left out", () => {
    expect(layeredDifference(layers(TEN), layers(TEN), rng("test"))).toMatchObject({ difference: 0, p: 1 });
    expect(layeredDifference(layers([1, NaN, 1]), layers([0, 0, 0]), rng("test"))).toMatchObject({ difference: 1, questions: 2 });
  });

  test("equal values with other weights do not differ", () => {
    const [few, many] = [layers(Array.from({ length: 7 }, () => 0.3)), layers(Array.from({ length: 12 }, () => 0.3))];
    expect(layeredDifference(few, many, rng("test"))).toMatchObject({ difference: 0, p: 1, interval: { low: 0, high: 0 } });
  });

  test("equal seeds are drawn together: a shift that all seeds share has no spread", () => {
    const [a, b] = [layers([1, 1, 1], [5, 5, 5]), layers([0, 0, 0], [4, 4, 4])];
    expect(layeredDifference(a, b, rng("test"))!.interval).toMatchObject({ low: expect.closeTo(1, 9), high: expect.closeTo(1, 9) });
    const other: Layers = new Map([...b].map(([seed, layer]) => [`other ${seed}`, layer]));
    expect(layeredDifference(a, other, rng("test"))!.interval).toMatchObject({ low: expect.closeTo(-3, 9), high: expect.closeTo(5, 9) });
  });
});
