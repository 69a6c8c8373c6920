/** Reading prompts once: their keys and values, for whatever goes on from them. */
import { type Context, defaultContext } from "../../base/context.ts";
import { program } from "../../onnx/program.ts";
import type { SessionOptions } from "../../onnx/session.ts";
import { trace } from "../../tensor/graph.ts";
import { Cache } from "./cache.ts";
import { traced } from "../forward.ts";
import { feedsOf, type Model, type Precision } from "../model.ts";
import { newLayers, pastInputs, sharedPrefixes } from "./prefix.ts";
import { padded, type Rows } from "../../text/padding.ts";

export interface ReadOptions {
  readonly dtype?: Precision;
  readonly session?: SessionOptions;
  readonly ctx?: Context;
}

/** Prompts that were read, all but the last token of each: behind it something is asked. */
export interface ReadPrompts {
  readonly prompts: readonly (readonly number[])[];
  /** A row a prompt. */
  readonly cache: Cache;
  /** How many tokens of each prompt the cache holds. */
  readonly starts: readonly number[];
}

/** Reads prompts, what they begin with alike once. Not for a model with an adapter, which decides on a whole question. */
export async function readPrompts(model: Model, prompts: readonly (readonly number[])[], options: ReadOptions = {}): Promise<ReadPrompts> {
  const { dtype = "float32", ctx = defaultContext() } = options;
  const read = (cache: Cache, rows: Rows): Promise<Cache> => readRows(model, cache, rows, { ...options, ctx });
  const { cache: begun, starts: from } = await beginnings(model, prompts, dtype, read);
  const rest = prompts.map((ids, b) => ids.slice(from[b], -1));
  const cache = rest.some((ids) => ids.length > 0) ? await read(begun, padded(rest, model.tokenizer.pad, "left", { starts: from })) : begun;
  return { prompts, cache, starts: prompts.map((ids) => ids.length - 1) };
}

/** What prompts begin with alike, read once by `read`: a cache with a row a prompt, and how many tokens of each it holds. */
export async function beginnings(
  model: Model,
  prompts: readonly (readonly number[])[],
  dtype: Precision,
  read: (cache: Cache, rows: Rows) => Promise<Cache>,
): Promise<{ readonly cache: Cache; readonly starts: readonly number[] }> {
  const { config, tokenizer } = model;
  const shared = sharedPrefixes(prompts);
  if (!shared) return { cache: new Cache(config, prompts.length, dtype), starts: prompts.map(() => 0) };
  const { prefixes, of } = shared;
  const cache = await read(new Cache(config, prefixes.length, dtype), padded(prefixes, tokenizer.pad, "left"));
  return { cache: cache.select(of, config), starts: of.map((p) => prefixes[p]!.length) };
}

/** The cache with the rows' tokens behind what it holds. */
export async function readRows(model: Model, cache: Cache, rows: Rows, { dtype = "float32", session }: ReadOptions): Promise<Cache> {
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const given = { positions: t.input("positions", "int64", ["B", "T"]), real: t.input("real", "bool", ["B", "T"]) };
    return newLayers(lm.forward(t.input("tokens", "int64", ["B", "T"]), { ...given, past: pastInputs(t, model, dtype) }));
  });
  const out = await program(model.sessions, graph, session).run(feedsOf(model, new Map([...cache.feeds(), ...Object.entries(rows)])));
  cache.append(
    Array.from({ length: 2 * model.config.layers }, (_, i) => out[`new.${i}`]!),
    rows.positions,
    rows.real,
  );
  return cache;
}
