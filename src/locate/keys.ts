/** A model's own keys and values: activations at the subject's last token, read in one pass over the rows. */
import { floats, ints, type NdArray } from "../base/array.ts";
import { arrays } from "../base/codec.ts";
import type { Context } from "../base/context.ts";
import { kept } from "../base/kept.ts";
import { type Taps, traced, type TracedModel } from "../model/forward.ts";
import { feedsOf, type Model, type Precision, stateOf } from "../model/model.ts";
import { type BlockSite, type Site, siteName } from "../model/names.ts";
import { beginningFeeds, commonBeginning, passBehind } from "../model/decode/prefix.ts";
import { padded } from "../text/padding.ts";
import { program, type Running } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TokenizedRequest } from "./tokenized-requests.ts";

/** A row of tokens and the places at which activations are read. */
export interface RowWithPlaces {
  readonly ids: readonly number[];
  readonly at: readonly number[];
}

/** Activations of `sites` at layer `layer`, at each row's subject: site → [rows, width], in `dtype`. */
export async function subjectActivations(
  model: Model,
  rows: readonly TokenizedRequest[],
  layer: number,
  sites: readonly Site[],
  running: Running,
): Promise<Record<Site, NdArray>> {
  const names = sites.map((site) => siteName(layer, site));
  const seen = await activations(
    model,
    rows.map(({ ids, subject }) => ({ ids, at: [subject] })),
    names,
    running,
  );
  return Object.fromEntries(sites.map((site, i) => [site, seen[names[i]!]!])) as Record<Site, NdArray>;
}

/** Rows at the end of others that are the same for every request, and so are read once for a model. */
export interface Common {
  /** The first of them. */
  readonly from: number;
  readonly ctx: Context;
}

/** Tokens of a step. */
const STEP = 4096;

/**
 * Activations at the places of each row, in their order: name → [places, width], in `dtype`.
 * Tokens after the last place and layers above the last named one are not computed. Those of common rows are kept in the cache.
 */
export async function activations(
  model: Model,
  rows: readonly RowWithPlaces[],
  names: readonly BlockSite[],
  running: Running,
  common?: Common,
): Promise<Record<string, NdArray>> {
  if (!common || common.from >= rows.length) return activationsOf(model, rows, names, running);
  const { from, ctx } = common;
  const shared = rows.slice(from);
  const codec = arrays<string>(Object.fromEntries(names.map((name) => [name, running.dtype])));
  const dependsOn = [stateOf(model), shared, names, running, ctx.threads];
  const known = await kept(ctx, "activations", dependsOn, codec, () => activationsOf(model, shared, names, running));
  if (from === 0) return known;
  const own = await activationsOf(model, rows.slice(0, from), names, running);
  return Object.fromEntries(names.map((name) => [name, joined([own[name]!, known[name]!])]));
}

async function activationsOf(
  model: Model,
  rows: readonly RowWithPlaces[],
  names: readonly BlockSite[],
  running: Running,
): Promise<Record<string, NdArray>> {
  const runOf = (isBegun: boolean) =>
    program(model.sessions, activationGraph(model, names, running.dtype, isBegun), { executor: running.executor });
  const seen: Record<string, NdArray[]> = Object.fromEntries(names.map((name) => [name, []]));
  const cut = rows.map(({ ids, at }) => ({ ids: ids.slice(0, Math.max(...at) + 1), at }));
  for (const part of inSteps(cut)) {
    const { isBegun, feeds } = placeFeeds(model, part);
    const out = await runOf(isBegun).run(feedsOf(model, feeds));
    for (const name of names) seen[name]!.push(out[name]!);
  }
  return Object.fromEntries(names.map((name) => [name, joined(seen[name]!)]));
}

/**
 * The inputs of {@link passOverRows}, and "at" int64 [N]: the places of all rows in the flattened rows. The first tokens that all rows share,
 * before any place, are read once; not if the model has an adapter, because an adapter reads whole rows.
 */
