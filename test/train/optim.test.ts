/** The optimiser against a double-precision oracle, schedules against hand-worked values. */
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { type Floats, parameterStore } from "../../src/train/parameter-store.ts";
import { adamw, clipScale, globalNorm, isDecayed, rateAt, type Schedule, sgd, type Update } from "../../src/train/optim.ts";

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

type Place = "plain arrays" | "a store's memory" | "float64";

/** Where the numbers lie → what an update needs, beginning with these weights. */
function placed(place: Place, start: Floats, moments: readonly string[]): Pick<Update, "weight" | "moments" | "kernels"> {
  const options = place === "float64" ? { dtype: place } : place === "plain arrays" ? { most: 0 } : {};
  const parameter = parameterStore([["w", [N]]], { moments, ...options }).get("w")!;
  expect(parameter.kernels !== undefined).toBe(place === "a store's memory");
  parameter.weight.set(start);
  return parameter;
}

function run(
  lr: number,
  decays: boolean,
  scale = 1,
  place: Place = "plain arrays",
): { ours: Floats; start: Float32Array; gradients: Float32Array[] } {
  const start = normals("w");
  const gradients = Array.from({ length: 20 }, (_, k) => normals(`g${k}`));
  const optimizer = adamw(OPTIONS);
  expect(optimizer.moments).toEqual(["first", "second"]);
  const given = placed(place, start, optimizer.moments);
  gradients.forEach((gradient, k) => optimizer.update({ ...given, gradient, step: k + 1, lr, scale, decays }));
  return { ours: given.weight, start, gradients };
}

const off = (a: ArrayLike<number>, b: ArrayLike<number>): number => Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));

// float32: twenty steps of 0.01, each rounded at weights of up to 4, of which a unit in the last place is 2.4e-7
describe.each([
  ["plain arrays", 2e-6],
  ["a store's memory", 2e-6],
  ["float64", 1e-14],
] as const)("AdamW in %s", (place, most) => {
  test("twenty steps stay within rounding of the oracle", () => {
    const { ours, start, gradients } = run(0.01, true, 1, place);
    expect(off(ours, oracle(start, gradients, 0.01, OPTIONS))).toBeLessThan(most);
  });

  test.each([
    ["eps", { ...OPTIONS, eps: 2e-3 }],
    ["beta 2", { ...OPTIONS, betas: [0.9, 0.991] as const }],
    ["decay", { ...OPTIONS, decay: 0.101 }],
  ])("goes red when %s is a little off", (_, wrong) => {
    const { ours, start, gradients } = run(0.01, true, 1, place);
    expect(off(ours, oracle(start, gradients, 0.01, wrong as typeof OPTIONS))).toBeGreaterThan(most);
  });

  test("does not decay what has one dimension", () => {
    const { ours, start, gradients } = run(0.01, false, 1, place);
    expect(off(ours, oracle(start, gradients, 0.01, { ...OPTIONS, decay: 0 }))).toBeLessThan(most);
    expect(isDecayed({ dtype: "float32", shape: [4], data: new Float32Array(4) })).toBe(false);
    expect(isDecayed({ dtype: "float32", shape: [4, 1], data: new Float32Array(4) })).toBe(true);
  });

  test("scales gradients before anything else", () => {
    const { ours, start, gradients } = run(0.01, true, 0.25, place);
    const scaled = gradients.map((g) => g.map((x) => x * 0.25));
    expect(off(ours, oracle(start, scaled, 0.01, OPTIONS))).toBeLessThan(most);
  });
});

describe.each(["plain arrays", "a store's memory", "float64"] as const)("SGD in %s", (place) => {
  // worked by hand: w 1, gradients 1 and 2 of which a half counts, lr 0.5, decay 0.25; every number is exact in binary
  test.each([
    ["without momentum", 0, [0.625, 0.046875]], // 1 - 0.5(0.5 + 0.25) = 0.625; 0.625 - 0.5(1 + 0.15625)
    ["with momentum", 0.5, [0.625, -0.140625]], // velocities 0.75 and 0.375 + 1.15625
  ] as const)("%s", (_, momentum, wanted) => {
    const optimizer = sgd({ momentum, decay: 0.25 });
    const given = placed(place, new Float32Array(N).fill(1), optimizer.moments);
    wanted.forEach((value, k) => {
      const gradient = new Float32Array(N).fill(k + 1);
      optimizer.update({ ...given, gradient, step: k + 1, lr: 0.5, scale: 0.5, decays: true });
      expect(new Set(given.weight)).toEqual(new Set([value]));
    });
    optimizer.update({ ...given, gradient: new Float32Array(N), step: 3, lr: momentum ? 0 : 0.5, scale: 1, decays: false });
    expect(given.weight[N - 1]).toBe(wanted[1]);
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
