/** An edit as a value: what changes in which model, and who made it, for what. */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { canonical, hash, type Hash } from "../base/hash.ts";
import type { Adapter } from "../model/adapter.ts";
import type { Format } from "../model/prompt.ts";
import type { Exchange } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { graphData } from "../tensor/inline.ts";
import type { WordGate } from "./word-gate.ts";

export type EditId = string;

/** What happens to one matrix [out, in]: left [out, r] · right [r, in] is added; a difference is added; or it is replaced, bit for bit. */
export type Delta = { readonly outer: Outer } | { readonly dense: NdArray } | { readonly value: NdArray };

/** Factors of what is added to a matrix [out, in]: left [out, r] and right [r, in]. */
export type Outer = readonly [left: NdArray, right: NdArray];

/** One thing that a prompt edit may put before a question. */
export interface PromptEntry {
  /** Exchanges shown before it: turns of the conversation where there is a chat template, otherwise text. */
  readonly shown: readonly Exchange[];
  /** Stands in the user's turn, before the question. */
  readonly context: string;
  /** What it answers, as an encoder has it: [questions, width], rows of unit length. */
  readonly key?: NdArray;
  /** What it answers, in words: in the place of a key where the edit was made without a sentence encoder. */
  readonly words?: WordGate;
  /** The scope gate: the least cosine of a question with the nearest of these keys, or the least nearness in words, at which it speaks. */
  readonly above?: number;
}

/** Rewrites a question: before all of them, or the nearest of those whose gate lets the question through, in the order given. */
export interface PromptChange {
  readonly kind: "prompt";
  readonly entries: readonly PromptEntry[];
  /** "{}" stands for the question. */
  readonly frame: string;
  /** The id of the encoder that made the keys, or of the rule that compares words; "" where there are no gates. */
  readonly encoder: string;
  readonly select: "all" | { readonly nearest: number };
}

/** What an edit does to a model: matrices change, an activation is rewritten on its way, or a question is. */
export type Change =
  | { readonly kind: "delta"; readonly weights: Readonly<Record<WeightName, Delta>> }
  | ({ readonly kind: "adapter" } & Adapter)
  | PromptChange;

/** What a method yields: a change, and what a later edit of the same method must remember (never applied). */
export interface Draft {
  readonly change: Change;
  readonly memory?: Readonly<Record<string, NdArray>>;
  /** What the method wants written down: losses, norms, context templates. */
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** What the drafts of a sequence leave to the next one, beside the weights that they changed. */
export interface Carried {
  /** The last one's: it holds what all of them taught. */
  readonly adapter?: Adapter;
  readonly memory?: Readonly<Record<string, NdArray>>;
}

/** What an edit was asked to do: enough to make it again. */
export interface MadeFor {
  readonly id: string;
  readonly prompt: string;
  readonly subject: string;
  readonly answer: string;
  readonly target: string | null;
  /** Why the target is not what it was meant to be, where it is not. */
  readonly note?: string | undefined;
  /** The questions that were put into this one, where it is several. */
  readonly merged?: readonly Omit<MadeFor, "target" | "note" | "merged">[] | undefined;
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

/** A draft's changes of weights; refuses a draft of another kind, which no other tool could read. */
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

/** Signs a draft: its id is a hash of everything in it. What it wrote down is put in the order in which a file keeps it. */
export function sign(draft: Draft, about: Omit<Edit, "id" | keyof Draft>): Edit {
  const evidence = draft.evidence && (JSON.parse(canonical(draft.evidence)) as Record<string, unknown>);
  const id = hash(about, wordsOf(draft.change), draft.evidence ?? {}, ...arraysOf(draft).flatMap(([name, array]) => [name, array])).slice(
    0,
    16,
  );
  return { id, ...about, ...draft, ...(evidence && { evidence }) };
}

/** What of a change is not an array, as plain data. */
export function wordsOf(change: Change) {
  if (change.kind === "delta") return { kind: change.kind };
  if (change.kind === "prompt") return { ...change, entries: change.entries.map(({ key: _, ...rest }) => rest) };
  const { kind, reads, writes, route, graph } = change;
  return { kind, reads, writes, route, graph: graphData(graph) };
}

/** Every array of a draft by the name it is stored under, in the order of the names. */
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

/** Bytes of numbers an edit carries. */
export const bytesOf = (draft: Draft): number => arraysOf(draft).reduce((n, [, a]) => n + a.data.byteLength, 0);

/** Edits that lie upon others than those they were made upon, and how to say so: the first few, and the number of the rest. */
export function strangersIn(edits: readonly Pick<Edit, "id" | "on">[]): string[] {
  const named = (ids: readonly string[]): string =>
    ids.length === 0 ? "the unedited model" : `${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ` and ${ids.length - 3} more` : ""}`;
  const ids = edits.map(({ id }) => id);
  const strange = edits.flatMap((edit, i) => (edit.on.length === i && edit.on.every((id, k) => id === ids[k]) ? [] : [i]));
  const said = strange
    .slice(0, 3)
    .map((i) => `edit ${ids[i]!} was made upon ${named(edits[i]!.on)} and lies upon ${named(ids.slice(0, i))}`);
  return strange.length > 3 ? [...said, `${strange.length - 3} more edits lie upon others than those they were made upon`] : said;
}
