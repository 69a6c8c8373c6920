/**
 * A sequence of drafts. Each draft is made on the model that the earlier drafts changed; at the end they become one. The cost of a request
 * does not depend on the number of earlier requests.
 */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { canonical } from "../base/hash.ts";
import type { Adapter } from "../model/adapter.ts";
import { type Model, withWeights } from "../model/model.ts";
import { arraysOf, type Carried, type Change, deltasOf, type Draft, type PromptEntry, wordsOf } from "./edit.ts";
import { changeFrom } from "./io.ts";
import { added, type Sum, Whole, type WholeDelta } from "./sum.ts";

/** The state on which a draft is made. */
export interface Upon {
  /** The model with every weight that the drafts so far changed. One edit of these drafts gives the same model, to the bit. */
  readonly model: Model;
  /** Undefined for the first. */
  readonly previous?: Carried;
}

/** What one draft adds to a sequence. A sequence can continue from its steps. */
export interface Step {
  /** The parts of its change that are not arrays. */
  readonly words: ReturnType<typeof wordsOf>;
  readonly evidence?: Readonly<Record<string, unknown>>;
  /** Its change takes the place of all earlier ones. */
  readonly replaces?: true;
  /** Arrays that stay beside those of the other steps: factors, keys of prompt entries. */
  readonly own: Arrays;
  /** Arrays that replace those of earlier steps: sums of full changes, factors that take the place of others, an adapter's state, the carried state. */
  readonly standing: Arrays;
}

/** Arrays by the names under which an edit stores them. */
export type Arrays = ReadonlyMap<string, NdArray>;

/** Stores the steps of an unfinished sequence. */
export interface Keeper {
  /** The finished steps in order. Of `standing` only the last step's is read. */
  kept(): readonly Step[];
  keep(step: Step): void;
}

/**
 * Makes a draft for each request in turn, and combines them into one. A stored step is not computed again; the result has the same bits.
 * Refuses drafts that cannot be combined.
 */
export async function inSequence<R>(
  model: Model,
  requests: readonly R[],
  find: (request: R, upon: Upon, index: number) => Promise<Draft>,
  keeper: Keeper = { kept: () => [], keep: () => {} },
): Promise<Draft> {
  const sequence = new Sequence(model, keeper.kept());
  while (sequence.length < requests.length) {
    const i = sequence.length;
    keeper.keep(sequence.add(await find(requests[i]!, sequence.upon, i)));
  }
  return sequence.draft;
}

/** A single draft as a step: all arrays belong to it. */
export function stepAlone(draft: Draft): Step {
  const { change, evidence } = draft;
  return { words: wordsOf(change), ...(evidence && { evidence }), own: new Map(arraysOf(draft)), standing: new Map() };
}

/** The draft of such a step. */
export function draftAlone({ words, evidence, own }: Step): Draft {
  const memory = memoryIn(own);
  return { change: changeIn(words, own), ...(memory && { memory }), ...(evidence && { evidence }) };
}

/** A sequence of drafts: the state for the next draft, and all drafts as one. */
export class Sequence {
  private readonly under: Model;
  private readonly sums = new Map<string, Sum>();
  private readonly entries: PromptEntry[] = [];
  private readonly evidence: Draft["evidence"][] = [];
  private first: Change | undefined;
  /** The last change that took the place of the earlier ones. */
  private latest: Change | undefined;
  private adapter: ({ readonly kind: "adapter" } & Adapter) | undefined;
  private memory: Draft["memory"];

  constructor(under: Model, kept: readonly Step[] = []) {
    this.under = under;
    const last = kept.at(-1);
    const anew = kept.findLastIndex(({ replaces }) => replaces);
    for (const [i, step] of kept.entries()) {
      this.evidence.push(step.evidence);
      if (i < anew || (step.words.kind === "adapter" && step !== last)) continue;
      const arrays = step.words.kind === "adapter" ? step.standing : i === anew ? only(last!.standing, FACTOR) : step.own;
      this.take(changeIn(step.words, arrays), step.replaces);
    }
    if (!last) return;
    this.memory = memoryIn(last.standing);
    if (last.words.kind !== "delta") return;
    for (const [name, delta] of Object.entries(deltasOf({ change: changeIn(last.words, only(last.standing, IN_FULL)) })))
      this.sums.set(name, new Whole(name, this.weight(name), delta as WholeDelta));
  }

