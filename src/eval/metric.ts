/** What a metric is: a pure function of the samples measured once from a model. */
import { mean } from "../base/array.ts";
import { define, type Forms } from "../base/define.ts";
import { fail, nearest } from "../base/fail.ts";
import { type Rng, rng } from "../base/rng.ts";
import { bootstrapMean, type Interval, shareInterval } from "./stats.ts";

/** The types of fields. */
interface Kinds {
  readonly text: string;
  readonly number: number;
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
}
export type Kind = keyof Kinds;

/**
 * The fields of a sample, by name; `eval/measure.ts` measures them, and logs of other tools contain them. Losses and
 * log-probabilities are in nats.
 */
export const FIELDS = {
  group: ["text", "The suite's group of the row: forget is to be forgotten; any other name is to be retained or was never seen."],
  question: ["text", "What was asked."],
  answer: ["text", "The answer in the data (gold)."],
  aliases: ["texts", "Other answers that are as right as the answer; a metric of words takes the best of all."],
  generation: ["text", "What the model said, without special tokens."],
  target: ["text", "The target of an edit: the text to say instead of the answer."],
  answerLoss: ["number", "Mean loss per token of the answer, teacher forced, including the end token."],
  answerTokens: ["number", "The number of tokens in that mean."],
  paraphraseLoss: ["number", "Mean loss per token of the answer in other words."],
  wrongLosses: ["numbers", "Mean loss per token of each false answer."],
  targetLoss: ["number", "Mean loss per token of the target."],
  loggedTruthRatio: ["number", "The truth ratio (false / true) as stored in a log, rounded to the model's precision."],
  answerLogprobs: ["numbers", "Log-probabilities of the answer's tokens, teacher forced; then of the end token, if it was measured."],
  logprobMeans: ["numbers", "At each of those tokens, the expected log-probability of a token sampled from the model."],
  logprobVariances: ["numbers", "The variance of the same."],
  answerRanks: [
    "numbers",
    "1 + the number of strictly larger logits, for each of the answer's tokens, teacher forced; without the end token.",
  ],
  generationRanks: ["numbers", "The same, for the answer tokenised alone, at the steps of the model's own generation."],
  leadingPeak: [
    "number",
    "The largest probability at a position: its mean over the first positions of the sequence, as many as the answer has tokens.",
  ],
  topTokens: ["numbers", "The most likely token at each position of the answer."],
  divergence: [
    "number",
    "Mean Kullback-Leibler divergence of the next-token distributions, from the comparison run to the model, over the answer's positions.",
  ],
  gradientNorm: ["number", "Mean over the weights of the L2 norm of the loss's gradient."],
  texts: ["texts", "Texts about the target, which a generation should resemble."],
} as const satisfies Readonly<Record<string, readonly [kind: Kind, doc: string]>>;

export type Field = keyof typeof FIELDS;
export type Fields = { readonly [F in Field]: Kinds[(typeof FIELDS)[F][0]] };

/** One sample: its id and the fields that were measured. */
export type SampleRecord = { readonly id: string } & Partial<Fields>;
/** A sample that is known to have the fields F. */
export type Row<F extends Field> = SampleRecord & Pick<Fields, F>;

/** A metric's value, the contribution of each sample, and the confidence interval. */
export interface Score {
  readonly value: number;
  readonly bySample: Readonly<Record<string, number>>;
  /** Null if there is none: one sample, or a value that is not a number. */
  readonly interval: Interval | null;
  /** Numbers to read together with the value. */
  readonly details?: Readonly<Record<string, number | string>>;
  readonly warnings?: readonly string[];
}

/** The input of a metric: the samples, those of the comparison run, the scores that it uses, and quirks to reproduce. */
export interface Questioned<R = SampleRecord> {
  readonly rows: readonly R[];
  readonly reference?: readonly R[];
  readonly scores: Readonly<Record<string, Score>>;
  readonly compat?: readonly string[];
}

/** The input of a metric's own function: the same, with a test for quirks and a random stream for resampling. */
export interface Judged<R> extends Omit<Questioned<R>, "compat" | "reference"> {
  readonly reference: readonly R[];
  readonly compat: (name: string) => boolean;
  readonly chance: Rng;
}

