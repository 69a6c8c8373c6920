/** Combines several changes of one matrix into one: by a sum, TIES, DARE or spherical interpolation. */
import { fail } from "../../base/fail.ts";
import type { Rng } from "../../base/rng.ts";

export type Numbers = Float32Array | Float64Array;
export const BLENDS = ["ties", "dare", "linear", "slerp"] as const;
export type Blend = (typeof BLENDS)[number];

export interface BlendOptions {
  /** Share of the entries that each change keeps (ties: the largest entries; dare: random entries). */
  readonly density: number;
  readonly random: Rng;
}

/** The weighted combination of changes of equal size, in float64; an empty list gives an empty result. */
export function blend(how: Blend, changes: readonly Numbers[], weights: readonly number[], options: BlendOptions): Float64Array {
  if (changes.length === 0) fail("blend", "no changes", "at least one", "", "internal");
  if (how === "ties") return ties(changes, weights, options.density);
  if (how === "slerp") return slerp(changes, weights);
  const kept = how === "dare" ? changes.map((c) => dropped(c, options)) : changes;
  return Float64Array.from({ length: changes[0]!.length }, (_, i) => kept.reduce((sum, c, k) => sum + weights[k]! * c[i]!, 0));
}

/**
 * TIES (arXiv:2306.01708): each change keeps its largest entries. If signs differ, the sign with the larger total wins, and the entries
 * with this sign are averaged.
 */
function ties(changes: readonly Numbers[], weights: readonly number[], density: number): Float64Array {
  const trimmed = changes.map((c) => largestOf(c, density));
  return Float64Array.from({ length: changes[0]!.length }, (_, i) => {
    const sign = trimmed.reduce((sum, c, k) => sum + weights[k]! * c[i]!, 0) >= 0 ? 1 : -1;
    let [sum, share] = [0, 0];
    for (const [k, c] of trimmed.entries())
      if (Math.sign(c[i]!) === sign) {
        sum += weights[k]! * c[i]!;
        share += weights[k]!;
      }
    return share === 0 ? 0 : sum / share;
  });
}

/** Keeps the ⌊density · size⌋ largest entries by magnitude (of equal entries the first), and sets the others to zero. */
function largestOf(change: Numbers, density: number): Float64Array {
  const count = Math.floor(density * change.length);
  if (count === 0) return new Float64Array(change.length);
  const threshold = Float64Array.from(change, Math.abs).sort()[change.length - count]!;
  let equals = count;
  for (const x of change) if (Math.abs(x) > threshold) equals--;
  return Float64Array.from(change, (x) => (Math.abs(x) > threshold || (Math.abs(x) === threshold && equals-- > 0) ? x : 0));
}

/** DARE (arXiv:2311.03099): drops random entries, and scales the others so that the expected sum does not change. */
const dropped = (change: Numbers, { density, random }: BlendOptions): Float64Array =>
  Float64Array.from(change, (x) => (random.uniform() < density ? x / density : 0));

/** Spherical interpolation: each change is blended with the result so far, by its share of the total weight so far. */
function slerp(changes: readonly Numbers[], weights: readonly number[]): Float64Array {
  let out = Float64Array.from(changes[0]!);
  let weight = weights[0]!;
  for (const [k, change] of changes.slice(1).entries()) {
    weight += weights[k + 1]!;
    out = between(out, change, weights[k + 1]! / weight);
  }
  return out;
}

function between(a: Float64Array, b: Numbers, t: number): Float64Array<ArrayBuffer> {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) [ab, aa, bb] = [ab + a[i]! * b[i]!, aa + a[i]! ** 2, bb + b[i]! ** 2];
  const cosine = ab / Math.sqrt(aa * bb);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  // parallel or empty: interpolate linearly
  const [p, q] =
    Number.isFinite(cosine) && Math.abs(cosine) < 0.9995
      ? [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)]
      : [1 - t, t];
  return Float64Array.from(a, (x, i) => p * x + q * b[i]!);
}
