/** Reading prompts once: their keys and values, for whatever goes on from them. */
import { type Context, defaultContext } from "../base/context.ts";
import { program } from "../onnx/program.ts";
import type { SessionOptions } from "../onnx/session.ts";
import { trace } from "../tensor/graph.ts";
import { Cache } from "./cache.ts";
import { traced } from "./forward.ts";
import { feedsOf, type Model, type Precision } from "./model.ts";
import { newLayers, pastInputs, sharedPrefixes } from "./prefix.ts";
import { padded, type Rows } from "./rows.ts";

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
  const { pad } = model.tokenizer;
  const { config } = model;
  const shared = sharedPrefixes(prompts);
  const begun = shared
    ? (
        await readRows(model, new Cache(config, shared.prefixes.length, dtype), padded(shared.prefixes, pad, "left"), { ...options, ctx })
      ).select(shared.of, config)
    : new Cache(config, prompts.length, dtype);
  const from = prompts.map((_, b) => (shared ? shared.prefixes[shared.of[b]!]!.length : 0));
  const rest = prompts.map((ids, b) => ids.slice(from[b], -1));
  const cache = rest.some((ids) => ids.length > 0)
    ? await readRows(model, begun, padded(rest, pad, "left", { starts: from }), { ...options, ctx })
    : begun;
  return { prompts, cache, starts: prompts.map((ids) => ids.length - 1) };
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