export interface Metric {
  readonly name: string;
  readonly doc: string;
  readonly paper?: string;
  readonly better: "higher" | "lower";
  /** How the number misleads, in one sentence; reports show it. */
  readonly caveat: string;
  /** Fields that every row must have. */
  readonly reads: readonly Field[];
  /** Whether it needs a comparison run, or uses one if there is one; absent: it gets none. */
  readonly compares?: true | "optional";
  /** Scores that it reads: a metric's name, or `metric@group` for its score of one group. */
  readonly after: readonly string[];
  /** Quirks of the published code by name, each with its effect; off by default. */
  readonly compat?: Readonly<Record<string, string>>;
  /** Fields that a quirk reads besides `reads`. */
  readonly compatReads?: Readonly<Record<string, readonly Field[]>>;
  readonly score: (q: Questioned) => Score;
}

const DECLARED: Forms<Metric> = {
  name: "text",
  doc: "text",
  paper: { optional: "text" },
  better: ["higher", "lower"],
  caveat: "text",
  reads: { listOf: Object.keys(FIELDS) },
  compares: { optional: [true, "optional"] },
  after: "texts",
  compat: { optional: "table" },
  compatReads: { optional: "table" },
  score: "function",
};

/**
 * A metric whose `score` gets only rows with the fields that it reads. A row without a field is refused, naming id and field. An undeclared
 * quirk is refused by name.
 * @example export const rouge1 = defineMetric({ name: "rouge1", reads: ["answer", "generation"], …, score: ({ rows, chance }) => averaged("rouge1", rows, (row) => …, chance) })
 */
export function defineMetric<const F extends Field>(
  definition: Omit<Metric, "reads" | "score"> & { readonly reads: readonly F[]; readonly score: (q: Judged<Row<F>>) => Score },
): Metric {
  const { name, reads, after, compares, compat: quirks = {} } = definition;
  return define<Metric>("metric", DECLARED, {
    ...definition,
    score({ rows, reference, scores, compat = [] }) {
      if (compares === true && !reference)
        fail(name, "there is no comparison run", "the samples of a second model", "Give its log or run with --reference.");
      for (const side of [rows, reference ?? []]) requireFields(name, side, reads);
      for (const other of after)
        if (!Object.hasOwn(scores, other))
          fail(name, `the score "${other}" is not there`, "a suite that computes it before this metric", `Add ${other} to the suite.`);
      for (const quirk of compat) if (!Object.hasOwn(quirks, quirk)) unknownQuirk(name, quirk, Object.keys(quirks));
      return definition.score({
        rows: rows as readonly Row<F>[],
        reference: (reference ?? []) as readonly Row<F>[],
        scores,
        compat: (quirk) => compat.includes(quirk),
        chance: rng(`interval/${name}`),
      });
    },
  });
}

/** Refuses a compat name that nothing declares. */
export function unknownQuirk(who: string, quirk: string, known: readonly string[]): never {
  const near = nearest(quirk, known);
  return fail(who, `there is no compat "${quirk}"`, known.join(", ") || "none", near ? `Did you mean "${near}"?` : "");
}

/** The mean of the rows' scores with its bootstrap interval; refuses an empty list and duplicate ids. */
export function averaged<R extends SampleRecord>(who: string, rows: readonly R[], score: (row: R) => number, chance: Rng): Score {
  const bySample = scoredRows(who, rows, score);
  const values = Object.values(bySample);
  return { value: mean(values), bySample, interval: bootstrapMean(values, chance) };
}

/** The share of rows for which a condition is true, with its exact interval. */
export function shareOf<R extends SampleRecord>(who: string, rows: readonly R[], holds: (row: R) => boolean): Score {
  const bySample = scoredRows(who, rows, (row) => Number(holds(row)));
  const values = Object.values(bySample);
  const value = mean(values);
  return { value, bySample, interval: shareInterval(Math.round(value * values.length), values.length) };
}

/** The score of each row, by id; refuses an empty list and duplicate ids. */
export function scoredRows<R extends SampleRecord>(who: string, rows: readonly R[], score: (row: R) => number): Record<string, number> {
  if (rows.length === 0) fail(who, "no samples", "at least one", "Check the suite's filter and --limit.");
  const bySample: Record<string, number> = {};
  for (const row of rows) {
    if (Object.hasOwn(bySample, row.id)) fail(who, `two samples have the id "${row.id}"`, "unique ids", "Give each row its own id.");
    bySample[row.id] = score(row);
  }
  return bySample;
}

/** The best value of a row over its right answers: the answer and its aliases, of which any will do. */
export const bestOf = (row: Row<"answer">, value: (answer: string) => number): number =>
  Math.max(...[row.answer, ...(row.aliases ?? [])].map(value));

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
