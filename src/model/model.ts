/** A model: immutable, fingerprinted, traceable; an edited model is another one that shares what was not edited. */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import type { Feeds } from "../onnx/feeds.ts";
import type { SessionOptions, Sessions } from "../onnx/session.ts";
import { graphData } from "../tensor/inline.ts";
import type { Arch, Config, Rope } from "./arch/arch.ts";
import { type Adapter, checkAdapter, stateName } from "./adapter.ts";
import type { WeightName } from "./names.ts";
import { ropeTables } from "./rope.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export type Weights = ReadonlyMap<WeightName, NdArray>;
export type Precision = "float32" | "float64";

/** What a checkpoint holds beside its weights, so that a model can be written as one again. */
export interface ModelFiles {
  readonly tokenizerJson: Readonly<Record<string, unknown>>;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  readonly chatTemplate?: string | undefined;
  /** generation_config.json. */
  readonly generation?: Readonly<Record<string, unknown>> | undefined;
  /** config.json. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** GGUF metadata. */
  readonly kv?: Readonly<Record<string, unknown>> | undefined;
}

/** An exchange that is shown before a question. */
export interface Exchange {
  readonly asked: string;
  readonly said: string;
}

/** What stands before a question and around it. */
export interface Prefix {
  /** Turns of the conversation where there is a chat template, otherwise text. */
  readonly shown: readonly Exchange[];
  /** Paragraphs of the system message. */
  readonly system?: readonly string[];
  /** Stands in the user's turn, before the question. */
  readonly context: string;
  /** "{}" stands for the question. */
  readonly frame: string;
}

/** What a prompt edit puts before questions. */
export interface Rewrite {
  /** Of everything that decides what is put there. */
  readonly id: Hash;
  /** What is put before a question; undefined where it is none of the edit's concern. */
  readonly before: (question: string) => Promise<Prefix | undefined>;
}

export interface Model {
  /** Of config, tokenizer and the weights as stored; never of a path. */
  readonly id: Hash;
  readonly config: Config;
  readonly arch: Arch;
  readonly tokenizer: Tokenizer;
  readonly weights: Weights;
  /** Weights that differ from the checkpoint's. */
  readonly changed: ReadonlySet<WeightName>;
  /** What rewrites activations on their way, lowest first. */
  readonly adapters: readonly Adapter[];
  readonly chatTemplate?: string;
  readonly files: ModelFiles;
  readonly sessions: Sessions;
  /** A value a program may ask for by name: a weight, or a table that the config determines. */
  constant(name: string): NdArray | undefined;
  /** What prompt edits put before a question, lowest first; each sees the question as it was asked. */
  readonly rewrites?: readonly Rewrite[];
  /** Waits for the runs under way, then frees the model and all its edited views. A later run on one of them is refused. */
  release(): Promise<void>;
}

export interface ModelParts {
  readonly config: Config;
  readonly arch: Arch;
  readonly tokenizer: Tokenizer;
  readonly weights: Weights;
  readonly chatTemplate?: string;
  readonly files: ModelFiles;
  readonly sessions: Sessions;
  /** Of the weights as stored; asked once, on first use of the id. */
  readonly hashWeights: () => Hash;
  /** Lets go of the files, which stay open so that the id is of what was loaded. */
  readonly close: () => void;
}

/** Puts a model together from what was loaded. */
export function createModel(parts: ModelParts): Model {
  const { hashWeights, close, ...rest } = parts;
  const tables = new Map<string, NdArray>();
  let id: Hash | undefined;
  return {
    ...rest,
    changed: new Set(),
    adapters: [],
    get id() {
      return (id ??= hash({ config: parts.config }, parts.tokenizer.hash, hashWeights()));
    },
    constant: (name) => parts.weights.get(name) ?? table(parts.config, tables, name),
    release: async () => {
      await parts.sessions.close();
      close();
    },
  };
}

/** Everything that decides what a model makes of a question's words: its id, what was changed since, and what runs beside its weights. */
export function stateOf({ id, changed, weights, adapters, rewrites = [] }: StatedBy): Hash {
  const changes = [...changed].sort().map((name) => hash(name, weights.get(name)!));
  const beside = [...adapters.map(hashOf), ...rewrites.map((rewrite) => rewrite.id)];
  return beside.length > 0 ? hash(id, changes, beside) : hash(id, changes);
}

type StatedBy = Pick<Model, "id" | "changed" | "weights" | "adapters" | "rewrites">;

const hashOf = ({ reads, writes, route, graph, state }: Adapter): Hash =>
  hash(
    { reads, writes, route, graph: graphData(graph) },
    ...Object.keys(state)
      .sort()
      .flatMap((name) => [name, state[name]]),
  );

