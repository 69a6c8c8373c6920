/** What runs leave behind for reports: plain values, no model. */

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

/** How an answer was traced: which states were put back, and how the subject was drowned. */
export interface TraceSetting {
  readonly kind: "hidden" | "mlp" | "attn";
  /** Blocks put back together; 1 for hidden states. */
  readonly window: number;
  readonly severed: "mlp" | "attn" | null;
  readonly noise: {
    /** Of the noise; `times` that of the subjects' embeddings. */
    readonly std: number;
    readonly times: number;
    readonly samples: number;
    readonly seed: number;
  };
}

/** What was asked, and the token whose probability was watched. */
export interface TracedAnswer {
  readonly id: string;
  readonly prompt: string;
  readonly subject: string;
  /** The model's own answer, as it begins. */
  readonly said: string;
  /** The model's own words between the prompt and the token. */
  readonly lead: string;
  readonly token: string;
  /** The token's probability in the clean run, and the mean over the corrupted ones. */
  readonly clean: number;
  readonly corrupted: number;
}

/** Where one answer comes from: how much of its probability each state brings back into a corrupted run. */
export interface TraceRecord extends TraceSetting {
  readonly model: string;
  readonly layers: number;
  readonly answer: TracedAnswer;
  /** From the subject's first token to the last before the answer. */
  readonly tokens: readonly { readonly text: string; readonly isSubject: boolean }[];
  /** The mean indirect effect [token][layer]: probability with the state put back, less that of the corrupted run. */
  readonly effects: readonly (readonly number[])[];
}

/** Many answers traced at the last token of the subject, wherever it is named. */
export interface TraceStudy extends TraceSetting {
  readonly model: string;
  readonly layers: number;
  readonly facts: readonly (TracedAnswer & { readonly effects: readonly number[] })[];
  /** Requests whose answer the model does not give, by id. */
  readonly unknown: readonly string[];
  /** The average indirect effect by layer, and its standard error (0 for a single fact). */
  readonly average: readonly { readonly effect: number; readonly error: number }[];
  /** The layer with the largest average. */
  readonly peak: number;
  /** Which layers the methods take here by default. */
  readonly defaults: readonly { readonly method: string; readonly layers: readonly number[] }[];
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
