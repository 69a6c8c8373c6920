/** Ranks of the answer's tokens as scores of rows, and the way in which a published benchmark counts early batches again. */
import { mean } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Judged, type Row, type Score, scoredRows } from "./metric.ts";
import { bootstrapMean, sum } from "./stats.ts";

/** How many rows the benchmark that counts batches again asks at once. */
const BATCH = 16;

/** Quirks that every score of ranks shares. */
export const RANK_COMPAT: Readonly<Record<string, string>> = {
  "generated-ranks": "the answer tokenised alone, at the steps of the model's own generation (PISTOL): a perfect model ranks badly",
  "counted-again": `after each batch of ${BATCH} rows, those of all earlier batches count once more (PISTOL)`,
};

/** The mean over rows of the mean over tokens of what a rank is worth. */
export function rankScore(who: string, { rows, compat, chance }: Judged<Row<"answerRanks">>, worth: (rank: number) => number): Score {
  const bySample = scoredRows(who, rows, (row) => {
    const ranks = compat("generated-ranks") ? row.generationRanks : row.answerRanks;
    if (!ranks?.length) fail(who, `sample "${row.id}" has no ranked token`, "at least one", "Leave it out, or measure its ranks.");
    return mean(ranks.map(worth));
  });
  const values = Object.values(bySample);
  const counted = compat("counted-again") ? countedAgain(values, BATCH) : values;
  return { value: mean(counted), bySample, interval: bootstrapMean(values, chance) };
}

/** The values as a list to which the running list is added after every batch: of k batches, the first counts k times. */
export function countedAgain(values: readonly number[], batch: number): number[] {
  return Array.from({ length: Math.ceil(values.length / batch) }, (_, i) => values.slice(0, (i + 1) * batch)).flat();
}

/** From where on every token is the likeliest, as a share of the answer that is left; `first` is the last place it may begin. */
export function strengthOf(ranks: readonly number[], isFloored: boolean): number {
  if (ranks.length === 0) return 0;
  const start = ranks.findLastIndex((rank) => rank !== 1) + 1;
  return 1 - Math.min(start, isFloored ? ranks.length - 1 : ranks.length) / ranks.length;
}

/** The share of an answer's tokens that are the likeliest where they stand. */
export const shareOfFirsts = (ranks: readonly number[]): number => sum(ranks.map((rank) => Number(rank === 1))) / ranks.length;
