/** An edit as a value: what changes in which model, and who made it, for what. */
import type { NdArray } from "../base/array.ts";
import { fail, someOf } from "../base/fail.ts";
import { canonical, hash, type Hash } from "../base/hash.ts";
import type { Adapter } from "../model/adapter.ts";
import type { Format } from "../model/prompt.ts";
import type { Exchange, Model } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { graphData } from "../tensor/inline.ts";
import type { WordGate } from "./word-gate.ts";

export type EditId = string;

/**
 * The change of one matrix [out, in]: the product left [out, r] · right [r, in] is added, a difference is added, or the matrix is replaced
 * bit for bit.
 */
export type Delta = { readonly outer: Outer } | { readonly dense: NdArray } | { readonly value: NdArray };

/** Factors of what is added to a matrix [out, in]: left [out, r] and right [r, in]. */
export type Outer = readonly [left: NdArray, right: NdArray];

/** One thing that a prompt edit may put before a question. */
export interface PromptEntry {
  /** Questions with answers shown before the question: as turns of the conversation with a chat template, otherwise as text. */
  readonly shown: readonly Exchange[];
  /**
   * Paragraphs of the system message, behind a message that is there. A paragraph that several entries share is written once. Without a chat
   * template they come before the question.
   */
  readonly system?: readonly string[];
  /** Text in the user's turn before the question. */
  readonly context: string;
  /** The embeddings of the questions that it is for: [questions, width], rows of length 1. */
  readonly key?: NdArray;
  /** The question that it is for, in words; used instead of a key by an edit that was made without a sentence encoder. */
  readonly words?: WordGate;
  /**
   * The gate: the entry is used for a question whose similarity is at least this. Similarity is the cosine with the most similar key, or
   * that of words.
   */
  readonly above?: number;
}

/** Rewrites a question with its entries in the given order: all of them, or the most similar of those whose gate the question passes. */
export interface PromptChange {
  readonly kind: "prompt";
  readonly entries: readonly PromptEntry[];
  /** "{}" marks the place of the question. */
  readonly frame: string;
  /** The id of the encoder of the keys, or of the rule that compares words; "" without gates. */
  readonly encoder: string;
  readonly select: "all" | { readonly nearest: number };
}

/** The kinds of change: of matrices, of an activation during the pass, or of the question's text. */
export type Change =
  | { readonly kind: "delta"; readonly weights: Readonly<Record<WeightName, Delta>> }
  | ({ readonly kind: "adapter" } & Adapter)
  | PromptChange;

