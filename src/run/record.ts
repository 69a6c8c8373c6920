/** The records of runs, for reports: plain values, no model. */
import type { MeasuredRow } from "./measured.ts";

export type { SampleRecord } from "../eval/metric.ts";
export type { TracedAnswer, TraceRecord, TraceSetting, TraceStudy } from "../causal/trace.ts";

/** A question before and after an edit. */
export interface BeforeAfter {
  readonly id: string;
  readonly question: string;
  /** The answer that the unedited model was trained to give. */
  readonly answer: string;
  readonly before: string;
  readonly after: string;
  /** Probability of saying exactly `answer`, before and after. */
  readonly chance: readonly [before: number, after: number];
}

/** The result for one forgotten fact and for all other facts of the model. */
export interface DemoRecord {
  readonly model: string;
  readonly method: string;
  readonly target: string;
  readonly edit: { readonly id: string; readonly path: string; readonly bytes: number; readonly changes: readonly string[] };
  readonly seconds: number;
  readonly fact: BeforeAfter;
  /** Probability of saying exactly the target, before and after. */
  readonly targetChance: readonly [before: number, after: number];
  /** The fact asked in words that neither training nor the edit used. */
  readonly rephrased: readonly BeforeAfter[];
  readonly others: readonly BeforeAfter[];
  /** The number of other facts that were answered correctly before and are answered in the same words now. */
  readonly kept: { readonly same: number; readonly known: number };
}

/** A log as a report names it. */
export interface LogCard {
  readonly name: string;
  readonly path: string;
  readonly format: string;
  /** Hash of its content. */
  readonly hash: string;
  readonly rows: number;
}

/** One number of an evaluation, with its caveats. */
export interface JudgedNumber {
  readonly title: string;
  readonly metric: string;
  readonly group: string | null;
  /** The number of rows behind it. */
  readonly rows: number;
  /** NaN if a row has no number (null in JSON). */
  readonly value: number;
  readonly interval: { readonly low: number; readonly high: number; readonly level: number; readonly by: string } | null;
  readonly better: "higher" | "lower" | "reference";
  readonly caveat: string;
  /** The quirks of published code that were used. */
  readonly compat: readonly string[];
  readonly details: Readonly<Record<string, number | string>>;
  /** The number of rows without a number. */
  readonly nanRows: number;
  readonly bySample: Readonly<Record<string, number>>;
}

/** A number's name in assertions and in files for other tools: `rouge1/forget`, or the metric alone if it has no group. */
export const nameOf = ({ metric, group }: Pick<JudgedNumber, "metric" | "group">): string =>
  group === null ? metric : `${metric}/${group}`;

/** The part of a number that an assertion is about: its value, or a bound of its interval. */
export type Part = "value" | "lower" | "upper";

/** An assertion about a number of an evaluation or an attack, checked. */
export interface Asserted {
  /** As it was written. */
  readonly assertion: string;
  /** The number's name. */
  readonly name: string;
  readonly part: Part;
  readonly operator: "<=" | ">=" | "<" | ">";
  readonly threshold: number;
  readonly holds: boolean;
  /** What was compared with the threshold; null if there is nothing to compare. */
  readonly found: number | null;
  /** Why there is nothing to compare. */
  readonly reason?: string;
}

/** Whether a model is worse on the forget rows than a random guess among all tokens. */
export interface Collapse {
  readonly isCollapsed: boolean;
  /** Mean loss per token over the forget rows with a loss, and the loss of a random guess: ln of the vocabulary size. */
  readonly loss: number;
  readonly guess: number;
  readonly vocabulary: number;
  /** Forget rows whose loss is not a number. */
  readonly nanRows: number;
}

/** Everything that a model's samples depend on. */
export interface Measured {
  readonly suite: string;
  /** Ids of the model, of its edits, and, if divergence is measured, of the model that it is compared with. */
  readonly model: string;
  readonly edits: readonly string[];
  readonly against?: string;
  readonly fields: readonly string[];
  /** Hash of the questions as they were read. */
  readonly samples: string;
  /** Hash of the edits' targets, if there are any. */
  readonly targets?: string;
  readonly maxTokens: number;
  readonly batch: number;
  readonly dtype: string;
  readonly format?: string;
  readonly system?: string;
  /** Hash of the text whose perplexity was measured. */
  readonly text?: { readonly content: string; readonly tokens: number; readonly length: number };
}

