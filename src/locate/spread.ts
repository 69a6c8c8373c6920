/**
 * The part that MEMIT and AlphaEdit share. It finds values at the output of the last of several layers. The MLPs of all these layers then
 * write the difference that is missing there, from the first layer to the last (MEMIT, arXiv:2210.07229, section 4.3).
 */
import { floats, type NdArray } from "../base/array.ts";
import { arrays } from "../base/codec.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import { kept } from "../base/kept.ts";
import type { Declared } from "../base/schema.ts";
import type { EditRequest } from "../data/request.ts";
import { changed } from "../edit/apply.ts";
import type { Carried, Delta, Draft } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import { availableMemory, showBytes } from "../model/memory-estimate.ts";
import { type Model, stateOf, withWeights } from "../model/model.ts";
import { atLayer, type Site, siteName } from "../model/names.ts";
import { columnsOf, type Gemm, identity, type Matrix, matrix, shifted, solveSymmetric, transpose } from "../onnx/linalg.ts";
import type { Statistics } from "./covariance.ts";
import { carriedKeys, withEarlierKeys } from "./keys-of-earlier-edits.ts";
import type { Running } from "../onnx/program.ts";
import { activations, norm, rowOf } from "./keys.ts";
import type { TokenizedRequest } from "./tokenized-requests.ts";
import { SEARCH, SEARCH_COMPAT, searchAt, type SearchJob, type SearchParams, soughtOf } from "./search.ts";
import { findValues, type Sought, type ValueOptions } from "./values.ts";

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

/** Requests whose values are searched together: enough to keep the cores busy, few enough that a slow search delays few others. */
const TOGETHER = 8;

/**
 * The targets z [D, n], one column for each request: the last layer's output at the subject of the question alone, plus the shift that was
 * found. With `isWarm`, a later search begins at the mean of the earlier shifts for the same target, or for any target: the shift towards a
 * refusal is similar for all subjects. The cache keeps each group, so that a stopped run continues to the same bytes.
 */
async function findTargets(
  model: Model,
  sought: readonly Sought[],
  options: Omit<ValueOptions, "site">,
  about: Readonly<Record<string, unknown>>,
  isWarm: boolean,
): Promise<{ z: Matrix; likelihood: number[]; evaluations: number }> {
  const { ctx, layer } = options;
  const D = model.config.width;
  const z = matrix(D, sought.length);
  const likelihood: number[] = [];
  let evaluations = 0;
  const base = stateOf(model);
  const starts = startsFor(D);
  for (let from = 0; from < sought.length; from += TOGETHER) {
    checkAbort(ctx, "values");
    const part = sought.slice(from, from + TOGETHER).map((s) => ({ ...s, ...(isWarm && starts.of(s)) }));
    const rows = part.map(({ rows, klRow }) => [...rows, ...(klRow ? [klRow] : [])].map((r) => [r.ids, r.subject, r.first]));
    const begun = hash(...part.map(({ start }) => (start ? floats(start, [D], "float64") : null)));
    const found = await kept(ctx, VALUES, [base, about, rows, begun, ctx.threads], FOUND, () => seek(model, part, options));
    for (const [i, own] of part.entries()) {
      for (let d = 0; d < D; d++) z.data[d * sought.length + from + i] = Number(found.z.data[i * D + d]);
      likelihood.push(Number(found.nll.data[i]));
      starts.learn(own, rowOf(found.shift, i));
    }
    evaluations += Number(found.evaluations.data[0]);
    if (sought.length > TOGETHER)
      ctx.log({
        kind: "progress",
        stage: "requests",
        done: from + part.length,
        total: sought.length,
        detail: `layer ${layer}`,
      });
  }
  return { z, likelihood, evaluations };
}

/** Where a search begins: at the mean of the shifts for the same target; if there are none, for any target; if there are none, at zero. */
function startsFor(width: number): { of(sought: Sought): Pick<Sought, "start">; learn(sought: Sought, shift: Float64Array): void } {
  const found = new Map<string, { readonly sum: Float64Array; readonly count: number }>();
  const targetOf = ({ rows: [alone] }: Sought): string => alone!.ids.slice(alone!.first).join(" ");
  const ANY = "";
  return {
    of: (sought) => {
      const seen = found.get(targetOf(sought)) ?? found.get(ANY);
      return seen ? { start: seen.sum.map((x) => x / seen.count) } : {};
    },
    learn: (sought, shift) => {
      for (const name of [targetOf(sought), ANY]) {
        const { sum, count } = found.get(name) ?? { sum: new Float64Array(width), count: 0 };
        for (let d = 0; d < width; d++) sum[d]! += shift[d]!;
        found.set(name, { sum, count: count + 1 });
      }
    },
  };
}

