/** Kernels against the plain loops in double precision: values, ranges, bytes; and the compiled module against its source. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { accumulate, scaleBy, sumOfSquares } from "../../src/train/arrays.ts";
import { SOURCE } from "../../src/train/kernels.ts";
import { type Floats, parameterStore, PIECE } from "../../src/train/parameter-store.ts";
import { adamw, globalNorm, sgd, type Optimizer, type Update } from "../../src/train/optim.ts";

test("the compiled module is that of its source", () => {
  const source = readFileSync(new URL("../../src/train/kernels.wat", import.meta.url), "utf8");
  expect(createHash("sha256").update(source).digest("hex")).toBe(SOURCE);
});

/** Half the distance from 1 to the next float32: what one rounding adds, relatively. */
const U = 2 ** -24;
/** What underflow adds, absolutely: means are rounded to multiples of 2^-93. */
const UNDERFLOW = 2 ** -93;

interface Arrays {
  readonly weight: Floats;
  readonly gradient: Floats;
  readonly first: Floats;
  readonly second: Floats;
}
const NAMES = ["weight", "gradient", "first", "second"] as const;
type Rates = Pick<Update, "step" | "lr" | "scale" | "decays">;

/** A case: how many numbers, how many lie before each array (so that addresses are any multiple of 4), and what is in them. */
interface Case extends Rates {
  readonly seed: number;
  readonly count: number;
  readonly before: readonly [number, number, number, number];
  /** Powers of ten that gradients and earlier gradients have the size of. */
  readonly sizes: readonly [number, number];
  /** The share of gradients that are 0. */
  readonly zeros: number;
  /** Whether the gradient comes from outside the memory. */
  readonly outside: boolean;
}

const offset = fc.integer({ min: 0, max: 7 });
const cases: fc.Arbitrary<Case> = fc.record({
  seed: fc.nat(),
  count: fc.integer({ min: 0, max: 70 }),
  before: fc.tuple(offset, offset, offset, offset),
  sizes: fc.tuple(fc.integer({ min: -12, max: 4 }), fc.integer({ min: -12, max: 4 })),
  zeros: fc.constantFrom(0, 0.3, 1),
  outside: fc.boolean(),
  step: fc.integer({ min: 1, max: 3000 }),
  lr: fc.constantFrom(1e-6, 1e-3, 0.1),
  scale: fc.constantFrom(1, 0.37, 1e-3),
  decays: fc.boolean(),
});

const ROOM = 100;
const room = parameterStore([["a", [ROOM]]], { moments: ["first", "second"] }).get("a")!;
const rooms = { weight: room.weight, gradient: room.gradient, ...room.moments } as Arrays;

/** The case's arrays within the rooms, which are filled with other numbers around them; and the same numbers in double precision. */
function laid({ seed, count, before, sizes: [now, earlier], zeros, outside }: Case): { ours: Arrays; exact: Arrays } {
  const chance = rng(seed);
  const spread = { weight: 1, gradient: 10 ** now, first: 10 ** earlier, second: 10 ** (2 * earlier) };
  const ours = Object.fromEntries(
    NAMES.map((name, k) => {
      rooms[name].forEach((_, i) => (rooms[name][i] = spread[name] * chance.normal()));
      const view = rooms[name].subarray(before[k]!, before[k]! + count);
      if (name === "second") view.forEach((x, i) => (view[i] = Math.abs(x)));
      if (name === "gradient") view.forEach((_, i) => chance.uniform() < zeros && (view[i] = 0));
      return [name, name === "gradient" && outside ? view.slice() : view];
    }),
  ) as unknown as Arrays;
  const exact = Object.fromEntries(NAMES.map((name) => [name, Float64Array.from(ours[name])])) as unknown as Arrays;
  return { ours, exact };
}

const bytes = (array: Floats): string => Buffer.from(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength).toString("hex");

/** Everything in the rooms but the case's own numbers. */
const around = ({ before, count }: Case): string =>
  NAMES.map((name, k) => bytes(rooms[name].subarray(0, before[k]!)) + bytes(rooms[name].subarray(before[k]! + count))).join();

/** One update by kernels and one in double precision, of the same numbers. */
function both(optimizer: Optimizer, of: Case): { ours: Arrays; exact: Arrays; old: Arrays } {
  const { ours, exact } = laid(of);
  const old = { ...exact, weight: exact.weight.slice(), first: exact.first.slice(), second: exact.second.slice() };
  const beside = around(of);
  const moments = ({ first, second }: Arrays): Update["moments"] => ({ first, second, velocity: first });
  optimizer.update({ ...of, ...ours, moments: moments(ours), kernels: room.kernels });
  optimizer.update({ ...of, ...exact, moments: moments(exact) });
  expect(around(of)).toBe(beside);
  expect(ours.gradient).toEqual(Float32Array.from(exact.gradient));
  return { ours, exact, old };
}

