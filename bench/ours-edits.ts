/** Our side of the races of whole edits and of what they need: batches, statistics, and methods that a race knows by id alone. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NdArray } from "../src/base/array.ts";
import type { Context } from "../src/base/context.ts";
import { resolveParams } from "../src/base/schema.ts";
import { writeSafetensors } from "../src/base/store.ts";
import { requestOf } from "../src/data/request.ts";
import { apply } from "../src/edit/apply.ts";
import { type Delta, deltasOf } from "../src/edit/edit.ts";
import { nullSpace } from "../src/methods/alphaedit/null-space.ts";
import { secondMoments, type Statistics, type StatisticsSpec } from "../src/locate/covariance.ts";
import { alphaedit } from "../src/methods/alphaedit/alphaedit.ts";
import { memit } from "../src/methods/memit.ts";
import { registry } from "../src/methods/registry.ts";
import type { Model } from "../src/model/model.ts";
import { score } from "../src/model/decode/score.ts";
import { gemmOn, type Matrix, ridged } from "../src/onnx/linalg.ts";
import { methodOf } from "../src/run/choice.ts";
import { findEdit } from "../src/run/edit.ts";
import { median, type Took } from "./race.ts";
import { type AdapterWork, BATCH_CONTEXTS, REQUEST, STAYS, templatesOf, type Wanted } from "./work.ts";

type Rows = readonly (readonly number[])[];

/** Second moments that both sides of a batch are given. */
export interface Moments {
  readonly layers: readonly number[];
  readonly byLayer: ReadonlyMap<number, Matrix>;
  /** A safetensors file with one matrix a layer. */
  readonly file: string;
  /** The median of each one's diagonal, in the order of the layers: where AlphaEdit's null space ends there. */
  readonly medians: readonly number[];
}

/** Tokens of a step in the pass over the text, on both sides. */
export const STEP = 1024;
/** Added to the moments' diagonal: a text of a race has fewer tokens than the matrix rows. */
const RIDGE = 0.03;

export interface OursEdits {
  /** Second moments of the layers in one pass over rows; answers their `norm`. */
  statistics(rows: Rows, layers: readonly number[]): Promise<Took>;
  /** The same as both sides of a batch are given them. */
  moments(rows: Rows, layers: readonly number[], file: string): Promise<Moments>;
  /** A whole batch with all evaluations, seconds for each request; answers `norm` of the weights' change. */
  batch(method: "memit" | "alphaedit", facts: readonly Wanted[], moments: Moments, given: BatchParams): Promise<Took>;
  /** One edit by a method's id as its file declares it; undefined when there is no such method. */
  adapter(method: string, iterations: number, given: Given): Adapter | undefined;
  close(): void;
}

export interface BatchParams {
  readonly evaluations: number;
  /** MEMIT's λ, AlphaEdit's L2. */
  readonly weight: number;
}

/** What makes a method do the work that the peer does, and no more. */
export interface Given {
  readonly params: Readonly<Record<string, unknown>>;
  readonly compat: readonly string[];
}

export interface Adapter {
  /** The layer that the method would edit. */
  readonly layer: number;
  /** Iterations as the method was told. */
  readonly iterations: number;
  /** A whole edit of the race's request behind the contexts that `work` was laid out with; answers `nll` of the target after it. */
  edit(work: AdapterWork, contexts: readonly string[]): Promise<Took>;
}

/** Races of edits on a model; what is cached between turns stands in a folder of their own. */
export function editsOf(model: Model, context: Context): OursEdits {
  const ctx = { ...context, cache: mkdtempSync(join(tmpdir(), "lethe-bench-")) };
  return {
    statistics: (rows, layers) => statistics(model, ctx, rows, layers),
    moments: (rows, layers, file) => momentsFor(model, ctx, rows, layers, file),
    batch: (method, facts, moments, given) => batch(model, ctx, method, facts, moments, given),
    adapter: (method, iterations, given) => adapterOf(model, ctx, method, iterations, given),
    close: () => rmSync(ctx.cache, { recursive: true, force: true }),
  };
}

const norm = (parts: Iterable<{ readonly data: ArrayLike<number> }>): number => Math.hypot(...[...parts].map(({ data }) => length(data)));

function length(data: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! ** 2;
  return Math.sqrt(sum);
}

const take = (model: Model, ctx: Context, rows: Rows, layers: readonly number[]): Promise<Map<number, Matrix>> =>
  secondMoments(
    model,
    rows.map((ids) => ({ ids, from: 0 })),
    layers,
    model.arch.memory.key,
    { dtype: "float32", executor: "graph", ctx, budget: STEP },
  );

async function statistics(model: Model, ctx: Context, rows: Rows, layers: readonly number[]): Promise<Took> {
  const start = performance.now();
  const found = await take(model, ctx, rows, layers);
  return { seconds: (performance.now() - start) / 1e3, norm: norm(found.values()) };
}