/** The result of an evaluation. */
export interface EvalRecord {
  readonly suite: string;
  /** Null for a log, which does not contain it. */
  readonly run: Measured | null;
  readonly log: LogCard;
  readonly reference: LogCard | null;
  readonly compat: readonly string[];
  readonly numbers: readonly JudgedNumber[];
  readonly missing: readonly (Pick<JudgedNumber, "title" | "metric" | "group"> & { readonly reason: string })[];
  /** The rows of a log that have no value, by group. They are in none of the numbers. Absent if there are none. */
  readonly omitted?: Readonly<Record<string, number>>;
  readonly collapse: Collapse | null;
  /** Numbers that the log states but that cannot be computed from its rows. */
  readonly stated: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

/** Two runs over the same rows. */
export interface CompareRecord {
  readonly suite: string;
  readonly a: LogCard;
  readonly b: LogCard;
  /** Rows that are in both runs. */
  readonly common: number;
  readonly numbers: readonly {
    readonly title: string;
    readonly metric: string;
    readonly group: string | null;
    readonly rows: number;
    readonly a: number;
    readonly b: number;
    readonly difference: number;
    readonly interval: JudgedNumber["interval"];
    readonly p: number;
    /** p after Holm's correction over all numbers here. */
    readonly corrected: number;
  }[];
  /** Answers that are correct in only one run, the least expected first. */
  readonly flips: readonly {
    readonly id: string;
    readonly kind: "lost" | "gained";
    /** In bits, from the probability of the answer in the first run. */
    readonly surprise: number;
    readonly question: string;
    readonly answer: string;
    readonly a: string;
    readonly b: string;
  }[];
}

/** Records of an older build that count, because a sample of them came out the same on a later build. */
export interface Acceptance {
  readonly schema: "lethe/accepted/1";
  readonly grid: string;
  /** The seed of the sample. */
  readonly seed: number;
  readonly date: string;
  /** The code of the records, the later code, and the number of records, for each kind of step. */
  readonly codes: readonly { readonly step: string; readonly old: string; readonly now: string; readonly records: number }[];
  /** The runs that were made again, with the hashes of their files. */
  readonly samples: readonly {
    readonly step: string;
    readonly at: string;
    readonly run: string;
    readonly outputs: Readonly<Record<string, string>>;
  }[];
}

/** Folders next to a result, by the ending of their names. */
interface Beside {
  readonly beside?: Readonly<Record<string, string>>;
}

/** The form of a result at `-o`: one file, one folder, or a folder with several files, by their names in the run folder. */
export type Layout =
  | ({ readonly file: string } & Beside)
  | ({ readonly folder: string } & Beside)
  | { readonly files: Readonly<Record<string, string>> };

/** Why a step failed. */
export interface Failure {
  readonly who: string;
  readonly message: string;
  readonly hint: string;
  readonly trouble: string;
}

/** The content of `record.json`: the same bytes for the same spec, code and number of threads. */
export interface RunRecord {
  readonly schema: "lethe/record/1";
  /** The hash of spec and code; the name of the run's folder. */
  readonly id: string;
  readonly step: string;
  /** Everything that decides the bytes: values with defaults, inputs by content. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** The hash of the source files that the step imports. */
  readonly code: string;
  readonly status: "started" | "success" | "error";
  readonly error?: Failure;
  /** SHA-256 of every file that the step made, by its path in the folder. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly layout?: Layout;
  readonly result: unknown;
}

/** The content of `timings.json`, which differs between machines. */
export interface RunTimings {
  /** Seconds of each attempt, the last one ended the run. */
  readonly seconds: readonly number[];
  /** Peak resident memory of the process, bytes. */
  readonly peak: number;
  readonly machine: { readonly processor: string; readonly cores: number; readonly threads: number; readonly node: string };
  /** When the last attempt ended, ISO 8601. */
  readonly ended: string;
}

/** A method that could be chosen where a spec says `auto`. */
export interface Candidate {
  readonly method: string;
  /** How it would make the edit; null if it cannot. */
  readonly mode: "single" | "batch" | "sequential" | null;
  readonly state: "chosen" | "fits" | "left out" | "not measured";
  readonly why: string;
  /** The wishes that leave it out. */
  readonly by: readonly string[];
  /** What was measured of it with the nearest number of requests; `isBeyond`: the edit has more; `isOwn`: on this model. */
  readonly row: MeasuredRow | null;
  readonly isBeyond: boolean;
  readonly isOwn: boolean;
  /** In percent. */
  readonly score: number | null;
}

/** How the method of a run was chosen: the content of `chosen.json`, beside a record that is the same whoever chose. */
export interface Chosen {
  readonly method: string;
  readonly want: readonly string[];
  readonly requests: number;
  readonly why: string;
  /** The chosen one, the others that fit, and the rest. */
  readonly candidates: readonly Candidate[];
}

/** A run that ended in success. */
export interface Finished<R = unknown> {
  readonly record: RunRecord & { readonly result: R };
  /** The run's folder. */
  readonly path: string;
  /** True: the result existed and nothing was computed. */
  readonly isFound: boolean;
  /** How its method was chosen, if the spec left it open. */
  readonly chosen?: Chosen;
}