/** The largest error, as a share of what `allowed` grants each number. */
const worst = (ours: Floats, exact: Floats, allowed: (i: number) => number): number =>
  Math.max(0, ...Array.from(ours, (x, i) => Math.abs(x - exact[i]!) / allowed(i)));

const RUNS = { seed: 1, numRuns: 400 };

describe("AdamW", () => {
  /**
   * Roundings, each of at most U relatively: 7 in what the first moment moves by and 2 in their sum; as many, and the gradient's two again,
   * in the second, which has no cancellation and so is near relatively; 12 and half the second moment's in the step; one in the weight.
   */
  function error({ ours, exact, old }: ReturnType<typeof both>, of: Case, [b1, b2]: readonly [number, number], eps: number, decay: number) {
    const drawn = (i: number): number => 7 * (1 - b1) * (Math.abs(of.scale * old.gradient[i]!) + Math.abs(old.first[i]!));
    const first = (i: number): number => U * (drawn(i) + 2 * Math.abs(exact.first[i]!)) + UNDERFLOW;
    const second = (i: number): number => U * 20 * exact.second[i]! + UNDERFLOW;
    const unit = (i: number): number => of.lr / (1 - b1 ** of.step) / (Math.sqrt(exact.second[i]! / (1 - b2 ** of.step)) + eps);
    const pulled = (i: number): number => (of.decays ? of.lr * decay * Math.abs(old.weight[i]!) : 0);
    const weight = (i: number): number =>
      unit(i) * first(i) + U * (22 * unit(i) * Math.abs(exact.first[i]!) + 4 * pulled(i) + 1.01 * Math.abs(exact.weight[i]!)) + UNDERFLOW;
    return Math.max(
      worst(ours.first, exact.first, first),
      worst(ours.second, exact.second, second),
      worst(ours.weight, exact.weight, weight),
    );
  }

  const BETAS = [
    [0.9, 0.999],
    [0.8, 0.95],
    [0, 0.99],
  ] as const;

  test("is within its roundings of double precision, and touches nothing else", () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(...BETAS), fc.constantFrom(1e-8, 1e-3), (of, betas, eps) => {
        expect(error(both(adamw({ betas, eps, decay: 0.1 }), of), of, betas, eps, 0.1)).toBeLessThanOrEqual(1);
      }),
      RUNS,
    );
  });

  const plain: Case = {
    seed: 3,
    count: 67,
    before: [1, 2, 3, 4],
    sizes: [0, 0],
    zeros: 0,
    outside: false,
    step: 5,
    lr: 1e-3,
    scale: 1,
    decays: true,
  };

  test.each([
    ["beta 1", [0.90001, 0.999], 1e-8, 0.1],
    ["beta 2", [0.9, 0.99901], 1e-8, 0.1],
    ["eps", [0.9, 0.999], 1e-4, 0.1],
    ["decay", [0.9, 0.999], 1e-8, 0.11],
  ] as const)("goes red when %s is a little off", (_, betas, eps, decay) => {
    const wrong = both(adamw({ betas, eps, decay }), plain);
    const right = both(adamw({ betas: [0.9, 0.999], eps: 1e-8, decay: 0.1 }), plain);
    expect(error({ ...right, exact: wrong.exact }, plain, [0.9, 0.999], 1e-8, 0.1)).toBeGreaterThan(1);
  });

  test("a weight without gradient, moments and decay keeps its bytes; a mean that fades out stops before subnormal numbers, in blocks and in the rest", () => {
    const optimizer = adamw({ betas: [0.9, 0.999], eps: 1e-8, decay: 0.1 });
    const store = parameterStore([["a", [7]]], { moments: optimizer.moments });
    const { weight, gradient, moments, kernels } = store.get("a")!;
    weight.fill(Math.fround(1e-3));
    const start = bytes(weight);
    const step = (k: number): void => optimizer.update({ weight, gradient, moments, kernels, step: k, lr: 0.1, scale: 1, decays: false });
    for (let k = 1; k < 5; k++) step(k);
    expect(bytes(weight)).toBe(start);
    moments["first"]!.fill(1e-20);
    for (let k = 5; k < 1200; k++) step(k);
    const left = [...moments["first"]!];
    for (const m of left) expect(m === 0 || (0.001 * m > 2 ** -126 && m < 2 ** -90)).toBe(true);
    expect(new Set(left).size).toBe(1);
    moments["first"]!.fill(2 ** -130);
    step(1200);
    expect([...moments["first"]!]).toEqual(Array<number>(7).fill(0));
  });

  test("decay too small for 1 - lr·decay in single precision still acts", () => {
    const optimizer = adamw({ betas: [0.9, 0.999], eps: 1e-8, decay: 0.01 });
    const { weight, gradient, moments, kernels } = parameterStore([["a", [4]]], { moments: optimizer.moments }).get("a")!;
    const start = 2 - 2 ** -23; // the largest below 2, whose neighbours are relatively nearest
    weight.fill(start);
    optimizer.update({ weight, gradient, moments, kernels, step: 1, lr: 4e-6, scale: 1, decays: true });
    expect(Math.fround(1 - 4e-8)).toBe(Math.fround(1 - 2 ** -24));
    expect([...weight]).toEqual(Array<number>(4).fill(start - 2 ** -23));
  });
});

