/** Scores of rows from the ranks of the answer's tokens, and a published benchmark's quirk of counting early batches again. */
import { mean } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Judged, type Row, type Score, scoredRows } from "./metric.ts";
import { bootstrapMean, sum } from "./stats.ts";

/** The batch size of the benchmark that counts batches again. */
const BATCH = 16;

/** Quirks of all scores that use ranks. */
export const RANK_COMPAT: Readonly<Record<string, string>> = {
  "generated-ranks": "rank the answer, tokenised alone, at the steps of the model's own generation (PISTOL): a perfect model scores badly",
  "counted-again": `after each batch of ${BATCH} rows, count the rows of all earlier batches once more (PISTOL)`,
};

/** The fields that these quirks read. */
export const RANK_READS = { "generated-ranks": ["generationRanks"] } as const;

/** The mean over rows of the mean over tokens of a function of the rank. */
export function rankScore(who: string, { rows, compat, chance }: Judged<Row<"answerRanks">>, worth: (rank: number) => number): Score {
  const bySample = scoredRows(who, rows, (row) => {
    const ranks = compat("generated-ranks") ? row.generationRanks : row.answerRanks;
    if (ranks?.length === 0 && compat("generated-ranks")) return NaN; // the model said nothing
    if (!ranks?.length) fail(who, `sample "${row.id}" has no ranked token`, "at least one", "Remove the sample, or measure its ranks.");
    return mean(ranks.map(worth));
  });
  const values = Object.values(bySample);
  const counted = compat("counted-again") ? countedAgain(values, BATCH) : values;
  return { value: mean(counted), bySample, interval: bootstrapMean(values, chance) };
}

/** The values as a list to which the running list is appended after every batch: of k batches, the first counts k times. */
export function countedAgain(values: readonly number[], batch: number): number[] {
  return Array.from({ length: Math.ceil(values.length / batch) }, (_, i) => values.slice(0, (i + 1) * batch)).flat();
}

/** The share of the answer after the last token that is not the most likely one; with `isFloored`, at least one token. */
export function strengthOf(ranks: readonly number[], isFloored: boolean): number {
  if (ranks.length === 0) return 0;
  const start = ranks.findLastIndex((rank) => rank !== 1) + 1;
  return 1 - Math.min(start, isFloored ? ranks.length - 1 : ranks.length) / ranks.length;
}

/** The share of an answer's tokens that are the most likely at their position. */
export const shareOfFirsts = (ranks: readonly number[]): number => sum(ranks.map((rank) => Number(rank === 1))) / ranks.length;
