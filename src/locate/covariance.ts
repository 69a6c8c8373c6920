/** Second moments of a site over a text: C = (1/n) Σ x·xᵀ, uncentred, in one pass for any number of layers; resumable and cached. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ints, type NdArray } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash, type Hash } from "../base/hash.ts";
import { readSafetensors, writeSafetensors } from "../base/store.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model } from "../model/model.ts";
import { type Site, siteName } from "../model/names.ts";
import { grouped, padded } from "../text/padding.ts";
import { type Matrix, matrix } from "../onnx/linalg.ts";
import { type Executor, program } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Precision } from "../model/model.ts";
import { selfRows, type TokenRow } from "./samples.ts";

/** What the moments are taken over: part of the spec of whatever uses them. */
export interface StatisticsSpec {
  /** "self": the model's own seeded samples; otherwise the path of a text file. */
  readonly text: string;
  /** Tokens at most. */
  readonly tokens: number;
  /** Tokens a row; every row is a sequence of its own. */
  readonly length: number;
  readonly seed: number;
}

export interface Statistics {
  readonly spec: StatisticsSpec;
  /** Sees to it that several layers are in the cache, in one pass over the text. */
  prepare(layers: readonly number[], site: Site): Promise<void>;
  /** C of the site at a layer, float64 [width, width]. */
  secondMoment(layer: number, site: Site): Promise<Matrix>;
}

/** Statistics of a model, computed when asked for and kept in the cache; a cache that is there never changes a result. */
export function statisticsOf(model: Model, spec: StatisticsSpec, ctx: Context, executor: Executor = "graph"): Statistics {
  let rows: Promise<TokenRow[]> | undefined;
  let key: string | undefined;
  const folder = join(ctx.cache, "statistics");
  const fileOf = async (layer: number, site: Site): Promise<string> => {
    rows ??= tokenRows(model, spec, ctx);
    key ??= hash(model.id, await rows).slice(0, 32);
    return join(folder, `${key}-${siteName(layer, site)}.safetensors`);
  };
  const prepare = async (layers: readonly number[], site: Site): Promise<void> => {
    const files = new Map<number, string>();
    for (const layer of layers) {
      const file = await fileOf(layer, site);
      if (!existsSync(file)) files.set(layer, file);
    }
    const [first] = files.values();
    if (!first) return;
    const state = `${first}.part`;
    const moments = await secondMoments(model, await rows!, [...files.keys()], site, { dtype: "float32", executor, ctx, state });
    mkdirSync(folder, { recursive: true });
    for (const [layer, file] of files) writeSafetensors(file, [["C", moments.get(layer)!]]);
    rmSync(state, { force: true });
  };
  return {
    spec,
    prepare,
    secondMoment: async (layer, site) => {
      await prepare([layer], site);
      return readMoment(await fileOf(layer, site));
    },
  };
}

function readMoment(file: string): Matrix {
  const c = readSafetensors(file).tensors.get("C");
  if (c?.dtype !== "float64" || c.shape.length !== 2)
    fail("statistics", `${file} holds no second moment`, "a file that Lethe wrote", "Delete it.", "unavailable");
  const wrong = (c.data as Float64Array).findIndex((x) => !Number.isFinite(x));
  if (wrong >= 0)
    fail(
      "statistics",
      `${file} holds ${c.data[wrong]} at row ${Math.floor(wrong / c.shape[1]!)}, column ${wrong % c.shape[1]!}`,
      "finite numbers",
      "Delete it; if it comes back so, the model's weights or the text lead to overflow.",
      "unavailable",
    );
  return c as Matrix;
}

/** The token rows of a spec: a text file cut into rows, or seeded samples of the model's own. */
export async function tokenRows(model: Model, spec: StatisticsSpec, ctx: Context): Promise<TokenRow[]> {
  if (!(spec.tokens > 0)) fail("statistics", `${spec.tokens} tokens`, "a positive number", "Give --tokens.");
  if (spec.text === "self") return selfRows(model, spec.tokens, spec.length, spec.seed, ctx);
  let text: string;
  try {
    text = readFileSync(spec.text, "utf8");
  } catch (error) {
    fail("statistics", `text ${spec.text} cannot be read (${String(error)})`, "a text file", "");
  }
  const { ids } = model.tokenizer.encode(text, { special: false });
  if (ids.length === 0) fail("statistics", `text ${spec.text} is empty`, "text", "");
  if (ids.length < spec.tokens)
    ctx.log({
      kind: "warning",
      who: "statistics",
      text: `${spec.text} holds ${ids.length} tokens, fewer than the ${spec.tokens} asked for`,
    });
  const used = ids.slice(0, spec.tokens);
  const length = Math.min(spec.length, model.config.context);
  return Array.from({ length: Math.ceil(used.length / length) }, (_, i) => ({ ids: used.slice(i * length, (i + 1) * length), from: 0 }));
}