describe("SGD", () => {
  const pullOf = (of: Case, old: Arrays, i: number): number =>
    Math.abs(of.scale * old.gradient[i]!) + (of.decays ? 0.1 * Math.abs(old.weight[i]!) : 0);

  test("is within its roundings of double precision", () => {
    fc.assert(
      fc.property(cases, (of) => {
        const { ours, exact, old } = both(sgd({ momentum: 0, decay: 0.1 }), of);
        const allowed = (i: number): number => U * (5 * of.lr * pullOf(of, old, i) + 1.01 * Math.abs(exact.weight[i]!)) + UNDERFLOW;
        expect(worst(ours.weight, exact.weight, allowed)).toBeLessThanOrEqual(1);
      }),
      RUNS,
    );
  });

  test("with momentum too", () => {
    fc.assert(
      fc.property(cases, (of) => {
        const { ours, exact, old } = both(sgd({ momentum: 0.9, decay: 0.1 }), of);
        const velocity = (i: number): number =>
          U * (6 * (0.9 * Math.abs(old.first[i]!) + pullOf(of, old, i)) + Math.abs(exact.first[i]!)) + UNDERFLOW;
        const weight = (i: number): number =>
          of.lr * velocity(i) + U * (3 * of.lr * Math.abs(exact.first[i]!) + 1.01 * Math.abs(exact.weight[i]!)) + UNDERFLOW;
        expect(worst(ours.first, exact.first, velocity)).toBeLessThanOrEqual(1);
        expect(worst(ours.weight, exact.weight, weight)).toBeLessThanOrEqual(1);
      }),
      RUNS,
    );
  });

  test("a velocity that fades out stops before subnormal numbers too", () => {
    const optimizer = sgd({ momentum: 0.9, decay: 0 });
    const parameter = parameterStore([["a", [7]]], { moments: optimizer.moments }).get("a")!;
    const velocity = parameter.moments["velocity"]!.fill(1e-20);
    const step = (): void => optimizer.update({ ...parameter, step: 1, lr: 0.1, scale: 1, decays: true });
    for (let k = 0; k < 1200; k++) step();
    for (const v of velocity) expect(v === 0 || (0.001 * v > 2 ** -126 && v < 2 ** -90)).toBe(true);
    velocity.fill(2 ** -130);
    step();
    expect([...velocity]).toEqual(Array<number>(7).fill(0));
  });
});

