/**
 * The part that MEMIT and AlphaEdit share. It finds values at the output of the last of several layers. The MLPs of all these layers then
 * write the difference that is missing there, from the first layer to the last (MEMIT, arXiv:2210.07229, section 4.3).
 */
import { floats } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Declared } from "../base/schema.ts";
import type { EditRequest, QA } from "../data/request.ts";
import { changed } from "../edit/apply.ts";
import type { Carried, Delta, Draft } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import { availableMemory, showBytes } from "../model/memory-estimate.ts";
import { type Model, withWeights } from "../model/model.ts";
import { atLayer, type Site, siteName } from "../model/names.ts";
import { columnsOf, type Gemm, identity, type Matrix, matrix, shifted, solveSymmetric, transpose } from "../onnx/linalg.ts";
import { ANCHOR, anchored, type AnchorParam, earlierNorms } from "./anchor.ts";
import { APART, type ApartParam, batchValues, type TokenPlace, withEarlier } from "./batch-values.ts";
import type { Statistics } from "./covariance.ts";
import { baseOf, earlierAsArrays, earlierOf, EVERY, type EveryParam, SEQUENCE, type SequenceParam } from "./joint.ts";
import { carriedKeys, withEarlierKeys } from "./keys-of-earlier-edits.ts";
import type { Running } from "../onnx/program.ts";
import { activations, norm } from "./keys.ts";
import { momentsOf, RETAIN_WEIGHT, type RetainWeightParam } from "./retained.ts";
import { SEARCH, SEARCH_COMPAT, searchAbout, searchAt, type SearchJob, type SearchParams, soughtOf } from "./search.ts";

/** The layers that write a batch, and how each one solves for its change. */
export interface SpreadOptions extends Running {
  readonly layers: readonly number[];
  readonly ctx: Context;
  /** Takes the keys of a layer [width, n] and returns the factor A [width, n] of its change R·Aᵀ. R [D, n] is the residual to write. */
  readonly solve: (layer: number, keys: Matrix) => Promise<Matrix>;
}

/** The change of one layer, in numbers. */
export interface LayerReport {
  readonly layer: number;
  readonly changeNorm: number;
  readonly matrixNorm: number;
  /** The share of its residual that the layer wrote, as the mean over requests. */
  readonly written: number;
}

export interface Spread {
  readonly weights: Readonly<Record<string, Delta>>;
  readonly layers: readonly LayerReport[];
  /** The keys [width, n] with which each layer was solved. */
  readonly keys: ReadonlyMap<number, Matrix>;
  /** For each layer, the last layer's output [D, n] before this layer wrote. */
  readonly found: ReadonlyMap<number, Matrix>;
  /** The norm of the missing difference at the end, divided by its norm at the beginning. */
  readonly left: number;
}

/** Quirks of batches in the published code. */
export const BATCH_COMPAT = {
  ...SEARCH_COMPAT,
  "cold-start": "begin every request's search at a shift of zero and ignore the shifts of earlier requests",
} as const;

export interface LayersParam {
  layers: readonly number[];
}

/** The layers that write a batch. Declared once; each method includes it in its own parameters. */
export const LAYERS: Declared<LayersParam, Config> = {
  layers: {
    default: (c) => layersAround(c, 0.3),
    doc: "blocks whose MLP output matrices are rewritten, lowest first",
    source: "docs/methods/memit.md",
    min: 0,
    whole: true,
  },
};

export interface ShareParam {
  share: number;
}

/** The share of the residual that a batch writes. Declared once; each method includes it in its own parameters. */
export const SHARE: Declared<ShareParam, Config> = {
  share: {
    default: 0.95,
    doc: "share of its residual that a layer writes for a single request; it sets the ridge of the solver; 1: all (in MEMIT: EMMET)",
    source: "docs/methods/memit.md",
    min: 0.01,
    max: 1,
  },
};

/**
 * The factor G·(GᵀX + r)⁻¹·[I; 0] [m, n]: the first n of q directions G [m, q] get their residuals, the others get nothing. Also returns the
 * ridge r. If the given ridge is 0, r is chosen so that a single request writes `share` of its residual. `meets` is GᵀX [q, q].
 */
export async function ridgeSolve(
  g: Matrix,
  meets: Matrix,
  n: number,
  { ridge: given, share }: { readonly ridge: number; readonly share: number },
  gemm: Gemm,
  ctx?: Context,
): Promise<{ factor: Matrix; ridge: number }> {
  const ridge = given > 0 ? given : ridgeFor(share, meets, n);
  const q = meets.shape[0]!;
  const first = await solveSymmetric(shifted(meets, ridge), columnsOf(identity(q), 0, q, 0, n), gemm, ctx);
  return { factor: await gemm(g, first), ridge };
}

/** The ridge r for which `share` = s/(s + r), where s is the mean of the first n elements on the diagonal of `meets`. */
function ridgeFor(share: number, meets: Matrix, n: number): number {
  const q = meets.shape[1]!;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += meets.data[i * q + i]!;
  return (sum / n) * (1 / share - 1);
}