  /** How many drafts it has. */
  get length(): number {
    return this.evidence.length;
  }

  get upon(): Upon {
    const model =
      this.sums.size > 0 ? withWeights(this.under, new Map([...this.sums].map(([name, sum]) => [name, sum.matrix]))) : this.under;
    if (this.length === 0) return { model };
    const { adapter, memory } = this;
    return { model, previous: { under: this.under, ...(adapter && { adapter }), ...(memory && { memory }) } };
  }

  /** Adds one draft and returns its step. */
  add(draft: Draft): Step {
    const { change, memory = this.memory, evidence, replaces } = draft;
    this.take(change, replaces);
    this.memory = memory;
    this.evidence.push(evidence);
    const own = change.kind === "adapter" || replaces ? [] : arraysOf({ change }).filter(([name]) => !IN_FULL.test(name));
    const standing = arraysOf({ change: this.adapter ?? { kind: "delta", weights: this.inFull() }, ...(memory && { memory }) });
    const latest = this.latest ? arraysOf({ change: this.latest }).filter(([name]) => FACTOR.test(name)) : [];
    return {
      words: wordsOf(change),
      ...(evidence && { evidence }),
      ...(replaces && { replaces }),
      own: new Map(own),
      standing: new Map([...standing, ...latest]),
    };
  }

  /** All drafts as one, with the evidence of each. Fails if there is no draft yet. */
  get draft(): Draft {
    const evidence = this.length > 1 ? { sequence: this.evidence.map((own) => own ?? {}) } : this.evidence[0];
    return { change: this.change, ...(this.memory && { memory: this.memory }), ...(evidence && { evidence }) };
  }

  private get change(): Change {
    const { first = fail("edit", "a sequence without a draft", "at least one", "", "internal") } = this;
    if (first.kind === "prompt") return { ...first, entries: [...this.entries] };
    return this.adapter ?? { kind: "delta", weights: Object.fromEntries([...this.sums].map(([name, sum]) => [name, sum.delta])) };
  }

  /** Changes of a matrix are added up; entries of prompt edits stand one after the other; an adapter was made from the one before it. */
  private take(change: Change, replaces = false): void {
    this.first ??= change;
    const { first } = this;
    if (first.kind !== change.kind || (first.kind === "prompt" && aboutOf(first) !== aboutOf(change)))
      fail("edit", "two edits of different kinds, encoders or frames", "two of one kind to make one of", "Stack them: lethe edits stack.");
    if (replaces && change.kind !== "delta")
      fail("edit", `a change of kind "${change.kind}" in the place of others`, "a change of weights", "", "internal");
    if (replaces) {
      this.latest = change;
      this.sums.clear();
    }
    if (change.kind === "prompt") this.entries.push(...change.entries);
    else if (change.kind === "adapter") this.adapter = change;
    else
      for (const [name, delta] of Object.entries(change.weights))
        this.sums.set(name, added(this.sums.get(name), name, this.weight(name), delta));
  }

  private weight(name: string): NdArray {
    const found = this.under.weights.get(name);
    return found ?? fail("edit", `a change of "${name}"`, "a weight of this model", "", "unavailable");
  }

  private inFull(): Record<string, WholeDelta> {
    return Object.fromEntries([...this.sums].flatMap(([name, sum]) => (sum instanceof Whole ? [[name, sum.delta]] : [])));
  }
}

const IN_FULL = /\/(dense|value)$/;
const FACTOR = /\/(left|right)$/;
const MEMORY = "memory/";

/** The settings that must be equal in prompt edits that become one. */
const aboutOf = (change: Change): string => canonical({ ...change, entries: [] });

const changeIn = (words: Step["words"], arrays: Arrays): Change => changeFrom("a kept step", words, [...arrays]);

const only = (arrays: Arrays, names: RegExp): Arrays => new Map([...arrays].filter(([name]) => names.test(name)));

function memoryIn(arrays: Arrays): Draft["memory"] {
  const own = [...arrays].flatMap(([name, array]) => (name.startsWith(MEMORY) ? [[name.slice(MEMORY.length), array] as const] : []));
  return own.length > 0 ? Object.fromEntries(own) : undefined;
}