describe("arithmetic on arrays", () => {
  test("accumulate and scale are within their roundings", () => {
    fc.assert(
      fc.property(cases, (of) => {
        const { ours, exact } = laid(of);
        const beside = around(of);
        const [start, more] = [exact.weight.slice(), exact.gradient];
        accumulate(ours.weight, ours.gradient, room.kernels, of.scale);
        accumulate(exact.weight, more, undefined, of.scale);
        const added = (i: number): number =>
          U * (3 * Math.abs(of.scale * more[i]!) + Math.abs(start[i]!) + Math.abs(exact.weight[i]!)) + UNDERFLOW;
        expect(worst(ours.weight, exact.weight, added)).toBeLessThanOrEqual(1);
        scaleBy(ours.first, of.scale, room.kernels);
        scaleBy(exact.first, of.scale);
        expect(worst(ours.first, exact.first, (i) => U * 3 * Math.abs(exact.first[i]!) + UNDERFLOW)).toBeLessThanOrEqual(1);
        expect(around(of)).toBe(beside);
      }),
      RUNS,
    );
  });

  const LONG = 2 * PIECE + 4321;
  const chance = rng("long");
  const long = Float32Array.from({ length: LONG }, () => chance.normal());
  const inside = parameterStore([["long", [LONG]]], { moments: ["first", "second"] }).get("long")!;

  test("a sum of squares has the same bits from kernel and loop, wherever the numbers lie", () => {
    inside.weight.set(long);
    const exact = long.reduce((sum, x) => sum + x * x, 0);
    const sum = sumOfSquares(long);
    expect(Math.abs(sum / exact - 1)).toBeLessThan(1e-12);
    for (const array of [long, inside.weight, inside.gradient.subarray(3)]) {
      if (array !== long && array !== inside.weight) array.set(long.subarray(3));
      expect(sumOfSquares(array, inside.kernels)).toBe(sumOfSquares(array.slice()));
    }
    fc.assert(
      fc.property(cases, (of) => {
        const { ours } = laid(of);
        expect(sumOfSquares(ours.weight, room.kernels)).toBe(sumOfSquares(ours.weight.slice()));
      }),
      RUNS,
    );
    const store = new Map([["long", inside]]);
    expect(globalNorm(new Map([["long", long]]), store)).toBe(Math.sqrt(sum));
    expect(globalNorm(new Map([["long", long]]))).toBe(Math.sqrt(sum));
  });

  test("it is finite exactly when all numbers are", () => {
    const array = inside.weight;
    array.fill(3.4e38);
    expect(Number.isFinite(sumOfSquares(array, inside.kernels))).toBe(true);
    for (const at of [0, 1, 2, 3, PIECE + 1, LONG - 1])
      for (const bad of [NaN, Infinity, -Infinity]) {
        array[at] = bad;
        expect(Number.isFinite(sumOfSquares(array, inside.kernels))).toBe(false);
        array[at] = 1;
      }
  });

  test("the same input gives the same bytes: again, from outside in pieces, and from double precision", () => {
    const optimizer = adamw({ betas: [0.9, 0.999], eps: 1e-8, decay: 0.1 });
    const run = (gradient: Floats): string => {
      inside.weight.set(long);
      inside.moments["first"]!.fill(0.01);
      inside.moments["second"]!.fill(0.02);
      optimizer.update({ ...inside, gradient, step: 7, lr: 1e-3, scale: 0.5, decays: true });
      accumulate(inside.weight, gradient, inside.kernels, -0.25);
      return bytes(inside.weight) + bytes(inside.moments["first"]!) + bytes(inside.moments["second"]!);
    };
    inside.gradient.set(long);
    const first = run(inside.gradient);
    for (const again of [inside.gradient, long, Float64Array.from(long)]) expect(run(again) === first).toBe(true);
  });

  test("a number's result does not depend on where it lies", () => {
    inside.weight.set(long.subarray(0, 20));
    inside.weight.set(long.subarray(0, 20), 33);
    inside.gradient.set(long.subarray(100, 120));
    inside.gradient.set(long.subarray(100, 120), 46);
    const optimizer = sgd({ momentum: 0.9, decay: 0.1 });
    const velocity = inside.moments["first"]!.fill(0.5);
    const rates = { step: 1, lr: 0.1, scale: 0.7, decays: true, kernels: inside.kernels };
    const part = (from: number, to: number, w: number, g: number): void =>
      optimizer.update({
        weight: inside.weight.subarray(w + from, w + to),
        gradient: inside.gradient.subarray(g + from, g + to),
        moments: { velocity: velocity.subarray(w + from, w + to) },
        ...rates,
      });
    part(0, 20, 0, 0);
    for (const [from, to] of [
      [0, 3],
      [3, 9],
      [9, 20],
    ] as const)
      part(from, to, 33, 46);
    expect(bytes(inside.weight.subarray(33, 53))).toBe(bytes(inside.weight.subarray(0, 20)));
    expect(bytes(velocity.subarray(33, 53))).toBe(bytes(velocity.subarray(0, 20)));
  });

  test("arrays of different lengths are refused before a kernel walks", () => {
    const short = new Float32Array(3);
    expect(() => accumulate(inside.weight, short, inside.kernels)).toThrow(/accumulate: 3 numbers with an array of/);
    const optimizer = adamw({ betas: [0.9, 0.999], eps: 1e-8, decay: 0.1 });
    const rates = { step: 1, lr: 1, scale: 1, decays: false };
    expect(() => optimizer.update({ ...inside, ...rates, gradient: short })).toThrow(/adamw: 3 numbers/);
    expect(() => optimizer.update({ ...inside, ...rates, moments: {} })).toThrow(/adamw: no numbers/);
    expect(() => sgd({ momentum: 0.9, decay: 0 }).update({ ...inside, ...rates })).toThrow(/sgd: no numbers/);
  });
});
