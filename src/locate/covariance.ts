/** Second moments of a site over a text: C = (1/n) Σ x·xᵀ, uncentred, in one pass for any number of layers; resumable and cached. */
import { floats } from "../base/array.ts";
import { arrays } from "../base/codec.ts";
import { breather, checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash, type Hash } from "../base/hash.ts";
import { type DependsOn, isKept, keptAll, type Part } from "../base/kept.ts";
import { readUtf8 } from "../base/store.ts";
import { orBroken } from "../model/decode/finite.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, stateOf } from "../model/model.ts";
import { type Site, siteName } from "../model/names.ts";
import { firstTokens } from "../text/long.ts";
import { grouped } from "../text/padding.ts";
import { type Matrix, matrix } from "../onnx/linalg.ts";
import { type Executor, program } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Precision } from "../model/model.ts";
import { generatedRows, type TokenRow } from "./generated-text.ts";
import { passOverRows, placeFeeds } from "./keys.ts";

/** The text of the second moments: part of the spec of every step that uses them. */
export interface StatisticsSpec {
  /** "self": text that the model generates by seed; otherwise the path of a text file. */
  readonly text: string;
  /** The largest number of tokens. */
  readonly tokens: number;
  /** Tokens of a row. Every row is read as a separate sequence. */
  readonly length: number;
  readonly seed: number;
}

/** The defaults. */
export const DEFAULT_STATISTICS: StatisticsSpec = { text: "self", tokens: 4096, length: 512, seed: 0 };

export interface Statistics {
  readonly spec: StatisticsSpec;
  /** Computes the layers that the cache lacks, in one pass over the text. */
  prepare(layers: readonly number[], site: Site): Promise<void>;
  /** C of the site at a layer, float64 [width, width]. */
  secondMoment(layer: number, site: Site): Promise<Matrix>;
}

/** Statistics that can count the tokens of their text. */
export interface OwnStatistics extends Statistics {
  /** The number of tokens read. It is lower than in the spec if the text is short, and higher if the last row is read to its end. */
  tokens(): Promise<number>;
}

/** Statistics of a model, computed on demand and kept in the cache. The cache never changes a result. */
export function statisticsOf(model: Model, spec: StatisticsSpec, ctx: Context, executor: Executor = "graph"): OwnStatistics {
  return { spec, ...statisticsOver(model, () => tokenRows(model, spec, ctx), ctx, executor) };
}

/** The same of rows of tokens, which are read when they are first needed. */
export function statisticsOver(
  model: Model,
  read: () => Promise<TokenRow[]>,
  ctx: Context,
  executor: Executor = "graph",
): Omit<OwnStatistics, "spec"> {
  let reading: Promise<TokenRow[]> | undefined;
  const rows = (): Promise<TokenRow[]> => (reading ??= read());
  let about: Hash | undefined;
  const unkept = new Map<string, Matrix>(); // moments that the cache refused, so that no pass is made twice
  const keyOf = async (layer: number, site: Site): Promise<DependsOn> => {
    about ??= hash(stateOf(model), await rows(), executor, ctx.threads);
    return [about, siteName(layer, site)];
  };
  const momentsOf = async (layers: readonly number[], site: Site): Promise<ReadonlyMap<number, Matrix>> => {
    const wanted = new Map<number, DependsOn>();
    for (const layer of layers) wanted.set(layer, await keyOf(layer, site));
    const all = await keptAll(ctx, KIND, wanted, MOMENT, (missing, part) =>
      orBroken(model, async () => {
        const made = await secondMoments(model, await rows(), missing, site, { dtype: "float32", executor, ctx, part });
        return new Map([...made].map(([layer, C]) => [layer, { C: finite(C, siteName(layer, site)) }]));
      }),
    );
    return new Map([...all].map(([layer, { C }]) => [layer, C as Matrix]));
  };
  const prepare = async (layers: readonly number[], site: Site): Promise<void> => {
    const missing: number[] = [];
    for (const layer of layers)
      if (!unkept.has(siteName(layer, site)) && !isKept(ctx, KIND, await keyOf(layer, site), MOMENT)) missing.push(layer);
    for (const [layer, c] of await momentsOf(missing, site))
      if (!isKept(ctx, KIND, await keyOf(layer, site), MOMENT)) unkept.set(siteName(layer, site), c);
  };
  return {
    prepare,
    tokens: async () => counted(await rows()),
    secondMoment: async (layer, site) => {
      await prepare([layer], site);
      return unkept.get(siteName(layer, site)) ?? (await momentsOf([layer], site)).get(layer)!;
    },
  };
}

