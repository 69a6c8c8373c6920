/** What models were asked and said, for a report: a text of one question in a table, and the answers before and after for people to rate. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isRecord, readLines } from "../../base/store.ts";
import { SAMPLES } from "../eval.ts";
import { cellWith, textCell } from "./cell.ts";
import { type AllDone, gather } from "./gather.ts";
import type { AnswersRecord, RatedAnswer, TableCell } from "./record.ts";
import type { Answers, Column } from "./report-schema.ts";
import type { Point, PointRow } from "./unfold.ts";

/** The texts of a question. */
interface SaidSample {
  readonly id: string;
  readonly group: string;
  readonly question: string;
  readonly answer: string;
  readonly generation: string;
}

/** The questions of an evaluation in their order; undefined if its samples are not in its folder. */
function samplesIn(path: string): SaidSample[] | undefined {
  const file = join(path, SAMPLES);
  if (!existsSync(file)) return undefined;
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return readLines(file)
    .filter(isRecord)
    .map(({ id, group, question, answer, generation }) => ({
      id: text(id),
      group: text(group),
      question: text(question),
      answer: text(answer),
      generation: text(generation),
    }));
}

const NOT_HERE = "the folder of the evaluation has no samples";

/** A cell with a text of one question. The first run of the row tells it. */
export function saidCell({ sample, of, row = 1 }: Column, points: readonly Point[], done: AllDone): TableCell {
  const found = gather(of!, points, done);
  const [run] = found.runs;
  if (!run) return cellWith(found, []);
  const samples = samplesIn(run.path);
  const one = samples?.[row - 1];
  if (one) return textCell(one[sample!].trim() || "(nothing)");
  return { ...cellWith(found, []), lacks: [samples ? `the evaluation has ${samples.length} questions` : NOT_HERE] };
}

/** The answers of every row of a table, before and after, with the right one. */
export function answersOf(name: string, { before, after, group }: Answers, rows: readonly PointRow[], done: AllDone): AnswersRecord {
  const read = new Map<string, ReadonlyMap<string, SaidSample> | undefined>();
  const samplesOf = (step: string, point: Point): ReadonlyMap<string, SaidSample> | undefined => {
    const [run] = gather(step, [point], done).runs;
    if (!run) return undefined;
    if (!read.has(run.path)) {
      const own = samplesIn(run.path)?.filter((one) => one.group === group);
      read.set(run.path, own && new Map(own.map((one) => [one.id, one])));
    }
    return read.get(run.path);
  };
  const lines = rows.flatMap(({ at, points }) =>
    points.flatMap((point): RatedAnswer[] => {
      const [first, then] = [samplesOf(before, point), samplesOf(after, point)];
      if (!first || !then) return [];
      return [...then.values()].flatMap(({ id, question, answer, generation }) => {
        const untouched = first.get(id);
        if (!untouched) return [];
        const seed = point.seed === "" ? {} : { seed: point.seed };
        return [{ ...at, ...seed, id, question, right: answer, before: untouched.generation, after: generation }];
      });
    }),
  );
  return { name, lines };
}
