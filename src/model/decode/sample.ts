/** Choosing the next token from its log-probabilities. */
import type { Rng } from "../../base/rng.ts";

export interface Sampling {
  /** 0 or absent: the likeliest token. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

/**
 * Draws an id by its log-probabilities, which are those of one distribution: their exponentials sum to 1. It is drawn after temperature, then top-k, then top-p (the smallest set of likeliest tokens whose mass reaches p). What may be drawn is
 * laid out from the likeliest down, of equals the lower id first; by id where nothing is cut.
 */
export function sample(logprobs: ArrayLike<number>, { temperature = 0, topK, topP }: Sampling, random: Rng): number {
  let [best, top] = [0, logprobs[0]!];
  for (let i = 1; i < logprobs.length; i++) if (logprobs[i]! > top) [best, top] = [i, logprobs[i]!];
  if (!(temperature > 0)) return best;
  const weighed = (of: ArrayLike<number>): Float64Array => {
    const weights = new Float64Array(of.length);
    for (let i = 0; i < of.length; i++) weights[i] = Math.exp((of[i]! - top) / temperature);
    return weights;
  };
  if (topK === undefined && topP === undefined) return drawn(weighed(logprobs), random);

  const k = topK !== undefined && topK > 0 ? topK : logprobs.length;
  const p = topP ?? 1;
  const all = p < 1 && k >= logprobs.length ? massOf(logprobs, top, temperature) : undefined;
  // ids of which all V together weigh less than 1 − p cannot be in the nucleus: most need no sorting
  const floor = all === undefined ? kthLargest(logprobs, k) : top + temperature * Math.log(((1 - p) / logprobs.length) * all);
  const values = atLeast(logprobs, floor).sort().reverse().subarray(0, k);
  const weights = weighed(values);
  let count = p < 1 ? 0 : values.length;
  if (p < 1)
    for (let reached = 0, mass = p * (all ?? sumOf(weights)); count < values.length && reached < mass;) reached += weights[count++]!;
  const place = drawn(weights.subarray(0, Math.max(1, count)), random);
  // the place among equals is the place among their ids
  let after = place - values.indexOf(values[place]!);
  for (let id = 0; ; id++) if (logprobs[id] === values[place] && after-- === 0) return id;
}

/** The place that a draw falls on. */
function drawn(weights: Float64Array, random: Rng): number {
  let left = random.uniform() * sumOf(weights);
  for (let i = 0; i < weights.length; i++) if ((left -= weights[i]!) < 0) return i;
  return weights.length - 1;
}

/** Σ exp((l − top)/temperature) over a distribution; at temperature 1 it is known without an exponential for each of V tokens. */
function massOf(logprobs: ArrayLike<number>, top: number, temperature: number): number {
  if (temperature === 1) return Math.exp(-top);
  let sum = 0;
  for (let i = 0; i < logprobs.length; i++) sum += Math.exp((logprobs[i]! - top) / temperature);
  return sum;
}

function sumOf(weights: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]!;
  return sum;
}

function atLeast(values: ArrayLike<number>, floor: number): Float64Array {
  const kept: number[] = [];
  for (let i = 0; i < values.length; i++) if (values[i]! >= floor) kept.push(values[i]!);
  return Float64Array.from(kept);
}

/** Below it none of the k largest lies. Where k is large, sorting everything is as cheap as looking for it. */
function kthLargest(values: ArrayLike<number>, k: number): number {
  if (k > 256 || k >= values.length) return -Infinity;
  const kept = new Float64Array(k).fill(-Infinity); // descending
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value <= kept[k - 1]!) continue;
    let at = k - 1;
    for (; at > 0 && kept[at - 1]! < value; at--) kept[at] = kept[at - 1]!;
    kept[at] = value;
  }
  return kept[k - 1]!;
}
