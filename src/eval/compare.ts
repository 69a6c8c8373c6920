/** Comparison of two runs over the same rows: significant differences, and the answers that flipped. */
import { mean } from "../base/array.ts";
import { defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Plugged } from "../base/plugin.ts";
import { type Rng, rng } from "../base/rng.ts";
import { type Column, judge } from "./judge.ts";
import { bestOf, type SampleRecord, type Score } from "./metric.ts";
import { rougeL, tokenize } from "./rouge.ts";
import { holm, type Paired, pairedBootstrap } from "./stats.ts";

/** A column on both sides, over the rows that both have. */
export interface Difference extends Paired {
  readonly column: Column;
  readonly a: number;
  readonly b: number;
  readonly rows: number;
  /** p after Holm's correction over all columns. */
  readonly corrected: number;
}

/** An answer that was right on one side only. */
export interface Flip {
  readonly id: string;
  readonly kind: "lost" | "gained";
  /** How unlikely this outcome was in bits, by the probability that the first run gave the answer. */
  readonly surprise: number;
  readonly a: SampleRecord;
  readonly b: SampleRecord;
}

/** The least ROUGE-L recall of a right answer. */
const RIGHT = 0.5;
/** Probabilities are clamped away from 0 and 1, so that a surprise stays finite. */
const LEAST = 1e-6;

/** Pairs of rows with the same id; fails if there are none. */
export function pairsOf(a: readonly SampleRecord[], b: readonly SampleRecord[]): (readonly [SampleRecord, SampleRecord])[] {
  const theirs = new Map(b.map((row) => [row.id, row]));
  const pairs = a.flatMap((row) => (theirs.has(row.id) ? [[row, theirs.get(row.id)!] as const] : []));
  if (pairs.length === 0)
    fail(
      "compare",
      `the ${a.length} rows of one and the ${b.length} rows of the other have no id in common`,
      "two runs over the same rows",
      "Compare logs of one format that were made from the same data.",
    );
  return pairs;
}

/** The columns that are a mean over rows, compared row by row: paired bootstrap, corrected for their number. Rows with NaN are omitted. */
export function differencesOf(
  pairs: readonly (readonly [SampleRecord, SampleRecord])[],
  columns: readonly Column[],
  ctx: Plugged = defaultContext(),
): Difference[] {
  const [mine, other] = [0, 1].map((side) =>
    judge(
      pairs.map((pair) => pair[side]!),
      columns,
      { ctx },
    ),
  );
  const found = mine!.flatMap((verdict, i): Omit<Difference, "corrected">[] => {
    const theirs = other![i]!;
    if (!("score" in verdict) || !("score" in theirs) || !isMean(verdict.score)) return [];
    const ids = Object.keys(verdict.score.bySample).filter(
      (id) => !Number.isNaN(verdict.score.bySample[id]! - (theirs.score.bySample[id] ?? NaN)),
    );
    if (ids.length === 0) return [];
    const [a, b] = [verdict.score, theirs.score].map(({ bySample }) => ids.map((id) => bySample[id]!)) as [number[], number[]];
    const paired = pairedBootstrap(
      b.map((value, at) => value - a[at]!),
      streamOf(verdict.column),
    );
    return [{ column: verdict.column, a: mean(a), b: mean(b), rows: ids.length, ...paired }];
  });
  const corrected = holm(found.map(({ p }) => p));
  return found.map((difference, i) => ({ ...difference, corrected: corrected[i]! }));
}

/** Whether a score is its samples' mean; then its difference is the mean of the rows' differences. */
function isMean({ value, bySample }: Score): boolean {
  const values = Object.values(bySample);
  const own = mean(values);
  return values.length > 0 && (Number.isNaN(own) || Math.abs(own - value) <= 1e-9 * Math.max(1, Math.abs(value)));
}

const streamOf = ({ metric, group }: Column): Rng => rng(`compare/${metric}/${group ?? ""}`);

/** The answers that flipped, most surprising first; rows without texts cannot flip. */
export function flipsOf(pairs: readonly (readonly [SampleRecord, SampleRecord])[]): Flip[] {
  const flips = pairs.flatMap(([a, b]): Flip[] => {
    const [before, after] = [recallOf(a), recallOf(b)];
    if (before === undefined || after === undefined || before >= RIGHT === after >= RIGHT) return [];
    const kind = before >= RIGHT ? "lost" : "gained";
    const p = Math.min(
      1 - LEAST,
      Math.max(LEAST, a.answerLoss === undefined || Number.isNaN(a.answerLoss) ? before : Math.exp(-a.answerLoss)),
    );
    return [{ id: a.id, kind, surprise: -Math.log2(kind === "lost" ? 1 - p : p), a, b }];
  });
  return flips.sort((one, two) => two.surprise - one.surprise || (one.id < two.id ? -1 : 1));
}

function recallOf(row: SampleRecord): number | undefined {
  const { answer, generation } = row;
  if (answer === undefined || generation === undefined) return undefined;
  return bestOf({ ...row, answer }, (right) => rougeL(tokenize(right), tokenize(generation)).recall);
}