/** A model with some properties replaced. It is not spread: that would read the id, and so hash all weights, which may never be needed. */
const viewOf = (model: Model, own: Partial<Omit<Model, "id">>): Model =>
  Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(model), ...Object.getOwnPropertyDescriptors(own) }) as Model;

/** The same model with some weights replaced; everything else is shared with `model`. */
export function withWeights(model: Model, replaced: ReadonlyMap<WeightName, NdArray>): Model {
  for (const [name, array] of replaced) {
    const old = model.weights.get(name) ?? fail("model", `weight "${name}"`, "a weight of this model", "", "internal");
    if (old.shape.join() !== array.shape.join())
      fail("model", `"${name}" of shape [${array.shape.join(", ")}]`, `[${old.shape.join(", ")}]`, "", "internal");
  }
  const weights = new Map([...model.weights, ...replaced]);
  return viewOf(model, {
    weights,
    changed: new Set([...model.changed, ...replaced.keys()]),
    constant: (name) => weights.get(name) ?? model.constant(name),
  });
}

/** The same model with one more adapter above those it has; refuses one that does not fit. */
export function withAdapter(model: Model, adapter: Adapter): Model {
  checkAdapter(adapter, model.config);
  const index = model.adapters.length;
  const own = new Map(Object.entries(adapter.state).map(([name, array]) => [stateName(index, name), array] as const));
  return viewOf(model, { adapters: [...model.adapters, adapter], constant: (name) => own.get(name) ?? model.constant(name) });
}

/** The same model, asked with more put before its questions. */
export const withRewrites = (model: Model, more: readonly Rewrite[]): Model =>
  viewOf(model, { rewrites: [...(model.rewrites ?? []), ...more] });

/** Runs a task on the same model with sessions of its own, and frees these: the memory of a pass may be gigabytes. */
export const withOwnSessions = <T>(model: Model, task: (model: Model) => Promise<T>): Promise<T> =>
  model.sessions.apart((sessions) => task(viewOf(model, { sessions })));

/** Refuses tokens of `what` that are more than the model's context. */
export function checkContext({ config }: Pick<Model, "config">, who: string, what: string, tokens: number): void {
  if (tokens > config.context)
    fail(who, `${what} of ${tokens} tokens`, `at most the model's context length of ${config.context}`, "Shorten or split it.");
}

/** Rows of the rotary tables: the whole context, within reason. */
export const tableLength = (c: Config): number => Math.min(c.context, 1 << 17);

/** The name under which a program is fed a rotary table. */
export const ropeInput = (part: "cos" | "sin", dtype: Precision, table?: string): string =>
  `rope.${table === undefined ? "" : `${table}.`}${part}.${dtype}`;

/** A rotary table by its name; without one, the table of most blocks. */
export function ropeNamed({ arch, rope, ropes }: Config, name?: string): Rope {
  const found = name === undefined ? rope : ropes?.[name];
  return (
    found ?? fail("model", `the rotary table ${name ?? ""} of ${arch}`, `one of ${Object.keys(ropes ?? {}).join(", ")}`, "", "internal")
  );
}

function table(config: Config, tables: Map<string, NdArray>, name: string): NdArray | undefined {
  const match = /^rope\.(?:(\w+)\.)?(?:cos|sin)\.(float32|float64)$/.exec(name);
  if (!match) return undefined;
  if (!tables.has(name)) {
    const dtype = match[2] as Precision;
    const { cos, sin } = ropeTables(ropeNamed(config, match[1]), tableLength(config), dtype);
    tables.set(ropeInput("cos", dtype, match[1]), cos);
    tables.set(ropeInput("sin", dtype, match[1]), sin);
  }
  return tables.get(name);
}

/** What a program is fed: these values first, then the model's own. Refuses tokens behind the end of the model's context. */
export const feedsOf = (model: Model, given: Readonly<Record<string, NdArray>> | ReadonlyMap<string, NdArray> = {}): Feeds => {
  const own = given instanceof Map ? (given as ReadonlyMap<string, NdArray>) : new Map(Object.entries(given));
  let last = 0;
  for (const at of own.get("positions")?.data ?? []) if (at > last) last = Number(at);
  checkContext(model, "model", "a text", last + 1);
  return { get: (name) => own.get(name) ?? model.constant(name) };
};

/** Holds every unedited weight in the session (prepacked); worth its seconds where many runs lie ahead. */
export const frozen = (model: Model): SessionOptions => {
  const weights = new Map([...model.weights].filter(([name, a]) => !model.changed.has(name) && a.dtype === "float32"));
  return { frozen: { key: `all but ${[...model.changed].sort().join(",")}`, weights } };
};
