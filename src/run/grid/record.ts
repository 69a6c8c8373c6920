/** The record of a grid, for reports: its tables and figures as plain values, and what they were made with. */
import type { Acceptance, JudgedNumber, RunTimings } from "../record.ts";

/** A column of a table. */
export interface TableColumn {
  readonly title: string;
  /** Whether it contains text. Other columns contain numbers and are aligned right. */
  readonly isText: boolean;
  /** It holds a text of a sample, which may be long: the text is broken into lines, and it names no row. */
  readonly isQuote?: true;
  /** How several values are combined, and the format of the result. */
  readonly average: "mean" | "median" | "sum";
  readonly as: "percent" | "count" | "number" | "minutes" | "KiB" | "MB";
  readonly decimals: number;
  /** Which value is better; absent where the column holds no number of an evaluation, or no row has it. */
  readonly better?: JudgedNumber["better"];
  /** The metric behind the number. */
  readonly metric?: string;
}

/** A paired test of a row against another one, over the questions that both have. */
export interface PairedTest {
  /** This row minus the other. */
  readonly difference: number;
  readonly interval: JudgedNumber["interval"];
  /** After Holm's correction over all tests of the column. */
  readonly p: number;
  readonly questions: number;
}

/** A figure that a paper published, in our unit. */
export interface PublishedValue {
  readonly paper: string;
  /** Null if "not a number" was published. */
  readonly value: number | null;
  /** The other end, if a range was published. */
  readonly to?: number;
  /** What the figure should be, where the paper's own data say so, and why. */
  readonly corrected?: number;
  readonly why?: string;
}

/** The values of a column from the runs of a row. */
export interface TableCell {
  readonly text?: string;
  /** One value for each run that has one. */
  readonly values: readonly number[];
  /** The values before the edit, if the column shows both. */
  readonly before: readonly number[];
  /** The number of rows behind each value, if the value is a share. */
  readonly of?: number;
  /** The number of runs of the cell, including failed and unfinished ones. */
  readonly wanted: number;
  /** Why values are missing: a run failed or is not finished. */
  readonly absent: readonly string[];
  /** Why runs that ended have no such number. */
  readonly lacks: readonly string[];
  /** The interval of the value; null if there is none. */
  readonly interval: JudgedNumber["interval"];
  /** Different questions behind the value; 0 where it is not a number of an evaluation. */
  readonly questions: number;
  /** Seeds behind the value. */
  readonly seeds: number;
  /** Against the best row of the column: "best" for the best itself. */
  readonly best?: "best" | PairedTest;
  /** Against the row of the untouched model. */
  readonly base?: PairedTest;
  readonly published?: PublishedValue;
}

/** Runs of a row whose model is worse on the questions to forget than a random guess. */
export interface Collapsed {
  readonly runs: number;
  readonly of: number;
  /** The largest mean loss per token, and that of a guess among all tokens. */
  readonly loss: number;
  readonly guess: number;
}

export interface TableRow {
  readonly at: Readonly<Record<string, unknown>>;
  readonly cells: readonly TableCell[];
  /** True: the untouched model. */
  readonly isBase?: true;
  readonly collapsed?: Collapsed;
}

/** Whether our runs have what a paper says. */
export type VerdictWord = "agreement" | "contradiction" | "cannot tell";

/** A published order of two rows, and whether our runs have it. */
export interface Verdict {
  readonly column: string;
  readonly a: string;
  readonly b: string;
  readonly verdict: VerdictWord;
  /** How the edits of both rows were made. */
  readonly protocol: "corrected" | "published";
  /** The observation that the order is a part of. */
  readonly shows?: string;
  /** Why nothing can be told, if it is not the interval. */
  readonly reason?: string;
  /** What the paper says of a beside b, where it has no figures of both. */
  readonly is?: "higher" | "lower";
  /** The published values of both rows, and ours. */
  readonly theirs?: readonly [a: number, b: number];
  readonly ours?: readonly [a: number, b: number];
  /** Our a minus b, with its interval. */
  readonly difference?: number;
  readonly interval?: JudgedNumber["interval"];
}

export interface TableRecord {
  readonly name: string;
  readonly title: string;
  readonly caption: string;
  readonly columns: readonly TableColumn[];
  readonly rows: readonly TableRow[];
  /** Whether rows were tested against each other. */
  readonly isCompared: boolean;
  /** What differs from the published setting. */
  readonly differs: readonly string[];
  readonly verdicts: readonly Verdict[];
}

/** An answer for people to rate: the values of its row and its seed, then the question and the answers. */
export type RatedAnswer = Readonly<Record<string, unknown>> & {
  readonly id: string;
  readonly question: string;
  readonly right: string;
  readonly before: string;
  readonly after: string;
};

/** A file of such answers. */
export interface AnswersRecord {
  readonly name: string;
  readonly lines: readonly RatedAnswer[];
}

/** A line of a figure: its points in order. */
export interface Series {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly low?: number; readonly high?: number }[];
}

/** A figure: of columns of its table, or of lines. */
export type FigureRecord = {
  readonly name: string;
  readonly title: string;
  readonly caption: string;
  readonly table: string;
  /** The rows of the table that are drawn, by their number; all by default. */ readonly rows?: readonly number[];
} & (
  | { readonly kind: "bars"; readonly columns: readonly string[] }
  | { readonly kind: "radar"; readonly columns: readonly string[] }
  | { readonly kind: "frontier"; readonly x: string; readonly y: string }
  | {
      readonly kind: "lines";
      /** The titles of the axes, and the meaning of the band around a line. */
      readonly x: string;
      readonly y: string;
      readonly band: string;
      readonly series: readonly Series[];
      /** Why a row has no line. */
      readonly absent: readonly { readonly row: string; readonly reason: string }[];
    }
);

/** A method, an attack or a finetuning that the grid uses, as a methods paragraph describes it. */
export interface Described {
  readonly kind: "method" | "attack" | "finetuning";
  readonly title: string;
  readonly paper: string;
  /** Every parameter that departs from its sourced default, with the values that occur: "lr = 0.0001 (TOFU: 1e-5)". */
  readonly departures: readonly string[];
  /** The quirks of published code that were used. */
  readonly compat: readonly string[];
}

/** What a metric of the tables measures, and how it can mislead. */
export interface MetricUsed {
  readonly name: string;
  readonly doc: string;
  readonly caveat: string;
}

/** The tables and figures of a grid as plain values, with what made them. */
export interface GridRecord {
  readonly name: string;
  readonly doc: string;
  readonly tables: readonly TableRecord[];
  readonly figures: readonly FigureRecord[];
  readonly answers: readonly AnswersRecord[];
  /** What the paper concludes, by its number. */
  readonly observations: Readonly<Record<string, string>>;
  readonly steps: { readonly total: number; readonly finished: number };
  /** Failed steps, each with its reason. */
  readonly failed: readonly { readonly step: string; readonly at: string; readonly reason: string }[];
  readonly machines: readonly RunTimings["machine"][];
  /** The code hashes in the records of each kind of step. */
  readonly code: Readonly<Record<string, readonly string[]>>;
  /** The acceptances by which records of older builds count here. */
  readonly accepted?: readonly Acceptance[];
  readonly described: readonly Described[];
  /** Models and data as the grid names them. */
  readonly models: readonly string[];
  readonly data: readonly string[];
  readonly seeds: readonly string[];
  readonly metrics: readonly MetricUsed[];
}
