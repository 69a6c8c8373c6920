/** Membership inference: whether a score separates the forget rows from rows that were never seen. */
import { mean } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Row, type Score, scoredRows } from "./metric.ts";
import { auc, bootstrap, type Interval } from "./stats.ts";
import type { Rng } from "../base/rng.ts";

/** The share of a text's tokens that min-k uses: the least likely ones. */
const SHARE = 0.4;

/** Scores of both sides, from rows of the group forget and of any other. */
export interface Sides {
  readonly forget: readonly number[];
  readonly unseen: readonly number[];
  readonly bySample: Readonly<Record<string, number>>;
}

/** Every row's score, low for rows that look trained; refuses rows of only one side. */
export function sidesOf<R extends Row<"group">>(who: string, rows: readonly R[], score: (row: R) => number): Sides {
  const bySample = scoredRows(who, rows, score);
  const of = (isForget: boolean): number[] => rows.filter((row) => (row.group === "forget") === isForget).map((row) => bySample[row.id]!);
  const [forget, unseen] = [of(true), of(false)];
  if (forget.length === 0 || unseen.length === 0)
    fail(
      who,
      `${forget.length} forget rows and ${unseen.length} unseen rows`,
      "rows of both kinds",
      "Add a group of rows that no model has seen.",
    );
  return { forget, unseen, bySample };
}

/** The probability that an unseen row scores above a forget row: 1 is perfect separation, 0.5 none. */
export function membership<R extends Row<"group">>(who: string, rows: readonly R[], score: (row: R) => number, chance: Rng): Score {
  const sides = sidesOf(who, rows, score);
  return { value: auc(sides.forget, sides.unseen), bySample: sides.bySample, interval: sideInterval(sides, (area) => area, chance) };
}

/** The interval of a function of the AUC, with both sides resampled. */
export function sideInterval({ forget, unseen }: Sides, of: (area: number) => number, chance: Rng): Interval | null {
  if ([...forget, ...unseen].some(Number.isNaN)) return null;
  const drawn = (values: readonly number[], draw: Uint32Array): Float64Array => Float64Array.from(draw, (i) => values[i]!);
  return bootstrap([forget.length, unseen.length], ([a, b]) => of(auc(drawn(forget, a!), drawn(unseen, b!))), chance);
}

/** Minus the mean of a share of lowest values; 0 if there are none. */
export function minK(values: readonly number[]): number {
  const lowest = Float64Array.from(values)
    .sort()
    .slice(0, Math.max(1, Math.floor(SHARE * values.length)));
  return values.length === 0 ? 0 : -mean([...lowest]);
}

/** An answer's log-probabilities without that of its end. */
export const withoutEnd = ({ answerLogprobs, answerRanks }: Row<"answerLogprobs" | "answerRanks">): readonly number[] =>
  answerLogprobs.slice(0, answerRanks.length);

/** Lower bound of variances. */
const LEAST_VARIANCE = 1e-6;

type Moments = Row<"answerLogprobs" | "answerRanks" | "logprobMeans" | "logprobVariances">;

/** Log-probabilities standardised by the model's own distribution. */
export const standardised = (row: Moments): number[] =>
  withoutEnd(row).map((p, i) => (p - row.logprobMeans[i]!) / Math.sqrt(Math.max(LEAST_VARIANCE, row.logprobVariances[i]!)));
