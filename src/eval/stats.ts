/** Statistics of evaluations: means, AUC, the Kolmogorov-Smirnov test, bootstrap and exact intervals, corrected p-values. */
import { mean } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Rng } from "../base/rng.ts";

/** A confidence interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
  /** The confidence level. */
  readonly level: number;
  /** The method. */
  readonly by: string;
}

const LEVEL = 0.95;
/** Numbers of resamples: for an interval, and for a p-value, which needs more because of the correction. */
const [RESAMPLES, FOR_P] = [1000, 10_000];

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** The harmonic mean of non-negative values: 0 if one is 0, NaN if one is NaN. */
export function harmonicMean(values: readonly number[]): number {
  if (values.some(Number.isNaN)) return NaN;
  return values.some((value) => value <= 0) ? 0 : values.length / sum(values.map((value) => 1 / value));
}

/** The probability that a value from `upper` is greater than one from `lower`; ties count half (ROC-AUC). NaN if a side is empty or has NaN. */
export function auc(lower: ArrayLike<number>, upper: ArrayLike<number>): number {
  const [a, b] = [Float64Array.from(lower).sort(), Float64Array.from(upper).sort()];
  if (a.length === 0 || b.length === 0 || hasNaN(a) || hasNaN(b)) return NaN;
  let [below, upTo, wins] = [0, 0, 0]; // the number of values of `a` below the current value of `b`, and the number at most as large
  for (const value of b) {
    while (below < a.length && a[below]! < value) below++;
    while (upTo < a.length && a[upTo]! <= value) upTo++;
    wins += (below + upTo) / 2;
  }
  return wins / (a.length * b.length);
}

/** A sorted Float64Array; NaN is last. */
const hasNaN = (sorted: Float64Array): boolean => Number.isNaN(sorted.at(-1));

/** The distance of two samples' distributions, and the probability of such a distance if both have the same distribution. */
export interface KsResult {
  /** The largest distance of the two empirical distributions: h steps of 1 / (least common multiple of the sizes). */
  readonly statistic: number;
  readonly h: number;
  readonly n: number;
  readonly m: number;
  readonly p: number;
  readonly method: KsMethod;
}
export type KsMethod = "exact" | "asymptotic";

/** For larger samples the asymptotic p-value is used. */
const EXACT_UP_TO = 10_000;

/** The two-sided two-sample Kolmogorov-Smirnov test; a NaN in a sample makes the result NaN. Refuses an empty sample. */
export function ksTest(a: ArrayLike<number>, b: ArrayLike<number>, wanted?: KsMethod): KsResult {
  const [n, m] = [a.length, b.length];
  if (n === 0 || m === 0) fail("KS test", `samples of ${n} and ${m}`, "at least one value in each", "");
  const method = wanted ?? (Math.max(n, m) <= EXACT_UP_TO ? "exact" : "asymptotic");
  const h = ksSteps(Float64Array.from(a).sort(), Float64Array.from(b).sort());
  return { statistic: (h * gcd(n, m)) / (n * m), h, n, m, p: ksP(h, n, m, method), method };
}

/** The p-value of h steps between samples of n and m. */
export function ksP(h: number, n: number, m: number, method: KsMethod): number {
  if (Number.isNaN(h)) return NaN;
  if (h <= 0) return 1;
  const border = h * gcd(n, m);
  if (method === "asymptotic") return inUnit(kolmogorovTail(Math.round((n * m) / (n + m)), border / (n * m)));
  return inUnit(n === m ? ksEqual(h, n) : ksUnequal(border, n, m));
}

const inUnit = (p: number): number => Math.min(1, Math.max(0, p));