/** The result of a method: a change, and a state for the next edit of the same method (never applied to the model). */
export interface Draft {
  readonly change: Change;
  readonly memory?: Readonly<Record<string, NdArray>>;
  /** The change is one of {@link Carried.under}, and takes the place of all earlier changes of the sequence. */
  readonly replaces?: true;
  /** What the method reports: losses, norms, context templates. */
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** The state that drafts of a sequence pass to the next draft, besides the changed weights. */
export interface Carried {
  /** The model without the drafts of this sequence. */
  readonly under?: Model;
  /** The adapter of the last draft; it contains all earlier ones. */
  readonly adapter?: Adapter;
  readonly memory?: Readonly<Record<string, NdArray>>;
}

/** The request of an edit: enough to make the edit again. */
export interface MadeFor {
  readonly id: string;
  readonly prompt: string;
  readonly subject: string;
  readonly answer: string;
  readonly target: string | null;
  /** The reason, if the target could not be made as intended. */
  readonly note?: string | undefined;
  /** The questions of a merged request. */
  readonly merged?: readonly Omit<MadeFor, "target" | "note" | "merged">[] | undefined;
}

/** A draft, signed. */
export interface Edit extends Draft {
  readonly id: EditId;
  /** The unedited model's id. */
  readonly base: Hash;
  /** Ids of the edits that the model had when this one was made, lowest first. */
  readonly on: readonly EditId[];
  readonly format: Format;
  readonly by: {
    readonly method: string;
    readonly params: Readonly<Record<string, unknown>>;
    readonly compat: readonly string[];
    readonly seed: number;
    /** The parameters that differ from their defaults. */
    readonly departures: readonly string[];
    readonly requests: readonly MadeFor[];
    /** Version of Lethe that made it. */
    readonly code: string;
  };
}

/** A draft's changes of weights. Refuses other kinds of change, which no other tool can read. */
export const deltasOf = ({ change, id = "", by }: Draft & Partial<Pick<Edit, "id" | "by">>): Readonly<Record<WeightName, Delta>> =>
  change.kind === "delta"
    ? change.weights
    : fail(
        "edit",
        `edit ${id}${by ? ` (${by.method})` : ""} ${change.kind === "prompt" ? "rewrites questions" : "rewrites activations while the model runs"}`,
        "edits of weights, which others can read",
        "It works where Lethe asks the model: --edit FILE with ask and chat.",
        "unavailable",
      );

/** Signs a draft: its id is a hash of everything in it. The keys of its evidence are sorted as in a file. */
export function sign(draft: Draft, about: Omit<Edit, "id" | keyof Draft>): Edit {
  const evidence = draft.evidence && (JSON.parse(canonical(draft.evidence)) as Record<string, unknown>);
  const id = hash(about, wordsOf(draft.change), draft.evidence ?? {}, ...arraysOf(draft).flatMap(([name, array]) => [name, array])).slice(
    0,
    16,
  );
  return { id, ...about, ...draft, ...(evidence && { evidence }) };
}

/** The parts of a change that are not arrays, as plain data. */
export function wordsOf(change: Change) {
  if (change.kind === "delta") return { kind: change.kind };
  if (change.kind === "prompt") return { ...change, entries: change.entries.map(({ key: _, ...rest }) => rest) };
  const { kind, reads, writes, route, graph } = change;
  return { kind, reads, writes, route, graph: graphData(graph) };
}

/** Every array of a draft by its name in the file, sorted by name. */
export function arraysOf({ change, memory = {} }: Draft): [string, NdArray][] {
  const parts: [string, NdArray][] = [];
  if (change.kind === "adapter") for (const [name, array] of Object.entries(change.state)) parts.push([`state/${name}`, array]);
  else if (change.kind === "prompt") change.entries.forEach(({ key }, i) => key && parts.push([`entries/${i}`, key]));
  else
    for (const [weight, delta] of Object.entries(change.weights)) {
      if ("outer" in delta) parts.push([`${weight}/left`, delta.outer[0]], [`${weight}/right`, delta.outer[1]]);
      else if ("dense" in delta) parts.push([`${weight}/dense`, delta.dense]);
      else parts.push([`${weight}/value`, delta.value]);
    }
  for (const [name, array] of Object.entries(memory)) parts.push([`memory/${name}`, array]);
  return parts.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Bytes of an edit's arrays. */
export const bytesOf = (draft: Draft): number => arraysOf(draft).reduce((n, [, a]) => n + a.data.byteLength, 0);

/** Edits that lie upon others than those they were made upon, and how to say so: the first few, and the number of the rest. */
export function strangersIn(edits: readonly Pick<Edit, "id" | "on">[]): string[] {
  const named = (ids: readonly string[]): string => (ids.length === 0 ? "the unedited model" : someOf(ids, 3));
  const ids = edits.map(({ id }) => id);
  const strange = edits.flatMap((edit, i) => (edit.on.length === i && edit.on.every((id, k) => id === ids[k]) ? [] : [i]));
  const said = strange
    .slice(0, 3)
    .map((i) => `edit ${ids[i]!} was made upon ${named(edits[i]!.on)} and lies upon ${named(ids.slice(0, i))}`);
  return strange.length > 3 ? [...said, `${strange.length - 3} more edits lie upon others than those they were made upon`] : said;
}
