/** What a judge is: a pure function of the rows that a model was asked for once. */
import { mean } from "../base/array.ts";
import { define, type Forms } from "../base/define.ts";
import { fail, nearest } from "../base/fail.ts";
import { type Rng, rng } from "../base/rng.ts";
import { bootstrapMean, type Interval, shareInterval } from "./stats.ts";

/** How a field is written down, and as what it is read. */
interface Kinds {
  readonly text: string;
  readonly number: number;
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
}
export type Kind = keyof Kinds;

/**
 * What may be known of a sample, by name; `eval/measure.ts` asks a model for it, logs made elsewhere bring it along. Losses and
 * log-probabilities are in nats.
 */
export const FIELDS = {
  group: ["text", "The part of a suite it belongs to: forget is what must go; any other name is what must stay, or was never seen."],
  question: ["text", "What was asked."],
  answer: ["text", "What the data gives as the answer (gold)."],
  generation: ["text", "What the model said, without special tokens."],
  target: ["text", "What an edit wants said instead of the answer."],
  answerLoss: ["number", "Mean loss of a token of the answer, teacher forced, the end token with it."],
  answerTokens: ["number", "How many tokens that mean is over."],
  paraphraseLoss: ["number", "Mean loss of a token of the answer in other words."],
  wrongLosses: ["numbers", "Mean loss of a token of each false answer."],
  targetLoss: ["number", "Mean loss of a token of the target."],
  loggedTruthRatio: ["number", "False over true as a log rounded it, at the precision that the model ran in."],
  answerLogprobs: ["numbers", "Log-probabilities of the answer's tokens, teacher forced; then of the end token, where it was measured."],
  logprobMeans: ["numbers", "At each of those tokens, the mean log-probability of a token that the model itself would draw there."],
  logprobVariances: ["numbers", "The variance of the same."],
  answerRanks: [
    "numbers",
    "1 + the number of strictly larger logits, for each of the answer's tokens, teacher forced; without the end token.",
  ],
  generationRanks: ["numbers", "The same, for the answer tokenised alone, at the steps of the model's own generation."],
  leadingPeak: [
    "number",
    "The likeliest token's probability: its mean over as many positions from the sequence's beginning as the answer has tokens.",
  ],
  topTokens: ["numbers", "The likeliest token at each position of the answer."],
  divergence: [
    "number",
    "Mean Kullback-Leibler divergence of the reference's next-token distribution from the model's, over the answer's positions.",
  ],
  gradientNorm: ["number", "Mean over the weights of the L2 norm of the loss's gradient."],
  texts: ["texts", "Texts about what the target says: what a generation should sound like."],
} as const satisfies Readonly<Record<string, readonly [kind: Kind, doc: string]>>;

export type Field = keyof typeof FIELDS;
export type Fields = { readonly [F in Field]: Kinds[(typeof FIELDS)[F][0]] };

/** One sample: its id and the fields that were measured. */
export type SampleRecord = { readonly id: string } & Partial<Fields>;
/** A sample that is known to have the fields F. */
export type Row<F extends Field> = SampleRecord & Pick<Fields, F>;

/** A metric's value, what each sample contributed, and where the true value is believed to lie. */
export interface Score {
  readonly value: number;
  readonly bySample: Readonly<Record<string, number>>;
  /** Null where there is none: one sample, or a value that is not a number. */
  readonly interval: Interval | null;
  /** Numbers that the value should not be read without. */
  readonly details?: Readonly<Record<string, number | string>>;
  readonly warnings?: readonly string[];
}

/** What a metric is given: the rows, the rows of the model it compares with, the scores it comes after, and quirks to reproduce. */
export interface Questioned<R = SampleRecord> {
  readonly rows: readonly R[];
  readonly reference?: readonly R[];
  readonly scores: Readonly<Record<string, Score>>;
  readonly compat?: readonly string[];
}

/** What a metric's own function is given: the same, with quirks to ask for and a stream of chance for resampling. */
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
  /** Whether it needs the rows of a second model, or takes them where they are; without it they are not shown to it. */
  readonly compares?: true | "optional";
  /** Scores that it reads: a metric's name, or `metric@group` for its score of one group. */
  readonly after: readonly string[];
  /** References' quirks by name, each with what it does; off by default. */
  readonly compat?: Readonly<Record<string, string>>;
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
  score: "function",
};

/**
 * A metric, checked and marked, whose `score` sees only rows that have the fields it reads; a row without one is refused by id and field, a quirk that is not
 * declared by its name.
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
        fail(name, "there is no reference", "the rows of a second model", "Name its log or run: --reference.");
      for (const side of [rows, reference ?? []]) requireFields(name, side, reads);
      for (const other of after)
        if (!Object.hasOwn(scores, other))
          fail(name, `the score "${other}" is not there`, "it before this metric", `Ask for ${other} as well.`);
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

/** The plain mean of what each row scores, with its bootstrap interval; no rows are refused, and so are two rows of one id. */
export function averaged<R extends SampleRecord>(who: string, rows: readonly R[], score: (row: R) => number, chance: Rng): Score {
  const bySample = scoredRows(who, rows, score);
  const values = Object.values(bySample);
  return { value: mean(values), bySample, interval: bootstrapMean(values, chance) };
}

/** The share of rows of which something holds, with its exact interval. */
export function shareOf<R extends SampleRecord>(who: string, rows: readonly R[], holds: (row: R) => boolean): Score {
  const bySample = scoredRows(who, rows, (row) => Number(holds(row)));
  const values = Object.values(bySample);
  const value = mean(values);
  return { value, bySample, interval: shareInterval(Math.round(value * values.length), values.length) };
}

/** What each row scores, by id; no rows are refused, and so are two rows of one id. */
export function scoredRows<R extends SampleRecord>(who: string, rows: readonly R[], score: (row: R) => number): Record<string, number> {
  if (rows.length === 0) fail(who, "no samples", "at least one", "Check the suite's filter and --limit.");
  const bySample: Record<string, number> = {};
  for (const row of rows) {
    if (Object.hasOwn(bySample, row.id))
      fail(who, `two samples have the id "${row.id}"`, "ids that differ", "Give each row an id of its own.");
    bySample[row.id] = score(row);
  }
  return bySample;
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