export function placeFeeds(
  model: Model,
  rows: readonly RowWithPlaces[],
): { readonly isBegun: boolean; readonly feeds: Record<string, NdArray> } {
  const first = rows.map((r) => Math.min(r.ids.length, ...r.at));
  const begun =
    model.adapters.length > 0
      ? 0
      : commonBeginning(
          rows.map((r) => r.ids),
          first,
        );
  const left = rows.map((r) => r.ids.slice(begun));
  const batch = padded(left, model.tokenizer.pad, "right", { starts: rows.map(() => begun) });
  const T = batch.tokens.shape[1]!;
  const at = ints(rows.flatMap((r, b) => r.at.map((i) => b * T + i - begun)));
  const beginning = begun > 0 ? beginningFeeds(rows[0]!.ids.slice(0, begun)) : {};
  return { isBegun: begun > 0, feeds: { ...batch, ...beginning, at } };
}

/** Blocks 0 … `to` − 1 over rows [B, T]: inputs "tokens" and "positions" int64, "real" bool, and the shared beginning if there is one. */
export function passOverRows(lm: TracedModel, to: number, taps: Taps, isBegun: boolean): void {
  const t = lm.trace;
  const positions = t.input("positions", "int64", ["B", "T"]);
  const tokens = t.input("tokens", "int64", ["B", "T"]);
  const given = { positions, real: t.input("real", "bool", ["B", "T"]), taps };
  if (isBegun) passBehind(lm, to, tokens, given);
  else lm.blocks(lm.embed(tokens, positions), 0, to, given);
}

function activationGraph(model: Model, names: readonly BlockSite[], dtype: Precision, isBegun: boolean): Graph {
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const at = t.input("at", "int64", ["N"]);
    const seen: Record<string, Tensor> = {};
    const read =
      (name: string) =>
      (h: Tensor): Tensor => {
        seen[name] = h.reshape(["B*T", h.dim(-1)]).rows(at);
        return h;
      };
    const to = 1 + Math.max(...names.map((name) => Number(name.split(".")[1])));
    passOverRows(lm, to, Object.fromEntries(names.map((name) => [name, read(name)])), isBegun);
    return seen;
  });
}

/** Consecutive rows in steps of about {@link STEP} tokens, including padding. */
function inSteps<T extends { readonly ids: readonly number[] }>(rows: readonly T[]): T[][] {
  const steps: T[][] = [];
  let longest = 0;
  for (const row of rows) {
    const last = steps.at(-1);
    longest = Math.max(longest, row.ids.length);
    if (last && (last.length + 1) * longest <= STEP) last.push(row);
    else {
      steps.push([row]);
      longest = row.ids.length;
    }
  }
  return steps;
}

function joined(parts: readonly NdArray[]): NdArray {
  const [first] = parts as [NdArray];
  if (parts.length === 1) return first;
  const shape = [parts.reduce((n, p) => n + p.shape[0]!, 0), ...first.shape.slice(1)];
  const data = first.dtype === "float64" ? new Float64Array(shape[0]! * shape[1]!) : new Float32Array(shape[0]! * shape[1]!);
  let next = 0;
  for (const part of parts) {
    data.set(part.data as Float32Array, next);
    next += part.data.length;
  }
  return floats(data, shape, first.dtype as Precision);
}

/** Row `i` of a matrix in float64. */
export function rowOf(a: NdArray, i: number): Float64Array {
  const width = a.shape.at(-1)!;
  return Float64Array.from((a.data as Float64Array).subarray(i * width, (i + 1) * width));
}

/** The mean of a matrix's rows, in float64. */
export function meanRow(a: NdArray): Float64Array {
  const [rows, width] = a.shape as [number, number];
  const out = new Float64Array(width);
  for (let i = 0; i < rows; i++) for (let j = 0; j < width; j++) out[j]! += (a.data as Float64Array)[i * width + j]!;
  return out.map((x) => x / rows);
}

export const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** ‖a‖, summed in float64. */
export function norm(a: Float64Array | Float32Array): number {
  let squares = 0;
  for (const x of a) squares += x * x;
  return Math.sqrt(squares);
}
