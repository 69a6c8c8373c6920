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
  let ids = Array.from({ length: logprobs.length }, (_, i) => i);
  if (topK !== undefined || topP !== undefined) ids.sort((a, b) => logprobs[b]! - logprobs[a]! || a - b);
  if (topK !== undefined && topK > 0) ids = ids.slice(0, topK);
  let weights = ids.map((i) => Math.exp((logprobs[i]! - logprobs[best]!) / temperature));
  if (topP !== undefined && topP < 1) {
    const total = weights.reduce((a, b) => a + b, 0);
    let [mass, count] = [0, 0];
    while (count < ids.length && mass < topP * total) mass += weights[count++]!;
    [ids, weights] = [ids.slice(0, Math.max(1, count)), weights.slice(0, Math.max(1, count))];
  }
  let draw = random.uniform() * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < ids.length; i++) if ((draw -= weights[i]!) < 0) return ids[i]!;
  return ids.at(-1)!;
}