/** Five layers (fewer in a small model). The last one is at a share of the depth where the model still collects facts about the subject. */
function layersAround({ layers }: Config, share: number): number[] {
  const last = Math.max(0, Math.min(layers - 1, Math.round(layers * share)));
  const count = Math.max(1, Math.min(5, Math.round(layers / 6), last + 1));
  return Array.from({ length: count }, (_, i) => last - count + 1 + i);
}

/** The given layers. Refuses layers that do not exist, that repeat, or that do not ascend. */
function checkedLayers(who: string, { layers: L }: Config, layers: readonly number[]): readonly number[] {
  const wrong = layers.find((l, i) => !Number.isInteger(l) || l < 0 || l >= L || (i > 0 && l <= layers[i - 1]!));
  if (layers.length === 0 || wrong !== undefined)
    fail(who, `layers ${JSON.stringify(layers)}`, `ascending layers from 0 to ${L - 1}`, "For example --set layers=4,5,6.");
  return layers;
}

/** The parameters of a batch, apart from how a layer solves for its change. */
export interface BatchParams extends SearchParams, LayersParam, ApartParam, AnchorParam, RetainWeightParam, SequenceParam, EveryParam {}

/** Declared once; each method includes them in its own parameters. */
export const BATCH: Declared<BatchParams, Config> = { ...LAYERS, ...SEARCH, ...APART, ...ANCHOR, ...RETAIN_WEIGHT, ...SEQUENCE, ...EVERY };

/** The input of a batch. A method's job has all of these fields. */
export interface BatchJob extends SearchJob {
  readonly requests: readonly EditRequest[];
  readonly params: BatchParams;
  readonly statistics?: Statistics;
  readonly retain?: readonly QA[];
  readonly previous?: Carried;
}

/** Computes a layer's factor [width, n] from second moments, this batch's keys [width, n], and `all` keys: these, then earlier edits'. */
export type Solve = (layer: number, moment: Matrix, keys: Matrix, all: Matrix) => Promise<Matrix>;

/** Refuses `count` requests whose keys, values and factors do not fit into memory. The error names the first request that is too many. */
function checkRoom(who: string, { model, requests, ctx }: BatchJob, count: number, layers: number): void {
  const { mlpWidth: m, width: D } = model.config;
  const { bytes, limit } = availableMemory({ setting: ctx.memory });
  // float64: keys and directions of every layer, the solver's copies, residuals, and the dot products of the requests' keys
  const need = (n: number): number => 8 * (n * (m * (3 * layers + 6) + D * (layers + 4)) + 3 * n * n);
  if (need(count) <= bytes) return;
  let most = count;
  while (most > 0 && need(most) > bytes) most--;
  fail(
    who,
    `${count} requests in a batch take about ${showBytes(need(count))}, and ${showBytes(bytes)} are left by ${limit}`,
    `at most ${most}, up to the one before ${(requests[most - (count - requests.length)] ?? requests[0]!).id}`,
    "Make several edits of them with --limit, or one with --mode sequential.",
    "memory",
  );
}

/**
 * Writes a whole batch: finds a value for every request, and changes each layer of the job by the factor that `solve` returns. In a joint
 * sequence the values are those of the base, and the earlier requests are written again with these.
 */
export async function writeBatch(who: string, job: BatchJob, solve: Solve): Promise<Draft> {
  const { model, params, running, ctx, previous } = job;
  const layers = checkedLayers(who, model.config, params.layers);
  const { sequence, every } = params;
  const isJoint = sequence === "joint";
  const base = isJoint ? baseOf(who, job) : model;
  const earlier = isJoint ? earlierOf(who, previous) : undefined;
  const count = (earlier?.rows.length ?? 0) + job.requests.length;
  const isAnew = isJoint && (!previous || count % every === 0);
  checkRoom(who, job, isAnew ? count : job.requests.length, layers.length);
  const { templates, sought } = await soughtOf({ ...job, model: base });
  const statistics = momentsOf(who, job);
  const found = await batchValues(base, sought, { ...searchOf(job, layers.at(-1)!), ...(earlier && { earlier }) });
  const all = withEarlier(earlier, found, sought);
  const { values, memory: norms } = anchored(who, job, all.z, isJoint ? [] : earlierNorms(job));
  const from = isAnew ? 0 : count - sought.length;
  const site = model.arch.memory.key;
  await statistics.prepare(layers, site);
  const written = await spread(
    isAnew ? base : model,
    isJoint ? all.rows.slice(from) : all.rows,
    isJoint ? columnsOf(values, 0, values.shape[0]!, from, count) : values,
    {
      ...running,
      layers,
      ctx,
      solve: async (layer, keys) => {
        const moment = await statistics.secondMoment(layer, site);
        return solve(layer, moment, keys, withEarlierKeys(layer, keys, isAnew ? undefined : previous));
      },
    },
  );
  return {
    change: { kind: "delta", weights: written.weights },
    memory: {
      // every value is written anew before the keys of earlier edits are used
      ...(isJoint && every === 1 ? {} : carriedKeys(written.keys, isAnew ? undefined : previous)),
      ...(isJoint ? earlierAsArrays(all) : norms),
    },
    ...(isAnew && previous && { replaces: true }),
    evidence: {
      templates,
      layers: written.layers,
      residualLeft: written.left,
      statistics: statistics.spec,
      evaluations: found.evaluations,
      targetProbability: found.likelihood.map((nll) => Math.exp(-nll)),
    },
  };
}

