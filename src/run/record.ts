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
