/** The optimiser against a double-precision oracle, schedules against hand-worked values. */
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { adamw, clipScale, globalNorm, isDecayed, rateAt, type Schedule } from "../../src/train/optim.ts";

const N = 257;
const OPTIONS = { betas: [0.9, 0.99] as const, eps: 1e-3, decay: 0.1 };

/** Algorithm 2 of arXiv:1711.05101 in double precision, written as the paper has it. */
function oracle(
  start: Float32Array,
  gradients: readonly Float32Array[],
  lr: number,
  { betas: [b1, b2], eps, decay }: typeof OPTIONS,
): Float64Array {
  const w = Float64Array.from(start);
  const m = new Float64Array(N);
  const v = new Float64Array(N);
  gradients.forEach((g, k) => {
    for (let i = 0; i < N; i++) {
      m[i] = b1 * m[i]! + (1 - b1) * g[i]!;
      v[i] = b2 * v[i]! + (1 - b2) * g[i]! ** 2;
      const mean = m[i]! / (1 - b1 ** (k + 1));
      const square = v[i]! / (1 - b2 ** (k + 1));
      w[i] = w[i]! - lr * (mean / (Math.sqrt(square) + eps) + decay * w[i]!);
    }
  });
  return w;
}

const normals = (label: string): Float32Array => {
  const chance = rng(1).split(label);
  return Float32Array.from({ length: N }, () => chance.normal());
};

function run(lr: number, decays: boolean, scale = 1): { ours: Float32Array; start: Float32Array; gradients: Float32Array[] } {
  const start = normals("w");
  const ours = start.slice();
  const gradients = Array.from({ length: 20 }, (_, k) => normals(`g${k}`));
  const moments = { first: new Float32Array(N), second: new Float32Array(N) };
  const optimizer = adamw(OPTIONS);
  expect(optimizer.moments).toEqual(Object.keys(moments));
  gradients.forEach((gradient, k) => optimizer.update({ weight: ours, gradient, moments, step: k + 1, lr, scale, decays }));
  return { ours, start, gradients };
}

const off = (a: ArrayLike<number>, b: ArrayLike<number>): number => Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));

describe("AdamW", () => {
  test("twenty steps stay within rounding of the oracle", () => {
    const { ours, start, gradients } = run(0.01, true);
    expect(off(ours, oracle(start, gradients, 0.01, OPTIONS))).toBeLessThan(2e-6);
  });

  test.each([
    ["eps", { ...OPTIONS, eps: 2e-3 }],
    ["beta 2", { ...OPTIONS, betas: [0.9, 0.991] as const }],
    ["decay", { ...OPTIONS, decay: 0.101 }],
  ])("goes red when %s is a little off", (_, wrong) => {
    const { ours, start, gradients } = run(0.01, true);
    expect(off(ours, oracle(start, gradients, 0.01, wrong as typeof OPTIONS))).toBeGreaterThan(2e-6);
  });

  test("does not decay what has one dimension", () => {
    const { ours, start, gradients } = run(0.01, false);
    expect(off(ours, oracle(start, gradients, 0.01, { ...OPTIONS, decay: 0 }))).toBeLessThan(2e-6);
    expect(isDecayed({ dtype: "float32", shape: [4], data: new Float32Array(4) })).toBe(false);
    expect(isDecayed({ dtype: "float32", shape: [4, 1], data: new Float32Array(4) })).toBe(true);
  });

  test("scales gradients before anything else", () => {
    const { ours, start, gradients } = run(0.01, true, 0.25);
    expect(
      off(
        ours,
        oracle(
          start,
          gradients.map((g) => g.map((x) => x * 0.25)),
          0.01,
          OPTIONS,
        ),
      ),
    ).toBeLessThan(2e-6);
  });
});

describe("clipping", () => {
  test("the norm is over all gradients together", () => {
    expect(
      globalNorm(
        new Map([
          ["a", Float32Array.of(3, 0)],
          ["b", Float32Array.of(4)],
        ]),
      ),
    ).toBe(5);
  });
  test("scales down to the most allowed, never up", () => {
    expect(clipScale(5, 1) * 5).toBeCloseTo(1, 5);
    expect(clipScale(0.5, 1)).toBe(1);
    expect(clipScale(5, undefined)).toBe(1);
  });
});

describe("schedules", () => {
  const rates = (over: Partial<Schedule>, steps = 8): number[] => {
    const schedule: Schedule = { lr: 1, warmup: 2, shape: "linear", floor: 0, ...over };
    return Array.from({ length: steps }, (_, i) => Number(rateAt(schedule, i + 1, steps).toFixed(4)));
  };
  test("linear: up over the warm-up, down to the floor", () => {
    expect(rates({})).toEqual([0.5, 1, 1, 0.8333, 0.6667, 0.5, 0.3333, 0.1667]);
    expect(rates({ floor: 0.5 }).at(-1)).toBe(0.5833);
  });
  test("cosine is halfway down at half the way", () =>
    expect(rates({ shape: "cosine" })).toEqual([0.5, 1, 1, 0.933, 0.75, 0.5, 0.25, 0.067]));
  test("constant stays", () => expect(rates({ shape: "constant" })).toEqual([0.5, 1, 1, 1, 1, 1, 1, 1]));
  test("no warm-up begins at the top", () => expect(rates({ shape: "constant", warmup: 0 })[0]).toBe(1));
});