/** How the values of a batch are searched. What they depend on is only the input of the search: the cache keeps values, however they are written. */
function searchOf(job: BatchJob, layer: number) {
  const { params, compat, running } = job;
  const { apart } = params;
  return {
    ...searchAt(job, layer),
    ...(apart > 0 && { apart }),
    about: { search: searchAbout(params), layer, compat: [...compat].sort(), running, ...(apart > 0 && { apart }) },
    isWarm: !compat.has("cold-start"),
  };
}

/** A row whose subject's last token gets a value. */
type RowToWrite = Pick<TokenPlace, "ids" | "subject">;

/** Writes targets z [D, n] into the MLP output matrices of `layers`. The first of a request's `rows` is the question alone. */
export async function spread(model: Model, rows: readonly (readonly RowToWrite[])[], z: Matrix, options: SpreadOptions): Promise<Spread> {
  const { layers, ctx, solve } = options;
  const { key: keySite, weight } = model.arch.memory;
  const last = layers.at(-1)!;
  const n = rows.length;
  const [weights, reports]: [Record<string, Delta>, LayerReport[]] = [{}, []];
  const [keys, found] = [new Map<number, Matrix>(), new Map<number, Matrix>()];
  let current = model;
  let now = await output(current, rows, last, options);
  const first = norm(missing(z, now, 1).data);
  for (const [i, layer] of layers.entries()) {
    checkAbort(ctx, "spread");
    ctx.log({ kind: "progress", stage: "layers", done: i, total: layers.length, detail: `layer ${layer}` });
    const k = await keysOf(current, rows, layer, keySite, options);
    const residual = missing(z, now, layers.length - i);
    keys.set(layer, k);
    found.set(layer, now);
    const factor = await solve(layer, k);
    const name = atLayer(weight, layer);
    const right = transpose(factor);
    const delta: Delta = { outer: [floats(residual.data, residual.shape, options.dtype), floats(right.data, right.shape, options.dtype)] };
    weights[name] = delta;
    const before = current.weights.get(name)!;
    const after = changed(name, before, delta);
    let change = 0;
    for (let j = 0; j < after.data.length; j++) change += (Number(after.data[j]) - Number(before.data[j])) ** 2;
    reports.push({
      layer,
      changeNorm: Math.sqrt(change),
      matrixNorm: norm(Float64Array.from(before.data as Float32Array)),
      written: Array.from({ length: n }, (_, c) => columnDot(factor, k, c)).reduce((a, b) => a + b, 0) / n,
    });
    current = withWeights(current, new Map([[name, after]]));
    now = await output(current, rows, last, options);
  }
  return { weights, layers: reports, keys, found, left: norm(missing(z, now, 1).data) / Math.max(first, Number.MIN_VALUE) };
}

/** Keys [width, n]: half the key of the question without a context template, half the mean over its templates (MEMIT's two groups). */
async function keysOf(
  model: Model,
  rows: readonly (readonly RowToWrite[])[],
  layer: number,
  site: Site,
  running: Running,
): Promise<Matrix> {
  const name = siteName(layer, site);
  const seen = (
    await activations(
      model,
      rows.flat().map(({ ids, subject }) => ({ ids, at: [subject] })),
      [name],
      running,
    )
  )[name]!;
  const width = seen.shape[1]!;
  const out = matrix(width, rows.length);
  let row = 0;
  for (const [i, own] of rows.entries())
    for (const b of own.keys()) {
      const share = own.length === 1 ? 1 : b === 0 ? 0.5 : 0.5 / (own.length - 1);
      for (let j = 0; j < width; j++) out.data[j * rows.length + i]! += share * Number(seen.data[row * width + j]);
      row++;
    }
  return out;
}

/** The output of a block [D, n] at the subjects of the questions alone. */
async function output(model: Model, rows: readonly (readonly RowToWrite[])[], layer: number, running: Running): Promise<Matrix> {
  const name = siteName(layer, "resid_post");
  const alone = rows.map(([row]) => ({ ids: row!.ids, at: [row!.subject] }));
  const seen = (await activations(model, alone, [name], running))[name]!;
  return transpose(matrix(rows.length, seen.shape[1]!, Float64Array.from(seen.data as Float64Array)));
}

const missing = (z: Matrix, now: Matrix, parts: number): Matrix =>
  matrix(
    z.shape[0]!,
    z.shape[1]!,
    z.data.map((x, i) => (x - now.data[i]!) / parts),
  );

/** The dot product of two matrices' columns. */
function columnDot(a: Matrix, b: Matrix, column: number): number {
  const [rows, columns] = a.shape as [number, number];
  let sum = 0;
  for (let i = 0; i < rows; i++) sum += a.data[i * columns + column]! * b.data[i * columns + column]!;
  return sum;
}