async function momentsFor(model: Model, ctx: Context, rows: Rows, layers: readonly number[], file: string): Promise<Moments> {
  const byLayer = new Map([...(await take(model, ctx, rows, layers))].map(([layer, c]) => [layer, ridged(c, RIDGE)]));
  mkdirSync(join(file, ".."), { recursive: true });
  writeSafetensors(
    file,
    [...byLayer].map(([layer, c]) => [`${layer}`, c as NdArray] as const),
  );
  const medians = layers.map((layer) => {
    const { data, shape } = byLayer.get(layer)!;
    return median(Array.from({ length: shape[0]! }, (_, i) => data[i * shape[0]! + i]!));
  });
  return { layers, byLayer, file, medians };
}

/** The statistics of a job, as they were taken for both sides. */
function givenStatistics({ byLayer, file }: Moments): Statistics {
  const spec: StatisticsSpec = { text: file, tokens: 1, length: 1, seed: 0 };
  return { spec, prepare: () => Promise.resolve(), secondMoment: (layer) => Promise.resolve(byLayer.get(layer)!) };
}

async function batch(
  model: Model,
  ctx: Context,
  name: "memit" | "alphaedit",
  facts: readonly Wanted[],
  moments: Moments,
  { evaluations, weight }: BatchParams,
): Promise<Took> {
  rmSync(join(ctx.cache, "values"), { recursive: true, force: true }); // what the last turn found; projectors stay, as the peer's do
  const job = {
    model,
    ctx,
    retain: [],
    format: "chat" as const,
    seed: 0,
    running: { dtype: "float32", executor: "graph" } as const,
    requests: facts.map(({ target, ...fact }) => ({ ...requestOf(fact), target })),
    compat: new Set(["even-rows", "open-end", "cold-start"]),
    templates: templatesOf(BATCH_CONTEXTS),
    statistics: givenStatistics(moments),
  };
  const search = { layers: moments.layers, steps: evaluations, lr: 0.5, enough: 0 };
  const projected = resolveParams("alphaedit", alphaedit.params, { ...search, threshold: 0, relative: 1, l2: weight }, model.config);
  // projectors are kept, and not timed on either side
  const { threshold, relative, rank } = projected;
  for (const c of name === "alphaedit" ? moments.byLayer.values() : [])
    await nullSpace(c, { threshold, relative, rank }, gemmOn(model.sessions), ctx);
  const start = performance.now();
  const draft =
    name === "memit"
      ? await memit.edit({ ...job, params: resolveParams(name, memit.params, { ...search, weight, ridge: 0 }, model.config) })
      : await alphaedit.edit({ ...job, params: projected });
  return { seconds: (performance.now() - start) / 1e3 / facts.length, norm: Math.hypot(...Object.values(deltasOf(draft)).map(normOf)) };
}

/** The Frobenius norm of left · right, by the Gram matrices of both. */
function normOf(delta: Delta): number {
  const [left, right] = (delta as Delta & { outer: unknown }).outer as readonly [NdArray, NdArray];
  const [rows, rank, columns] = [left.shape[0]!, left.shape[1]!, right.shape[1]!];
  let sum = 0;
  for (let a = 0; a < rank; a++)
    for (let b = 0; b < rank; b++) {
      let [l, r] = [0, 0];
      for (let i = 0; i < rows; i++) l += Number(left.data[i * rank + a]) * Number(left.data[i * rank + b]);
      for (let j = 0; j < columns; j++) r += Number(right.data[a * columns + j]) * Number(right.data[b * columns + j]);
      sum += l * r;
    }
  return Math.sqrt(Math.max(0, sum));
}

/** What the reference calls the parameters that a race sets. */
const [ITERATIONS, LAYER] = ["n_iter", "inner_params"];

function adapterOf(model: Model, ctx: Context, id: string, iterations: number, given: Given): Adapter | undefined {
  if (!Object.hasOwn(registry, id)) return undefined;
  const method = methodOf(id);
  const named = (theirs: string): string => {
    const ours = method.hparams?.[theirs];
    return typeof ours === "string" ? ours : failing(`the method ${id} does not say which of its parameters ${theirs} is`);
  };
  const params = { [named(ITERATIONS)]: iterations, ...("enough" in method.params && { enough: 0 }), ...given.params };
  const values = resolveParams<Record<string, unknown>, Model["config"]>(id, method.params as never, params, model.config);
  const layer = values["layer"] ?? values[named(LAYER)];
  return {
    layer: typeof layer === "number" ? layer : failing(`the method ${id} does not say which layer it edits`),
    iterations,
    edit: async ({ rows, target }, contexts) => {
      const start = performance.now();
      const edit = await findEdit(model, requestOf({ id: REQUEST.id, prompt: REQUEST.prompt, subject: REQUEST.subject }), {
        method: id,
        say: REQUEST.target,
        params,
        compat: [...given.compat, ...Object.keys(method.compat).filter((quirk) => quirk === "open-end")],
        templates: templatesOf(contexts),
        retain: [{ id: "stays", ...STAYS }],
        ctx,
      });
      const seconds = (performance.now() - start) / 1e3;
      const [logprobs] = await score(apply(model, edit), [{ ids: rows[0]!, from: rows[0]!.length - target }]);
      return { seconds, nll: -logprobs!.reduce((a, b) => a + b, 0) / target };
    },
  };
}

function failing(what: string): never {
  throw new Error(`bench: ${what}`);
}
