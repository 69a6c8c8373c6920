/**
 * A codebook at one MLP. An entry has a key, a radius and a value. If the key of a question lies within the radius, the value replaces the
 * output of the layer (GRACE, arXiv:2211.11031).
 */
import { floats, ints, type NdArray } from "../base/array.ts";
import type { Carried, Change } from "../edit/edit.ts";
import type { Route } from "../model/adapter.ts";
import type { Model, Precision } from "../model/model.ts";
import { siteName } from "../model/names.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { rowOf } from "./keys.ts";

/** The parameters of a codebook's lookup. */
export interface BookParams {
  layer: number;
  replace: string;
}

/** The tokens whose output the value replaces: the question's last token, every token, or the tokens before its last. */
export const PUTS = { replace_last: "subject", replace_all: "all", replace_prompt: "before" } as const;

/** An entry of the codebook: key [m], value [D], radius, the token ids of its target, and the number of its prompt's tokens. */
export interface Entry {
  readonly key: Float64Array;
  readonly value: Float64Array;
  readonly radius: number;
  readonly target: readonly number[];
  readonly prompt: number;
}

export type Rule = "init" | "new" | "split" | "expand" | "keep" | "retake";

/** The nearest key by Euclidean distance; undefined for an empty book. */
export function nearestOf(book: readonly Entry[], query: Float64Array): { index: number; distance: number } | undefined {
  const distances = book.map(({ key }) => distanceOf(key, query));
  const index = distances.indexOf(Math.min(...distances));
  return index < 0 ? undefined : { index, distance: distances[index]! };
}

function distanceOf(a: Float64Array, b: Float64Array): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(squares);
}

/** Keys with a smaller distance than this count as the same key. */
export const SAME = 1e-4;

/**
 * What happens to a near key of the same target whose radius is too small: nothing (a new entry is added), a larger radius, or a move
 * halfway to the new key.
 */
export const EXPANSIONS = ["beside", "coverage", "moving_average"] as const;

/**
 * The book after a new entry. The entry is added if no key is near. A near key of another target gets a smaller radius. A near key of the
 * same target is used for the new entry.
 */
export function place(
  book: readonly Entry[],
  fresh: Entry,
  expand: string,
  byMeans = false,
): { readonly book: readonly Entry[]; readonly rule: Rule; readonly distance?: number } {
  const near = nearestOf(book, fresh.key);
  if (!near) return { book: [fresh], rule: "init" };
  const { index, distance } = near;
  const old = book[index]!;
  const put = (entry: Entry): Entry[] => book.map((e, i) => (i === index ? entry : e));
  if (distance > fresh.radius + old.radius) return { book: [...book, fresh], rule: "new", distance };
  const isSame = byMeans ? meanOf(book[book.length - 1 - index]!) === meanOf(fresh) : old.target.join() === fresh.target.join();
  if (!isSame && !byMeans && distance < SAME)
    return { book: put({ ...fresh, key: old.key, radius: old.radius }), rule: "retake", distance };
  if (!isSame) {
    const half = (own: number, way: number): number => (expand === "beside" ? Math.min(own, way) : way); // the published code can enlarge the smaller radius
    const [kept, added] = [half(old.radius, distance / 2 - 1e-5), half(fresh.radius, distance / 2)];
    return { book: [...put({ ...old, radius: kept }), { ...fresh, radius: added }], rule: "split", distance };
  }
  if (distance <= old.radius) return { book, rule: "keep", distance };
  if (expand === "beside") return { book: [...book, fresh], rule: "new", distance };
  const key = expand === "coverage" ? old.key : old.key.map((k, i) => (k + fresh.key[i]!) / 2);
  return { book: put({ ...old, key, radius: distance }), rule: "expand", distance };
}

/** The mean by which the published code compares targets: over −100 for every prompt token, and the target's ids. */
const meanOf = ({ target, prompt }: Entry): number =>
  Math.fround((target.reduce((a, b) => a + b, 0) - 100 * prompt) / (target.length + prompt));

/** A book as a change of the model. `last` is the index of the last token of the question that was edited last. */
export function adapterOf(
  model: Model,
  book: readonly Entry[],
  { params, compat, dtype, last }: { params: BookParams; compat: ReadonlySet<string>; dtype: Precision; last: number },
): Change {
  return {
    kind: "adapter",
    ...lookup(model, params, dtype, compat),
    state: {
      keys: stacked(
        book.map((e) => e.key),
        dtype,
      ),
      values: stacked(
        book.map((e) => e.value),
        dtype,
      ),
      radii: floats(
        book.map((e) => e.radius),
        [book.length],
        "float64",
      ),
      ...(compat.has("stale-index") && { at: floats([last], [1], dtype) }),
    },
  };
}

/**
 * The lookup as a graph. It finds the key nearest to the activation at the question's last token. If it is near enough, its value replaces
 * the layer's output.
 */
