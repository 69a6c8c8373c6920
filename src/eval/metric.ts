/** What a judge is: a pure function of the rows that a model was asked for once. */
import { fail } from "../base/fail.ts";

/** What may be known of a sample, by name; `eval/measure.ts` asks a model for it, logs made elsewhere bring it along. */
export interface Fields {
  /** What was asked. */
  readonly question: string;
  /** What the data gives as the answer (gold). */
  readonly answer: string;
  /** What the model said, without special tokens. */
  readonly generation: string;
  /** Natural log-probabilities of the answer's tokens, teacher forced; then of the end token, where it was measured. */
  readonly answerLogprobs: readonly number[];
  /** 1 + the number of strictly larger logits, for the answer's tokens, teacher forced. */
  readonly answerRanks: readonly number[];
}
export type Field = keyof Fields;

/** One sample: its id and the fields that were measured. */
export type SampleRecord = { readonly id: string } & Partial<Fields>;
/** A sample that is known to have the fields F. */
export type Row<F extends Field> = SampleRecord & Pick<Fields, F>;

/** A metric's value and what each sample contributed. */
export interface Score {
  readonly value: number;
  readonly bySample: Readonly<Record<string, number>>;
}

/** What a metric is given: the rows, the rows of the model it compares with, and the scores it comes after. */
export interface Questioned<R = SampleRecord> {
  readonly rows: readonly R[];
  readonly reference?: readonly R[];
  readonly scores: Readonly<Record<string, Score>>;
}

export interface Metric {
  readonly name: string;
  readonly doc: string;
  readonly paper?: string;
  readonly better: "higher" | "lower";
  /** Fields that every row must have. */
  readonly reads: readonly Field[];
  /** Metrics whose scores this one reads. */
  readonly after: readonly string[];
  readonly score: (q: Questioned) => Score;
}

/**
 * A metric whose `score` sees only rows that have the fields it reads; a row without one is refused by id and field.
 * @example export const rouge1 = defineMetric({ name: "rouge1", reads: ["answer", "generation"], …, score: ({ rows }) => averaged("rouge1", rows, (row) => …) })
 */
export function defineMetric<const F extends Field>(
  definition: Omit<Metric, "reads" | "score"> & { readonly reads: readonly F[]; readonly score: (q: Questioned<Row<F>>) => Score },
): Metric {
  const { name, reads, after } = definition;
  return {
    ...definition,
    score(q) {
      for (const rows of [q.rows, q.reference ?? []]) requireFields(name, rows, reads);
      for (const other of after)
        if (!Object.hasOwn(q.scores, other))
          fail(name, `the score "${other}" is not there`, "it before this metric", `Ask for ${other} as well.`);
      return definition.score(q as Questioned<Row<F>>);
    },
  };
}

/** The plain mean of what each row scores; no rows are refused, and so are two rows of one id. */
export function averaged<R extends SampleRecord>(who: string, rows: readonly R[], score: (row: R) => number): Score {
  if (rows.length === 0) fail(who, "no samples", "at least one", "Check the suite's filter and --limit.");
  const bySample: Record<string, number> = {};
  let sum = 0;
  for (const row of rows) {
    if (Object.hasOwn(bySample, row.id))
      fail(who, `two samples have the id "${row.id}"`, "ids that differ", "Give each row an id of its own.");
    sum += bySample[row.id] = score(row);
  }
  return { value: sum / rows.length, bySample };
}

function requireFields(who: string, rows: readonly SampleRecord[], fields: readonly Field[]): void {
  for (const row of rows)
    for (const field of fields)
      if (row[field] === undefined)
        fail(
          who,
          `sample "${row.id}" has no field "${field}"`,
          `the fields ${fields.join(", ")}`,
          "Measure it again with this metric in the list.",
        );
}
