/** Programs: a graph, what to differentiate, and one of two executors; both give the same numbers. */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Env } from "../tensor/dim.ts";
import { dependents, grad, vjp } from "../tensor/grad.ts";
import { Graph, inputOf, replay } from "../tensor/graph.ts";
import { cut, hoist, type Segment } from "../tensor/split.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Trace } from "../tensor/trace.ts";
import type { Feeds, Results } from "./feeds.ts";
import { bind, type SessionOptions, type Sessions } from "./session.ts";

/** "graph": one session for the whole range of layers, fastest. "blocks": one session reused for every block, smallest. */
export type Executor = "graph" | "blocks";

/** How programs run: precision and executor. */
export interface Running {
  readonly dtype: "float32" | "float64";
  readonly executor: Executor;
}

export interface ProgramOptions extends SessionOptions {
  readonly executor?: Executor;
  /** Gradients of a scalar output with respect to inputs, or to other outputs that it depends on; they come back as "grad:NAME". */
  readonly grad?: { readonly of: string; readonly wrt: readonly string[] };
}

/** Something that can be run many times. */
export interface Program {
  run(feeds: Feeds, env?: Env): Promise<Results>;
}

/** Makes a graph runnable. */
export function program(sessions: Sessions, graph: Graph, options: ProgramOptions = {}): Program {
  return options.executor === "blocks" ? new BlockProgram(sessions, graph, options) : wholeProgram(sessions, graph, options);
}

/** A run with the inputs that change. */
export type Step = (changing: Feeds) => Promise<Results>;

/**
 * Makes a graph runnable in two stages: what does not depend on the `varying` inputs is computed from the feeds of a start, and what does,
 * in each of the steps that follow it; gradients are with respect to `varying` inputs. Weights are held for the steps alone.
 */
export function staged(
  sessions: Sessions,
  graph: Graph,
  varying: readonly string[],
  options: ProgramOptions = {},
): (feeds: Feeds) => Promise<Step> {
  const { constant, rest } = hoist(graph, varying);
  const { grad: _, frozen: __, ...plain } = options;
  const first = constant.outputs.size > 0 ? program(sessions, constant, plain) : undefined;
  const moving = program(sessions, rest, options);
  return async (feeds) => {
    const env = bindings(graph, feeds);
    const still = (await first?.run(feeds, env)) ?? {};
    const settled = Object.fromEntries([...graph.outputs.keys()].filter((name) => name in still).map((name) => [name, still[name]!]));
    return async (changing) => ({
      ...settled,
      ...(await moving.run({ get: (name) => changing.get(name) ?? still[name] ?? feeds.get(name) }, env)),
    });
  };
}

/**
 * The steps from one start.
 * @example const step = await stepping(sessions, graph, ["delta"], feeds, { grad: { of: "loss", wrt: ["delta"] } });
 */
export const stepping = (
  sessions: Sessions,
  graph: Graph,
  varying: readonly string[],
  feeds: Feeds,
  options: ProgramOptions = {},
): Promise<Step> => staged(sessions, graph, varying, options)(feeds);

/** The symbols that the feeds determine. */
function bindings(graph: Graph, feeds: Feeds): Env {
  const env: Record<string, number> = {};
  for (const t of graph.inputs) {
    const { name, dtype, shape } = inputOf(t);
    const array = feeds.get(name);
    if (array) bind(name, dtype, shape, array, env);
  }
  return env;
}

function wholeProgram(sessions: Sessions, graph: Graph, options: ProgramOptions): Program {
  if (!options.grad) return { run: (feeds, env) => sessions.use(graph, options, (session) => session.run(feeds, env)) };
  const { of, wrt } = options.grad;
  const grads = grad(
    graph.output(of),
    wrt.map((name) => graph.value(name)),
  );
  const { outputs, finish } = beforeAddedRows(wrt.map((name, i) => [`grad:${name}`, grads[i]!] as const));
  // what is written last is computed first: a gradient as soon as it can be, so that what it needs is let go of
  const full = new Graph([...graph.outputs, ...[...outputs].sort(([, a], [, b]) => b.node.id - a.node.id)]);
  return { run: async (feeds, env) => finish(await sessions.use(full, options, (session) => session.run(feeds, env))) };
}