export interface MomentOptions {
  readonly dtype: Precision;
  readonly executor: Executor;
  readonly ctx: Context;
  /** A file that keeps what is summed so far; a run that finds it goes on from there. */
  readonly state?: string;
  /** Tokens a step (default 1024). */
  readonly budget?: number;
}

/** Second moments at several layers in one pass over rows of tokens, about `budget` tokens a step; pads and context do not count. */
export async function secondMoments(
  model: Model,
  rows: readonly TokenRow[],
  layers: readonly number[],
  site: Site,
  options: MomentOptions,
): Promise<Map<number, Matrix>> {
  const { dtype, executor, ctx, budget = 1024 } = options;
  const run = program(model.sessions, momentGraph(model, layers, site, dtype), { executor });
  const steps = grouped(rows, (r) => r.ids.length, budget, budget);
  const counted = (step: readonly TokenRow[]): number => step.reduce((n, r) => n + r.ids.length - r.from, 0);
  const total = counted(rows);
  const id = hash(model.id, rows, { layers, site, dtype, executor, budget });
  const { next: first, sums } = resume(options.state, id, layers);
  let saved = ctx.now();
  let read = counted(steps.slice(0, first).flat());
  for (let next = first; next < steps.length; next++) {
    const stop = ctx.signal.aborted;
    if (options.state && next > first && (stop || ctx.now() - saved > 15_000)) {
      keep(options.state, id, next, sums);
      saved = ctx.now();
    }
    checkAbort(ctx, "statistics");
    const step = steps[next]!;
    const batch = padded(
      step.map((r) => r.ids),
      model.tokenizer.pad,
      "right",
    );
    const T = batch.tokens.shape[1]!;
    const at = step.flatMap((r, b) => r.ids.flatMap((_, i) => (i < r.from ? [] : [b * T + i])));
    const feeds = feedsOf(model, { ...batch, at: ints(at) });
    const out = await run.run(feeds);
    for (const layer of layers) {
      const part = out[`${layer}`]!;
      const sum = sums.get(layer) ?? matrix(part.shape[0]!, part.shape[1]!);
      const [s, p] = [sum.data, part.data as Float32Array];
      for (let i = 0; i < s.length; i++) s[i]! += p[i]!;
      sums.set(layer, sum);
    }
    ctx.log({
      kind: "progress",
      stage: "second moments",
      done: (read += at.length),
      total,
      unit: "tokens",
    });
    await new Promise(setImmediate);
  }
  return new Map([...sums].map(([layer, sum]) => [layer, { ...sum, data: sum.data.map((x) => x / total) } as Matrix]));
}

function momentGraph(model: Model, layers: readonly number[], site: Site, dtype: Precision): ReturnType<typeof trace> {
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const at = t.input("at", "int64", ["N"]);
    const out: Record<string, Tensor> = {};
    const read =
      (layer: number) =>
      (h: Tensor): Tensor => {
        const x = h.reshape(["B*T", h.dim(-1)]).rows(at);
        out[`${layer}`] = x.matmul(x, { transA: true });
        return h;
      };
    const positions = t.input("positions", "int64", ["B", "T"]);
    const taps = Object.fromEntries(layers.map((l) => [siteName(l, site), read(l)]));
    const x = lm.embed(t.input("tokens", "int64", ["B", "T"]), positions);
    lm.blocks(x, 0, Math.max(...layers) + 1, { positions, real: t.input("real", "bool", ["B", "T"]), taps });
    return out;
  });
}

interface State {
  next: number;
  sums: Map<number, Matrix>;
}

function resume(path: string | undefined, id: Hash, layers: readonly number[]): State {
  if (!path || !existsSync(path)) return { next: 0, sums: new Map() };
  const { tensors, metadata } = readSafetensors(path);
  if (metadata["id"] !== id) return { next: 0, sums: new Map() };
  return { next: Number(metadata["next"]), sums: new Map(layers.map((l) => [l, tensors.get(`${l}`) as Matrix])) };
}

function keep(path: string, id: Hash, next: number, sums: ReadonlyMap<number, Matrix>): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeSafetensors(
    path,
    [...sums].map(([l, m]) => [`${l}`, m as NdArray] as const),
    { id, next: String(next) },
  );
}
