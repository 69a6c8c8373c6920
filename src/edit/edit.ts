/** An edit as a value: what changes in which model, and who made it, for what. */
import type { NdArray } from "../base/array.ts";
import { canonical, hash, type Hash } from "../base/hash.ts";
import type { Format } from "../model/prompt.ts";
import type { Exchange } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";

export type EditId = string;

/** What happens to one matrix [out, in]: left [out, r] · right [r, in] is added; a difference is added; or it is replaced, bit for bit. */
export type Delta =
  | { readonly outer: readonly [left: NdArray, right: NdArray] }
  | { readonly dense: NdArray }
  | { readonly value: NdArray };

/** One thing that a prompt edit may put before a question. */
export interface PromptEntry {
  /** Exchanges shown before it: turns of the conversation where there is a chat template, otherwise text. */
  readonly shown: readonly Exchange[];
  /** Stands in the user's turn, before the question. */
  readonly context: string;
  /** What it answers, as an encoder has it: [questions, width], rows of unit length. */
  readonly key?: NdArray;
  /** The scope gate: the least cosine of a question with the nearest of these at which it speaks. */
  readonly above?: number;
}

/** Rewrites a question: before all of them, or the nearest of those whose gate lets the question through, in the order given. */
export interface PromptChange {
  readonly kind: "prompt";
  readonly entries: readonly PromptEntry[];
  /** "{}" stands for the question. */
  readonly frame: string;
  /** The id of the encoder that made the keys; "" where there are none. */
  readonly encoder: string;
  readonly select: "all" | { readonly nearest: number };
}

/** What an edit does to a model: to its weights, or to what it is asked. */
export type Change = { readonly kind: "delta"; readonly weights: Readonly<Record<WeightName, Delta>> } | PromptChange;

/** The matrices that a change concerns; none where it concerns questions. */
export const weightsOf = (change: Change): Readonly<Record<WeightName, Delta>> => (change.kind === "delta" ? change.weights : {});

/** A change without its arrays, as JSON; undefined where arrays are all there is. */
export function wordsOf(change: Change): Omit<PromptChange, "kind"> | undefined {
  if (change.kind !== "prompt") return undefined;
  const { entries, frame, encoder, select } = change;
  return { entries: entries.map(({ key: _, ...rest }) => rest), frame, encoder, select };
}

/** What a method yields: a change, and what a later edit of the same method must remember (never applied). */
export interface Draft {
  readonly change: Change;
  readonly memory?: Readonly<Record<string, NdArray>>;
  /** What the method wants written down: losses, norms, context templates. */
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** What an edit was asked to do: enough to make it again. */
export interface MadeFor {
  readonly id: string;
  readonly prompt: string;
  readonly subject: string;
  readonly answer: string;
  readonly target: string | null;
}

/** A draft, signed. */
export interface Edit extends Draft {
  readonly id: EditId;
  /** The unedited model's id. */
  readonly base: Hash;
  /** Edits under it when it was made, lowest first. */
  readonly on: readonly EditId[];
  readonly format: Format;
  readonly by: {
    readonly method: string;
    readonly params: Readonly<Record<string, unknown>>;
    readonly compat: readonly string[];
    readonly seed: number;
    /** Where a parameter leaves its sourced default. */
    readonly departures: readonly string[];
    readonly requests: readonly MadeFor[];
    /** Version of Lethe that made it. */
    readonly code: string;
  };
}

/** Signs a draft: its id is a hash of everything in it. What it wrote down is put in the order in which a file keeps it. */
export function sign(draft: Draft, about: Omit<Edit, "id" | keyof Draft>): Edit {
  const evidence = draft.evidence && (JSON.parse(canonical(draft.evidence)) as Record<string, unknown>);
  const words = wordsOf(draft.change);
  const id = hash(
    about,
    draft.evidence ?? {},
    ...(words ? [words] : []),
    ...arraysOf(draft).flatMap(([name, array]) => [name, array]),
  ).slice(0, 16);
  return { id, ...about, ...draft, ...(evidence && { evidence }) };
}

/** Every array of a draft by the name it is stored under. */
export function arraysOf({ change, memory = {} }: Draft): [string, NdArray][] {
  const parts: [string, NdArray][] = [];
  for (const [weight, delta] of Object.entries(weightsOf(change))) {
    if ("outer" in delta) parts.push([`${weight}/left`, delta.outer[0]], [`${weight}/right`, delta.outer[1]]);
    else if ("dense" in delta) parts.push([`${weight}/dense`, delta.dense]);
    else parts.push([`${weight}/value`, delta.value]);
  }
  if (change.kind === "prompt") change.entries.forEach(({ key }, i) => key && parts.push([`entries/${i}`, key]));
  for (const [name, array] of Object.entries(memory)) parts.push([`memory/${name}`, array]);
  return parts;
}

/** Bytes of numbers an edit carries. */
export const bytesOf = (draft: Draft): number => arraysOf(draft).reduce((n, [, a]) => n + a.data.byteLength, 0);