/**
 * Outputs as they are before rows are added to them, and what adds them to the results. In the engine the sum would be one more array of the
 * table's size, and the table would wait for the rows.
 */
function beforeAddedRows(whole: readonly (readonly [string, Tensor])[]): {
  outputs: Map<string, Tensor>;
  finish: (results: Results) => Results;
} {
  const outputs = new Map<string, Tensor>();
  const added: { readonly to: string; readonly indices: string; readonly updates: string }[] = [];
  for (const [name, output] of whole) {
    let tensor = output;
    for (; tensor.node.op === "addRows"; tensor = tensor.node.inputs[0]!) {
      const [indices, updates] = [`${name}:indices:${added.length}`, `${name}:updates:${added.length}`];
      added.unshift({ to: name, indices, updates }); // the innermost is added first
      outputs.set(indices, tensor.node.inputs[1]!).set(updates, tensor.node.inputs[2]!);
    }
    outputs.set(name, tensor);
  }
  const finish = (results: Results): Results => {
    for (const { to, indices, updates } of added) addRows(results[to]!, results[indices]!, results[updates]!);
    const rest = new Set(added.flatMap(({ indices, updates }) => [indices, updates]));
    return Object.fromEntries(Object.entries(results).filter(([name]) => !rest.has(name)));
  };
  return { outputs, finish };
}

/** Adds rows [M, ...] to those of a table [N, ...] that are named by index, in place. */
function addRows({ data, shape }: NdArray, indices: NdArray, updates: NdArray): void {
  const [table, rows] = [data as Float32Array, updates.data as Float32Array];
  const width = table.length / shape[0]!;
  (indices.data as BigInt64Array).forEach((index, i) => {
    const to = Number(index) * width;
    for (let j = 0; j < width; j++) table[to + j]! += rows[i * width + j]!;
  });
}

/** Runs segment after segment, keeping what enters each; then pulls gradients back, recomputing each segment. */
class BlockProgram implements Program {
  private readonly sessions: Sessions;
  private readonly graph: Graph;
  private readonly options: ProgramOptions;
  private readonly segments: readonly Segment[];
  /** What gradients are asked for. */
  private readonly wanted: ReadonlyMap<string, Tensor>;
  private readonly moving: ReadonlySet<unknown>;

  constructor(sessions: Sessions, graph: Graph, options: ProgramOptions) {
    this.sessions = sessions;
    this.graph = graph;
    this.options = { arena: false, ...options };
    this.segments = cut(graph);
    this.wanted = new Map((options.grad?.wrt ?? []).map((name) => [name, graph.value(name)]));
    this.moving = dependents(graph.nodes, [...this.wanted.values()]);
  }

  async run(feeds: Feeds, env: Env = bindings(this.graph, feeds)): Promise<Results> {
    const values = new Map<Tensor, NdArray>();
    for (const segment of this.segments) {
      const out = await this.sessions.use(segment.graph, this.options, (session) => session.run(this.feedsOf(segment, values, feeds), env));
      for (const [name, t] of segment.gives) values.set(t, out[name]!);
      if (!this.options.grad) this.forget(segment, values);
    }
    const results: Results = {};
    for (const [name, t] of this.graph.outputs)
      results[name] = values.get(t) ?? fail("program", `output "${name}" is an input`, "a computed value", "", "internal");
    if (this.options.grad) Object.assign(results, await this.pull(feeds, env, values));
    return results;
  }

  /** Drops values that no later segment and no output uses. */
  private forget(done: Segment, values: Map<Tensor, NdArray>): void {
    const later = this.segments.slice(this.segments.indexOf(done) + 1);
    const used = new Set([...later.flatMap((s) => [...s.takes.values()]), ...this.graph.outputs.values()]);
    for (const t of values.keys()) if (!used.has(t)) values.delete(t);
  }