/** The largest distance of two sorted samples' distributions, in whole steps, which avoids the rounding of fractions. */
function ksSteps(a: Float64Array, b: Float64Array): number {
  if (hasNaN(a) || hasNaN(b)) return NaN;
  const [n, m] = [a.length, b.length];
  let [i, j, most] = [0, 0, 0];
  while (i < n && j < m) {
    const value = Math.min(a[i]!, b[j]!);
    while (i < n && a[i]! <= value) i++;
    while (j < m && b[j]! <= value) j++;
    most = Math.max(most, Math.abs(i * m - j * n));
  }
  return most / gcd(n, m);
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** The share of the orders of n and n values with a distance of at least h: reflections at both borders, summed from the smallest. */
function ksEqual(h: number, n: number): number {
  let p = 0;
  for (let k = Math.floor(n / h); k >= 0; k--) {
    let c = 1;
    for (let j = 0; j < h; j++) c = ((n - k * h - j) * c) / (n + k * h + j + 1);
    p = c * (1 - p);
  }
  return 2 * p;
}

/** The probability that a random monotone path to (n, m) touches |m·i − n·j| ≥ border. */
function ksUnequal(border: number, n: number, m: number): number {
  const row = new Float64Array(m + 1); // row[j]: the probability at (i, j)
  for (let i = 0; i <= n; i++)
    for (let j = 0; j <= m; j++) {
      if (Math.abs(m * i - n * j) >= border) row[j] = 1;
      else if (i === 0 && j === 0) row[j] = 0;
      else row[j] = (i * row[j]! + j * (row[j - 1] ?? 0)) / (i + j);
    }
  return row[m]!;
}

/** The probability that the empirical distribution of n values differs from the true one by at least d: Kolmogorov's distribution at a finite n. */
function kolmogorovTail(n: number, d: number): number {
  // above 2.2, the probability of both sides together is below 1e-8 of the sum of the one-sided tails
  return d >= 1 ? 0 : n * d * d >= 2.2 ? 2 * smirnovTail(n, d) : 1 - pelzGood(n, d);
}

/** The one-sided tail (Smirnov 1944): d Σ_j C(n, j) (1 − d − j/n)^(n−j) (d + j/n)^(j−1), in logarithms. */
function smirnovTail(n: number, d: number): number {
  let [total, logChoose] = [0, 0];
  for (let j = 0; j <= Math.floor(n * (1 - d)); j++) {
    if (j > 0) logChoose += Math.log((n - j + 1) / j);
    const rest = 1 - d - j / n;
    if (rest > 0) total += Math.exp(logChoose + (n - j) * Math.log(rest) + (j - 1) * Math.log(d + j / n) + Math.log(d));
  }
  return total;
}

/** Pelz and Good 1976: the limit distribution at z = d√n, with its corrections in 1/√n, 1/n and n^(−3/2). */
function pelzGood(n: number, d: number): number {
  const z = d * Math.sqrt(n);
  const z2 = z * z;
  let [k0, k1, k2, k3] = [0, 0, 0, 0];
  for (let k = 0; k <= Math.ceil((16 * z) / Math.PI); k++) {
    const [odd, even] = [(Math.PI * (k + 0.5)) ** 2, (Math.PI * k) ** 2];
    const [q, r] = [Math.exp(-odd / 2 / z2), Math.exp(-even / 2 / z2)];
    k0 += q;
    k1 += q * (odd - z2);
    k2 += q * (6 * z2 ** 3 + 2 * z2 ** 2 + (2 * z2 ** 2 - 5 * z2) * odd + (1 - 2 * z2) * odd ** 2) - 2 * z2 ** 2 * even * r;
    const cubic = (5 - 30 * z2) * odd ** 3 + (212 * z2 ** 2 - 60 * z2) * odd ** 2;
    k3 += q * (cubic + (135 * z2 ** 2 - 96 * z2 ** 3) * odd - 30 * z2 ** 3 - 90 * z2 ** 4) + 30 * z2 ** 2 * (3 * z2 * even - even ** 2) * r;
  }
  const terms = [k0 / z, k1 / (6 * z ** 4 * n ** 0.5), k2 / (72 * z ** 7 * n), k3 / (6480 * z ** 10 * n ** 1.5)];
  return Math.sqrt(2 * Math.PI) * sum(terms);
}

/**
 * The p-values of samples of this size at both ends of the interval of the true distance: the observed distance plus or minus the possible
 * error of each empirical distribution (Dvoretzky, Kiefer and Wolfowitz with Massart's constant, both together at LEVEL).
 * The interval is wide, but valid for every sample size and distribution.
 */
export function ksInterval({ statistic, n, m, p, method }: KsResult): Interval | null {
  if (Number.isNaN(p)) return null;
  const stray = (size: number): number => Math.sqrt(Math.log(4 / (1 - LEVEL)) / (2 * size));
  const [most, steps] = [stray(n) + stray(m), (n * m) / gcd(n, m)];
  const at = (distance: number): number => ksP(Math.round(distance * steps), n, m, method);
  return { low: at(Math.min(1, statistic + most)), high: at(Math.max(0, statistic - most)), level: LEVEL, by: "distribution-free" };
}

/**
 * The percentiles of a statistic over resamples. `sizes` are those of the groups, which are resampled separately; the statistic gets the drawn
 * indices of each group. Null if a value is NaN, or if every group has only one row.
 */
export function bootstrap(sizes: readonly number[], statistic: Statistic, chance: Rng): Interval | null {
  if (sizes.every((size) => size < 2)) return null;
  const values = resampled(sizes, statistic, chance, RESAMPLES).sort();
  if (hasNaN(values)) return null;
  const at = (share: number): number => values[Math.min(RESAMPLES - 1, Math.floor(share * RESAMPLES))]!;
  return { low: at((1 - LEVEL) / 2), high: at((1 + LEVEL) / 2), level: LEVEL, by: "bootstrap" };
}

export type Statistic = (draws: readonly Uint32Array[]) => number;

function resampled(sizes: readonly number[], statistic: Statistic, chance: Rng, times: number): Float64Array {
  const draws = sizes.map((size) => new Uint32Array(size));
  return Float64Array.from({ length: times }, () => {
    for (const draw of draws) for (let i = 0; i < draw.length; i++) draw[i] = chance.below(draw.length);
    return statistic(draws);
  });
}

/** The bootstrap interval of a mean. */
export function bootstrapMean(values: readonly number[], chance: Rng): Interval | null {
  return values.some(Number.isNaN) ? null : bootstrap([values.length], ([draw]) => drawnMean(values, draw!), chance);
}

/** The mean of the drawn values. */
export function drawnMean(values: readonly number[], draw: Uint32Array): number {
  let total = 0;
  for (const i of draw) total += values[i]!;
  return total / draw.length;
}

/** The mean difference of pairs, its bootstrap interval, and its two-sided p-value. */
export interface Paired {
  readonly difference: number;
  readonly interval: Interval | null;
  readonly p: number;
}

/** Resamples differences of pairs; p is that of the mean, with the differences shifted to mean 0. Refuses an empty list. */
export function pairedBootstrap(differences: readonly number[], chance: Rng): Paired {
  if (differences.length === 0) fail("paired bootstrap", "no pairs", "at least one", "The two sides must have samples in common.");
  const difference = mean(differences);
  if (Number.isNaN(difference)) return { difference, interval: null, p: NaN };
  const interval = bootstrapMean(differences, chance);
  const p = resampledP([differences.length], ([draw]) => drawnMean(differences, draw!), difference, chance);
  return { difference, interval, p };
}

/**
 * The two-sided p-value of a difference: the share of resamples, shifted to mean 0, that are as far from 0. 1 if nothing can be resampled.
 * With `enough`, the resampling ends early when so many were as far: then p is not small, and a few digits do.
 */
export function resampledP(
  sizes: readonly number[],
  statistic: Statistic,
  difference: number,
  chance: Rng,
  enough: number = Infinity,
): number {
  if (Number.isNaN(difference)) return NaN;
  if (difference === 0 || sizes.every((size) => size < 2)) return 1;
  let [drawn, extreme] = [0, 0];
  while (drawn < FOR_P && extreme < enough) {
    // 1e-12: sums of the same terms in another order count as equal
    for (const value of resampled(sizes, statistic, chance, RESAMPLES))
      if (Math.abs(value - difference) >= Math.abs(difference) * (1 - 1e-12)) extreme++;
    drawn += RESAMPLES;
  }
  return (extreme + 1) / (drawn + 1);
}

/** Holm's correction: enlarges p-values so that all values below a level hold together. NaN stays NaN and is not counted. */
export function holm(ps: readonly number[]): number[] {
  const order = [...ps.keys()].filter((i) => !Number.isNaN(ps[i]!)).sort((i, j) => ps[i]! - ps[j]!);
  const corrected = [...ps];
  let least = 0;
  order.forEach((at, rank) => {
    least = Math.max(least, Math.min(1, (order.length - rank) * ps[at]!));
    corrected[at] = least;
  });
  return corrected;
}

/** The exact interval of a share, k of n (Clopper and Pearson): each binomial tail has probability (1 − LEVEL) / 2. */
export function shareInterval(k: number, n: number): Interval | null {
  if (n === 0) return null;
  const tail = (1 - LEVEL) / 2;
  const low = k === 0 ? 0 : halve((p) => binomialFrom(k, n, p) < tail);
  const high = k === n ? 1 : halve((p) => 1 - binomialFrom(k + 1, n, p) > tail);
  return { low, high, level: LEVEL, by: "exact" };
}

/** The point in [0, 1] where a condition changes from true to false. */
function halve(holds: (p: number) => boolean): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X ≥ k) of a binomial variable, 0 < p < 1. */
function binomialFrom(k: number, n: number, p: number): number {
  let [total, logChoose] = [0, 0];
  for (let i = 0; i <= n; i++) {
    if (i > 0) logChoose += Math.log((n - i + 1) / i);
    if (i >= k) total += Math.exp(logChoose + i * Math.log(p) + (n - i) * Math.log1p(-p));
  }
  return Math.min(1, total);
}
