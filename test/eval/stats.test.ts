/** What judges count with, against cases worked by hand and against enumeration. */
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { auc, bootstrapMean, harmonicMean, holm, ksInterval, ksP, ksTest, pairedBootstrap, shareInterval } from "../../src/eval/stats.ts";

/** Of all orders of n and m values, the share that lies at least as far apart: the definition of the exact p-value. */
function enumerated(h: number, n: number, m: number, lcm: number): number {
  let [far, all] = [0, 0];
  const visit = (i: number, j: number, most: number): void => {
    const here = Math.max(most, Math.round(Math.abs(i / n - j / m) * lcm));
    if (i === n && j === m) {
      all++;
      if (here >= h) far++;
      return;
    }
    if (i < n) visit(i + 1, j, here);
    if (j < m) visit(i, j + 1, here);
  };
  visit(0, 0, 0);
  return far / all;
}

describe("Kolmogorov-Smirnov", () => {
  test.each([
    [5, 5, 5],
    [4, 6, 12],
    [7, 3, 21],
    [1, 1, 1],
  ])("sizes %i and %i: every p-value is the share of orders that lie as far apart", (n, m, lcm) => {
    for (let h = 0; h <= lcm; h++) expect(ksP(h, n, m, "exact")).toBeCloseTo(enumerated(h, n, m, lcm), 12);
  });

  test("ties step together, infinities have a place, NaN has none", () => {
    expect(ksTest([1, 1, 2], [1, 2, 2])).toMatchObject({ h: 1, n: 3, m: 3 });
    expect(ksTest([1, Infinity], [2, Infinity])).toMatchObject({ statistic: 0.5, h: 1 });
    expect(ksTest([1, NaN], [1, 2])).toMatchObject({ statistic: NaN, p: NaN });
    expect(() => ksTest([], [1])).toThrow(/samples of 0 and 1/);
  });

  test("past 10,000 it is asymptotic, and agrees with the exact value there", () => {
    const [a, b] = [0, 0.02].map((shift, i) =>
      Array.from(
        { length: 10_001 },
        (
          (chance) => () =>
            chance.normal() + shift
        )(rng(i)),
      ),
    );
    const large = ksTest(a!, b!);
    expect(large.method).toBe("asymptotic");
    for (const h of [100, 150, 200, 260, 400]) {
      const [exact, limit] = [ksP(h, 10_000, 10_000, "exact"), ksP(h, 10_000, 10_000, "asymptotic")];
      expect(Math.abs(limit / exact - 1)).toBeLessThan(0.05);
    }
    // both branches of the asymptotic form meet where they change (n d² = 2.2 at n = 5,000)
    const [below, above] = [209, 210].map((h) => ksP(h, 10_000, 10_000, "asymptotic"));
    expect(above! / below!).toBeGreaterThan(0.9);
    expect(above! / below!).toBeLessThan(1);
  });

  test("the interval holds the p-value, and is all of it for few rows", () => {
    const ks = ksTest([1, 2, 3, 4], [3, 4, 5, 6]);
    const { low, high } = ksInterval(ks)!;
    expect([low <= ks.p, ks.p <= high, high]).toEqual([true, true, 1]);
    expect(ksInterval(ksTest([NaN], [1]))).toBeNull();
  });
});

describe("areas and means", () => {
  test("AUC counts pairs, ties half", () => {
    expect(auc([1, 2], [2, 3])).toBe((1 + 1 + 0.5 + 1) / 4);
    expect(auc([3], [1, 2])).toBe(0);
    expect(auc([1, NaN], [1])).toBeNaN();
    expect(auc([-Infinity, 1], [Infinity, 1])).toBe((1 + 1 + 1 + 0.5) / 4);
    expect(auc([], [1])).toBeNaN();
  });

  test("a harmonic mean is 0 with a 0 in it, NaN with a NaN", () => {
    expect(harmonicMean([1, 2, 4])).toBeCloseTo(12 / 7, 15);
    expect(harmonicMean([1, 0])).toBe(0);
    expect(harmonicMean([0, NaN])).toBeNaN();
  });
});

describe("intervals", () => {
  test("Clopper and Pearson: published ends of 7 of 10, and both borders", () => {
    const { low, high } = shareInterval(7, 10)!;
    expect(low).toBeCloseTo(0.3475, 4);
    expect(high).toBeCloseTo(0.9333, 4);
    expect(shareInterval(0, 300)).toMatchObject({ low: 0, by: "exact" });
    expect(shareInterval(0, 300)!.high).toBeCloseTo(1 - 0.025 ** (1 / 300), 9);
    expect(shareInterval(4, 4)).toMatchObject({ high: 1 });
  });

  test("the bootstrap of a mean is the normal interval for many rows, the same for the same stream", () => {
    const chance = rng("rows");
    const values = Array.from({ length: 400 }, () => chance.normal());
    const { low, high } = bootstrapMean(values, rng(1))!;
    expect(high - low).toBeCloseTo((2 * 1.96) / 20, 1);
    expect(bootstrapMean(values, rng(1))).toEqual({ low, high, level: 0.95, by: "bootstrap" });
    expect(bootstrapMean(values, rng(2))).not.toEqual({ low, high, level: 0.95, by: "bootstrap" });
    expect(bootstrapMean([1], rng(1))).toBeNull();
    expect(bootstrapMean([1, NaN], rng(1))).toBeNull();
  });

  test("pairs: a real difference is told from none, and p is uniform enough under none", () => {
    const chance = rng("pairs");
    const draw = (shift: number): number[] => Array.from({ length: 60 }, () => chance.normal() + shift);
    expect(pairedBootstrap(draw(1), rng(0)).p).toBeLessThan(0.005);
    const ps = Array.from({ length: 40 }, (_, i) => pairedBootstrap(draw(0), rng(i)).p);
    expect(ps.filter((p) => p < 0.1).length).toBeLessThan(10);
    expect(ps.filter((p) => p > 0.5).length).toBeGreaterThan(10);
    expect(pairedBootstrap([0, 0], rng(0)).p).toBe(1);
    expect(() => pairedBootstrap([], rng(0))).toThrow(/no pairs/);
  });

  test("Holm: steps down, keeps the order, leaves NaN out", () => {
    expect(holm([0.01, 0.04, 0.03, NaN, 0.005])).toEqual([...[0.03, 0.06, 0.06].map((p) => expect.closeTo(p, 12)), NaN, 0.02]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
  });
});
