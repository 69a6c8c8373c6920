/** What an attack is: other questions whose answer would show that what was forgotten is still there; and how much they bring back. */
import type { Context } from "../base/context.ts";
import { rng, type Rng } from "../base/rng.ts";
import type { ForgetRequest } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";
import type { Asking } from "../ask/ask.ts";
import type { Reply } from "../ask/in-turns.ts";

/** What an attack may use: chance that belongs to this request alone, a way to log and stop, and a model that knows nothing of the edit. */
export interface Lent {
  readonly rng: Rng;
  readonly ctx: Context;
  readonly ask?: (asking: Asking) => Promise<Reply>;
}

/** Another question for the same answer, and where it comes from. */
export interface Variant {
  readonly source: string;
  readonly question: string;
}

export interface Attack {
  readonly name: string;
  readonly doc: string;
  /** Where its questions may come from, each with what it is. */
  readonly sources: Readonly<Record<string, string>>;
  /** Distinct questions from one source, none of them the request's own; `count` is how many are wanted where there is no end of them. */
  readonly ask: (request: ForgetRequest, source: string, count: number, lent: Lent) => Promise<readonly string[]>;
}

/** An attack as it is written down: nothing is added, the type is checked. */
export const defineAttack = (attack: Attack): Attack => attack;

/** What was said to a question, and the share of the answer's words that it gives (ROUGE-1 recall). */
export interface Attacked extends Variant {
  readonly said: string;
  readonly recall: number;
}

/** A request asked as it is and in other ways. */
export interface AttackedRequest {
  readonly id: string;
  readonly prompt: string;
  readonly answer: string;
  readonly said: string;
  readonly recall: number;
  readonly variants: readonly Attacked[];
}

/** The share of the answer's words that was said. */
export const recallOf = (answer: string, said: string): number => rougeN(tokenize(answer), tokenize(said), 1).recall;

/** What so many variants of each request bring back. */
export interface SweepRow {
  /** Variants drawn for each request. */
  readonly size: number;
  /** Mean over requests of the mean recall of those drawn. */
  readonly mean: number;
  /** Mean over requests of the highest recall, of those drawn and of the request as it is. */
  readonly worst: number;
  /** Standard error of `worst`. */
  readonly error: number;
  /** Requests that have fewer variants, all of which are taken. */
  readonly short: number;
}

/**
 * What an attack brings back by how many variants it may try. Of each request the variants of a smaller size are among those of a larger
 * one, in an order drawn by seed and id; so `worst` never falls. Requests without any variant count with what they say as they are.
 */
export function sweep(attacked: readonly AttackedRequest[], sizes: readonly number[], seed: string | number = 0): SweepRow[] {
  const chance = rng(seed).split("sweep");
  const ordered = attacked.map(({ id, recall, variants }) => ({
    recall,
    drawn: chance.split(id).shuffled(variants.map((variant) => variant.recall)),
  }));
  return sizes.map((size): SweepRow => {
    const worst = ordered.map(({ recall, drawn }) => Math.max(recall, ...drawn.slice(0, size)));
    const means = ordered.map(({ recall, drawn }) => (drawn.length === 0 || size === 0 ? recall : meanOf(drawn.slice(0, size))));
    return {
      size,
      mean: meanOf(means),
      worst: meanOf(worst),
      error: errorOf(worst),
      short: ordered.filter(({ drawn }) => drawn.length < size).length,
    };
  });
}

const meanOf = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / Math.max(1, xs.length);

function errorOf(xs: readonly number[]): number {
  if (xs.length < 2) return 0;
  const mean = meanOf(xs);
  return Math.sqrt(xs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (xs.length - 1) / xs.length);
}
