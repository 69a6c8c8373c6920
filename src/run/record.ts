/** What runs leave behind for reports: plain values, no model. */
export type { TracedAnswer, TraceRecord, TraceSetting, TraceStudy } from "../causal/trace.ts";

/** A question before and after an edit. */
export interface BeforeAfter {
  readonly id: string;
  readonly question: string;
  /** What the unedited model was taught to say. */
  readonly answer: string;
  readonly before: string;
  readonly after: string;
  /** Probability of saying exactly `answer`, before and after. */
  readonly chance: readonly [before: number, after: number];
}

/** One fact forgotten, and everything else that the model knows. */
export interface DemoRecord {
  readonly model: string;
  readonly method: string;
  readonly target: string;
  readonly edit: { readonly id: string; readonly path: string; readonly bytes: number; readonly changes: readonly string[] };
  readonly seconds: number;
  readonly fact: BeforeAfter;
  /** Probability of saying exactly the target, before and after. */
  readonly targetChance: readonly [before: number, after: number];
  /** The fact asked in ways that neither training nor the edit has seen. */
  readonly rephrased: readonly BeforeAfter[];
  readonly others: readonly BeforeAfter[];
  /** Of the others that were right before, how many are answered in the same words. */
  readonly kept: { readonly same: number; readonly known: number };
}

/** A log as a report names it. */
export interface LogCard {
  readonly name: string;
  readonly path: string;
  readonly format: string;
  /** Of its content. */
  readonly hash: string;
  readonly rows: number;
}

/** One number of an evaluation, and what it must not be read without. */
export interface JudgedNumber {
  readonly title: string;
  readonly metric: string;
  readonly group: string | null;
  /** How many rows it is of. */
  readonly rows: number;
  /** NaN where a row's number is none (null in JSON). */
  readonly value: number;
  readonly interval: { readonly low: number; readonly high: number; readonly level: number; readonly by: string } | null;
  readonly better: "higher" | "lower" | "reference";
  readonly caveat: string;
  /** The references' quirks that went into it. */
  readonly compat: readonly string[];
  readonly details: Readonly<Record<string, number | string>>;
  /** Rows whose own number is none. */
  readonly nanRows: number;
  readonly bySample: Readonly<Record<string, number>>;
}

/** Whether a model is worse on the forget rows than guessing among all tokens alike. */
export interface Collapse {
  readonly isCollapsed: boolean;
  /** Mean loss of a token over the forget rows that have one, and that of a guess: ln of the vocabulary. */
  readonly loss: number;
  readonly guess: number;
  readonly vocabulary: number;
  /** Forget rows whose loss is not a number. */
  readonly nanRows: number;
}

/** What a measured model's samples depend on. */
export interface Measured {
  readonly suite: string;
  /** Ids of the model and of the edits on it; of the model that divergence is from, where it is measured. */
  readonly model: string;
  readonly edits: readonly string[];
  readonly against?: string;
  readonly fields: readonly string[];
  /** Hash of the questions as they were read. */
  readonly samples: string;
  /** Hash of what the edits want said instead, where they want anything. */
  readonly targets?: string;
  readonly maxTokens: number;
  readonly batch: number;
  readonly dtype: string;
  readonly format?: string;
  readonly system?: string;
  /** The text whose perplexity is among the numbers, by its content. */
  readonly text?: { readonly content: string; readonly tokens: number; readonly length: number };
}

/** A run judged by what was measured of it. */
export interface EvalRecord {
  readonly suite: string;
  /** Null for a log, which does not say. */
  readonly run: Measured | null;
  readonly log: LogCard;
  readonly reference: LogCard | null;
  readonly compat: readonly string[];
  readonly numbers: readonly JudgedNumber[];
  readonly missing: readonly { readonly title: string; readonly reason: string }[];
  readonly collapse: Collapse | null;
  /** Numbers that the log gives without the rows to work them out from. */
  readonly stated: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

/** Two runs over the same rows. */
export interface CompareRecord {
  readonly suite: string;
  readonly a: LogCard;
  readonly b: LogCard;
  /** Rows that both have. */
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
  /** Answers that are right on one side only, the most surprising first. */
  readonly flips: readonly {
    readonly id: string;
    readonly kind: "lost" | "gained";
    /** In bits, by the probability that the first run gave the answer. */
    readonly surprise: number;
    readonly question: string;
    readonly answer: string;
    readonly a: string;
    readonly b: string;
  }[];
}

/** A column of a grid's table. */
export interface TableColumn {
  readonly title: string;
  /** Whether it holds words; others hold numbers and stand at the right. */
  readonly isText: boolean;
  /** How several values become one, and how it is written. */
  readonly average: "mean" | "median" | "sum";
  readonly as: "percent" | "count" | "number" | "minutes" | "KiB" | "MB";
  readonly decimals: number;
}

/** What the runs of a row say for a column. */
export interface TableCell {
  readonly text?: string;
  /** A value of each run that has one. */
  readonly values: readonly number[];
  /** The same before the edit, where the column shows both. */
  readonly before: readonly number[];
  /** Of how many rows the values are shares, where they are counted. */
  readonly of?: number;
  /** Runs that the cell is of, those that failed or are not done with them. */
  readonly wanted: number;
  /** Why values are absent: a run failed, or is not done. */
  readonly absent: readonly string[];
}

/** What the records of a grid say: its table as plain values, and what made them. */
export interface GridRecord {
  readonly name: string;
  readonly columns: readonly TableColumn[];
  readonly rows: readonly { readonly at: Readonly<Record<string, unknown>>; readonly cells: readonly TableCell[] }[];
  readonly steps: { readonly total: number; readonly finished: number };
  /** Steps that could not be done, each with its reason. */
  readonly failed: readonly { readonly step: string; readonly at: string; readonly reason: string }[];
  readonly machines: readonly RunTimings["machine"][];
  /** The code that each kind of step ran, by the hashes that stand in its records. */
  readonly code: Readonly<Record<string, readonly string[]>>;
}

/** How `-o` lays a result out: one file, one folder, or a folder of several, by their names in the run folder. */
export type Layout =
  | { readonly file: string }
  | {
      readonly folder: string;
      /** Folders that go beside it, by what their names end with. */ readonly beside?: Readonly<Record<string, string>>;
    }
  | { readonly files: Readonly<Record<string, string>> };

/** Why a step failed. */
export interface Failure {
  readonly who: string;
  readonly message: string;
  readonly hint: string;
  readonly trouble: string;
}

/** What a run leaves in `record.json`: the same bytes for the same spec, code and thread count. */
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

/** What a run leaves in `timings.json`: what differs from machine to machine. */
export interface RunTimings {
  /** Seconds of each attempt, the last one ended the run. */
  readonly seconds: readonly number[];
  /** Peak resident memory of the process, bytes. */
  readonly peak: number;
  readonly machine: { readonly processor: string; readonly cores: number; readonly threads: number; readonly node: string };
  /** When the last attempt ended, ISO 8601. */
  readonly ended: string;
}

/** A run that ended in success. */
export interface Finished<R = unknown> {
  readonly record: RunRecord & { readonly result: R };
  /** The run's folder. */
  readonly path: string;
  /** It was there already: nothing was computed. */
  readonly isFound: boolean;
}
