/** Choosing the next token from its log-probabilities. */
import type { Rng } from "../base/rng.ts";

export interface Sampling {
  /** 0 or absent: the likeliest token. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

/** Draws an id after temperature, then top-k, then top-p (the smallest set of likeliest tokens whose mass reaches p). */
export function sample(logprobs: ArrayLike<number>, { temperature = 0, topK, topP }: Sampling, random: Rng): number {
  let best = 0;
  for (let i = 1; i < logprobs.length; i++) if (logprobs[i]! > logprobs[best]!) best = i;
  if (!(temperature > 0)) return best;
  const top = logprobs[best]!;
  const isNucleus = topP !== undefined && topP < 1;
  const all = isNucleus && topK === undefined ? mass(logprobs, top, temperature) : undefined;
  // ids of which all V together weigh less than 1 − p cannot be in the nucleus: most need no sorting
  const floor = all === undefined ? -Infinity : top + temperature * Math.log(((1 - topP!) / logprobs.length) * all);
  let ids = likeliest(logprobs, floor, topK, topP);
  let weights = ids.map((i) => Math.exp((logprobs[i]! - top) / temperature));
  if (isNucleus) {
    const total = all ?? weights.reduce((a, b) => a + b, 0);
    let [reached, count] = [0, 0];
    while (count < ids.length && reached < topP * total) reached += weights[count++]!;
    [ids, weights] = [ids.slice(0, Math.max(1, count)), weights.slice(0, Math.max(1, count))];
  }
  let draw = random.uniform() * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < ids.length; i++) if ((draw -= weights[i]!) < 0) return ids[i]!;
  return ids.at(-1)!;
}

/** The sum of weights relative to the largest. */
function mass(logprobs: ArrayLike<number>, top: number, temperature: number): number {
  let sum = 0;
  for (let i = 0; i < logprobs.length; i++) sum += Math.exp((logprobs[i]! - top) / temperature);
  return sum;
}

/**
 * Ids at or above a log-probability that top-k or top-p can keep, likeliest first (of equals, the lower id); all of them, unsorted, where
 * neither is asked for.
 */
function likeliest(logprobs: ArrayLike<number>, floor: number, topK: number | undefined, topP: number | undefined): number[] {
  const ids: number[] = [];
  for (let i = 0; i < logprobs.length; i++) if (logprobs[i]! >= floor) ids.push(i);
  if (topK === undefined && topP === undefined) return ids;
  const order = (a: number, b: number): number => logprobs[b]! - logprobs[a]! || a - b;
  if (topK === undefined || topK <= 0 || topK >= ids.length) return ids.sort(order);
  const kept: number[] = []; // insertion into the k best so far
  for (const id of ids) {
    if (kept.length === topK && order(id, kept[topK - 1]!) >= 0) continue;
    let at = kept.length;
    while (at > 0 && order(id, kept[at - 1]!) < 0) at--;
    kept.splice(at, 0, id);
    if (kept.length > topK) kept.pop();
  }
  return kept;
}