const KIND = "statistics";
const MOMENT = arrays({ C: "float64" });

function finite(c: Matrix, where: string): Matrix {
  const wrong = c.data.findIndex((x) => !Number.isFinite(x));
  return wrong < 0
    ? c
    : fail(
        "statistics",
        `the second moment at ${where} is ${c.data[wrong]} at row ${Math.floor(wrong / c.shape[1]!)}, column ${wrong % c.shape[1]!}`,
        "finite numbers",
        "The model's weights or the text lead to overflow.",
        "execution",
      );
}

/** The token rows of a spec: a text file cut into rows, or text that the model generates by seed. */
async function tokenRows(model: Model, spec: StatisticsSpec, ctx: Context): Promise<TokenRow[]> {
  if (!(spec.tokens > 0)) fail("statistics", `${spec.tokens} tokens`, "a positive number", "Give --tokens.");
  if (spec.text === "self") return generatedRows(model, spec.tokens, spec.length, spec.seed, ctx);
  const text = readUtf8(spec.text, "statistics", { wanted: "a text file" });
  const ids = await firstTokens(model.tokenizer, text, spec.tokens, breather(ctx, "statistics"));
  if (ids.length === 0) fail("statistics", `text ${spec.text} is empty`, "text", "");
  if (ids.length < spec.tokens)
    ctx.log({
      kind: "warning",
      who: "statistics",
      text: `${spec.text} holds ${ids.length} tokens, fewer than the ${spec.tokens} asked for`,
    });
  const length = Math.min(spec.length, model.config.context);
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ({ ids: ids.slice(i * length, (i + 1) * length), from: 0 }));
}

const counted = (rows: readonly TokenRow[]): number => rows.reduce((n, r) => n + r.ids.length - r.from, 0);

export interface MomentOptions {
  readonly dtype: Precision;
  readonly executor: Executor;
  readonly ctx: Context;
  /** Stores the sums so far. A later run that finds them continues from there. */
  readonly part?: Part;
  /** Tokens of a step (default 1024). */
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
  const { dtype, executor, ctx, part, budget = 1024 } = options;
  const runOf = (isBegun: boolean) => program(model.sessions, momentGraph(model, layers, site, dtype, isBegun), { executor });
  const steps = grouped(rows, (r) => r.ids.length - r.from, budget, budget);
  const total = counted(rows);
  const kept = arrays<string>(Object.fromEntries(["next", ...layers].map((name) => [name, "float64"])));
  const before = part?.load(kept);
  const first = Number(before?.["next"]!.data[0] ?? 0);
  const sums = new Map(before ? layers.map((layer) => [layer, before[layer] as Matrix]) : []);
  let saved = ctx.now();
  let read = counted(steps.slice(0, first).flat());
  for (let next = first; next < steps.length; next++) {
    const stop = ctx.signal.aborted;
    if (part && next > first && (stop || ctx.now() - saved > 15_000)) {
      part.save(kept, { next: floats([next], [1], "float64"), ...Object.fromEntries(sums) });
      saved = ctx.now();
    }
    checkAbort(ctx, "statistics");
    const step = steps[next]!;
    const places = step.map(({ ids, from }) => ({ ids, at: [...ids.keys()].slice(from) }));
    const { isBegun, feeds } = placeFeeds(model, places);
    const out = await runOf(isBegun).run(feedsOf(model, feeds));
    for (const layer of layers) {
      const added = out[`${layer}`]!;
      const sum = sums.get(layer) ?? matrix(added.shape[0]!, added.shape[1]!);
      const [s, p] = [sum.data, added.data as Float32Array];
      for (let i = 0; i < s.length; i++) s[i]! += p[i]!;
      sums.set(layer, sum);
    }
    ctx.log({
      kind: "progress",
      stage: "second moments",
      done: (read += counted(step)),
      total,
      unit: "tokens",
    });
    await new Promise(setImmediate);
  }
  return new Map([...sums].map(([layer, sum]) => [layer, { ...sum, data: sum.data.map((x) => x / total) } as Matrix]));
}

function momentGraph(model: Model, layers: readonly number[], site: Site, dtype: Precision, isBegun: boolean): Graph {
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
    const taps = Object.fromEntries(layers.map((l) => [siteName(l, site), read(l)]));
    passOverRows(lm, Math.max(...layers) + 1, taps, isBegun);
    return out;
  });
}