  private feedsOf(segment: Segment, values: ReadonlyMap<Tensor, NdArray>, feeds: Feeds): Feeds {
    return {
      get: (local) => {
        const t = segment.takes.get(local);
        return t && (values.get(t) ?? (t.node.op === "input" ? feeds.get(inputOf(t).name) : undefined));
      },
    };
  }

  /** The backward pass, one segment's vector-Jacobian product at a time. */
  private async pull(feeds: Feeds, env: Env, values: ReadonlyMap<Tensor, NdArray>): Promise<Results> {
    const loss = this.graph.output(this.options.grad!.of);
    const wanted = new Set(this.wanted.values());
    const cotangents = new Map<Tensor, NdArray>([[loss, one(loss)]]);
    for (const segment of [...this.segments].reverse()) {
      const ends = [...segment.gives].filter(([, t]) => cotangents.has(t) && this.moving.has(t.node));
      const starts = [...segment.takes].filter(([, t]) => this.moving.has(t.node) && t.dtype.startsWith("float"));
      const within = [...segment.gives].filter(([, t]) => wanted.has(t));
      if (ends.length === 0 || starts.length + within.length === 0) continue;
      const names = (values: typeof starts): string[] => values.map(([name]) => name);
      const back = backward(segment, { ends: names(ends), starts: names(starts), within: names(within) });
      const forward = this.feedsOf(segment, values, feeds);
      const fed: Feeds = {
        get: (name) => (name.startsWith("g:") ? cotangents.get(segment.gives.get(name.slice(2))!) : forward.get(name)),
      };
      const out = await this.sessions.use(back, this.options, (session) => session.run(fed, env));
      for (const [, t] of ends) cotangents.delete(t);
      for (const [name, t] of starts) accumulate(cotangents, t, out[`d:${name}`]!);
      for (const [name, t] of within) cotangents.set(t, out[`o:${name}`]!);
    }
    return Object.fromEntries(
      [...this.wanted].map(([name, t]) => [
        `grad:${name}`,
        cotangents.get(t) ?? fail("program", `no gradient reaches "${name}"`, "a value that the loss depends on", "", "internal"),
      ]),
    );
  }
}

/** What a segment's backward program connects, by the segment's names. */
interface Pulled {
  /** Outputs that have cotangents. */
  readonly ends: readonly string[];
  /** Inputs whose gradients are passed on. */
  readonly starts: readonly string[];
  /** Outputs whose own gradients are wanted. */
  readonly within: readonly string[];
}

/** A segment's backward program: its inputs and the cotangents "g:OUT" in, the gradients "d:IN" and "o:OUT" out. */
function backward(segment: Segment, { ends, starts, within }: Pulled): Graph {
  const into = new Trace();
  const moved = replay(segment.graph.nodes, into);
  const outs = ends.map((name) => moved.get(segment.graph.output(name))!);
  const cots = outs.map((t, i) => into.input(`g:${ends[i]}`, t.dtype, t.shape));
  const wrt = [
    ...starts.map((name) => [`d:${name}`, segment.graph.input(name)] as const),
    ...within.map((name) => [`o:${name}`, segment.graph.output(name)] as const),
  ];
  const grads = vjp(
    outs,
    cots,
    wrt.map(([, t]) => moved.get(t)!),
  );
  return new Graph(wrt.map(([name], i) => [name, grads[i]!] as const));
}

const one = (t: Tensor): NdArray => ({ dtype: t.dtype, shape: [], data: t.dtype === "float64" ? Float64Array.of(1) : Float32Array.of(1) });

function accumulate(into: Map<Tensor, NdArray>, t: Tensor, more: NdArray): void {
  const old = into.get(t);
  if (!old) {
    into.set(t, more);
    return;
  }
  const [a, b] = [old.data as Float32Array, more.data as Float32Array];
  for (let i = 0; i < a.length; i++) a[i]! += b[i]!;
}