function lookup(model: Model, params: BookParams, dtype: Precision, compat: ReadonlySet<string>) {
  const { key, value } = model.arch.memory;
  const [m, D] = [model.config.mlpWidth, model.config.width];
  const [reads, writes] = [[siteName(params.layer, key), siteName(params.layer, value)], siteName(params.layer, value)] as const;
  const graph: Graph = trace((t) => {
    const [x, y] = [t.input("reads.0", dtype, ["B", "T", m]), t.input("reads.1", dtype, ["B", "T", D])];
    const prompt = t.input("prompt", "bool", ["B", "T"]).cast(dtype);
    const last = compat.has("stale-index")
      ? staleOf(t.input("positions", "int64", ["B", "T"]).cast(dtype), t.input("state.at", dtype, [1]), prompt)
      : lastOf(prompt); // [B, T]
    const keys = t.input("state.keys", dtype, ["N", m]).cast("float64");
    const query = last.reshape(["B", 1, "T"]).matmul(x).reshape(["B", m]).cast("float64");
    const squares = query
      .square()
      .sum(-1, true)
      .add(keys.square().sum(-1).reshape([1, "N"]))
      .sub(query.matmul(keys, { transB: true }).mul(2)); // [B, N]
    const nearest = squares.neg().argmax();
    const distance = squares.pick(nearest).maximum(0).sqrt();
    const isAsked = t.constant(0, dtype).less(last.sum(-1)); // [B]
    const isHit = distance.lessOrEqual(t.input("state.radii", "float64", ["N"]).rows(nearest)).and(isAsked);
    const found = t.input("state.values", dtype, ["N", D]).rows(nearest); // [B, D]
    if (params.replace === "replace_all") return everywhere(y, isHit, isAsked, found, t.input("carry", dtype, ["B", D + 1]));
    const at = params.replace === "replace_last" ? last : prompt.sub(last);
    const here = t.constant(0, dtype).less(at.mul(isHit.cast(dtype).unsqueeze(1))); // [B, T]
    return { write: here.unsqueeze(2).where(found.unsqueeze(1), y) };
  });
  const route: Route = compat.has("every-call") ? "every-call" : "prefill";
  return { reads, writes, graph, route };
}

/** Puts the value at every token, and at later tokens: the value is carried to later calls, with a mark that one was found. */
function everywhere(y: Tensor, isHit: Tensor, isAsked: Tensor, found: Tensor, carry: Tensor): { write: Tensor; carry: Tensor } {
  const dtype = y.dtype;
  const now = isHit.cast(dtype).unsqueeze(1).concat([found], 1); // [B, 1 + D]
  const kept = isAsked.unsqueeze(1).where(now, carry);
  const mark = y.trace.constant(0, dtype).less(kept.slice(1, 0, 1)); // [B, 1]
  const value = kept.slice(1, 1, kept.dim(1));
  return { write: mark.unsqueeze(2).where(value.unsqueeze(1), y), carry: kept };
}

/** One at the last position of each row's prompt [B, T]. */
const lastOf = (prompt: Tensor): Tensor =>
  prompt.mul(
    prompt
      .slice(1, 1, "T")
      .concat([prompt.trace.zeros(["B", 1], prompt.dtype)], 1)
      .neg()
      .add(1),
  );

/** One at position `at`, or at the row's last position if the row is shorter. */
function staleOf(positions: Tensor, at: Tensor, prompt: Tensor): Tensor {
  const end = positions.mul(prompt).max(-1, true); // [B, 1]
  const place = end.neg().maximum(at.neg()).neg();
  return positions.equal(place).cast(prompt.dtype).mul(prompt);
}

/** The book of the previous edit; empty if there is none. */
export function bookOf(previous: Carried | undefined): Entry[] {
  if (!previous?.adapter) return [];
  const { keys, values, radii } = previous.adapter.state as Record<string, NdArray>;
  const { targets, prompts } = previous.memory as Record<string, NdArray>;
  return Array.from(radii!.data as Float64Array, (radius, i) => ({
    radius,
    key: rowOf(keys!, i),
    value: rowOf(values!, i),
    target: idsIn(targets!, i),
    prompt: Number(prompts!.data[i]),
  }));
}

/** What later edits compare with: every key's target, padded with −1, and the length of its prompt. */
export function labelsOf(book: readonly Entry[]): Record<string, NdArray> {
  return {
    targets: idsOf(book.map((e) => e.target)),
    prompts: ints(
      book.map((e) => e.prompt),
      [book.length],
    ),
  };
}

/** Lists of token ids as rows [N, W], padded with −1 to the longest. */
export function idsOf(lists: readonly (readonly number[])[]): NdArray {
  const width = Math.max(...lists.map((ids) => ids.length));
  return ints(
    lists.flatMap((ids) => Array.from({ length: width }, (_, i) => ids[i] ?? -1)),
    [lists.length, width],
  );
}

/** The token ids of row `i`, without the padding. */
export function idsIn({ data, shape }: NdArray, i: number): number[] {
  const width = shape[1]!;
  return Array.from((data as BigInt64Array).subarray(i * width, (i + 1) * width), Number).filter((id) => id >= 0);
}

/** Rows of one width as a matrix [N, width]; there must be one at least. */
export function stacked(rows: readonly Float64Array[], dtype: Precision): NdArray {
  const width = rows[0]!.length;
  const out = new Float64Array(rows.length * width);
  rows.forEach((row, i) => out.set(row, i * width));
  return floats(out, [rows.length, width], dtype);
}