/** The name of the values in the cache. */
export const VALUES = "values";
const FOUND = arrays({ z: "float64", shift: "float64", nll: "float64", evaluations: "float64" });

async function seek(
  model: Model,
  part: readonly Sought[],
  options: Omit<ValueOptions, "site">,
): Promise<Record<"z" | "shift" | "nll" | "evaluations", NdArray>> {
  const values = await findValues(model, part, { ...options, site: "resid_post" });
  const D = model.config.width;
  return {
    z: floats(
      values.flatMap(({ h0, shift }) => Array.from(h0, (h, d) => h + shift[d]!)),
      [part.length, D],
      "float64",
    ),
    shift: floats(
      values.flatMap(({ shift }) => Array.from(shift)),
      [part.length, D],
      "float64",
    ),
    nll: floats(
      values.map((v) => v.evaluations.at(-1)!.rows[0]!),
      [part.length],
      "float64",
    ),
    evaluations: floats([values.reduce((n, v) => n + v.evaluations.length, 0)], [1], "float64"),
  };
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

/** The input of a batch. A method's job has all of these fields. */
export interface BatchJob extends SearchJob {
  readonly requests: readonly EditRequest[];
  readonly params: SearchParams & LayersParam;
  readonly statistics?: Statistics;
  readonly previous?: Carried;
}

/** Computes a layer's factor [width, n] from second moments, this batch's keys [width, n], and `all` keys: these, then earlier edits'. */
export type Solve = (layer: number, moment: Matrix, keys: Matrix, all: Matrix) => Promise<Matrix>;

/** Refuses a batch whose keys, values and factors do not fit into memory. The error names the first request that is too many. */
function checkRoom(who: string, { model, requests, ctx }: BatchJob, layers: number): void {
  const { mlpWidth: m, width: D } = model.config;
  const { bytes, limit } = availableMemory({ setting: ctx.memory });
  // float64: keys and directions of every layer, the solver's copies, residuals, and the dot products of the requests' keys
  const need = (n: number): number => 8 * (n * (m * (3 * layers + 6) + D * (layers + 4)) + 3 * n * n);
  if (need(requests.length) <= bytes) return;
  let most = requests.length;
  while (most > 0 && need(most) > bytes) most--;
  fail(
    who,
    `${requests.length} requests in a batch take about ${showBytes(need(requests.length))}, and ${showBytes(bytes)} are left by ${limit}`,
    `at most ${most}, up to the one before ${requests[most]!.id}`,
    "Make several edits of them with --limit, or one with --mode sequential.",
    "memory",
  );
}

/** Writes a whole batch: finds a target for every request, and changes each layer of the job by the factor that `solve` returns. */
export async function writeBatch(who: string, job: BatchJob, solve: Solve): Promise<Draft> {
  const { model, params, running, ctx } = job;
  const statistics = job.statistics!;
  const layers = checkedLayers(who, model.config, params.layers);
  checkRoom(who, job, layers.length);
  const { templates, sought } = await soughtOf(job);
  const layer = layers.at(-1)!;
  // only the inputs of the search: the cached targets do not depend on how they are written later
  const about = {
    search: Object.keys(SEARCH).map((name) => [name, params[name as keyof SearchParams]]),
    layer,
    compat: [...job.compat].sort(),
    running,
  };
  const targets = await findTargets(model, sought, searchAt(job, layer), about, !job.compat.has("cold-start"));
  const site = model.arch.memory.key;
  await statistics.prepare(layers, site);
  const written = await spread(
    model,
    sought.map((s) => s.rows),
    targets.z,
    {
      ...running,
      layers,
      ctx,
      solve: async (layer, keys) => {
        const moment = await statistics.secondMoment(layer, site);
        return solve(layer, moment, keys, withEarlierKeys(layer, keys, job.previous));
      },
    },
  );
  return {
    change: { kind: "delta", weights: written.weights },
    memory: carriedKeys(written.keys, job.previous),
    evidence: {
      templates,
      layers: written.layers,
      residualLeft: written.left,
      statistics: statistics.spec,
      evaluations: targets.evaluations,
      targetProbability: targets.likelihood.map((nll) => Math.exp(-nll)),
    },
  };
}

/** Writes targets z [D, n] into the MLP output matrices of `layers`. The first of a request's `rows` is the question alone. */
export async function spread(
  model: Model,
  rows: readonly (readonly TokenizedRequest[])[],
  z: Matrix,
  options: SpreadOptions,
): Promise<Spread> {
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
  rows: readonly (readonly TokenizedRequest[])[],
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
async function output(model: Model, rows: readonly (readonly TokenizedRequest[])[], layer: number, running: Running): Promise<Matrix> {
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
