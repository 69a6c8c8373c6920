/** GRACE: a codebook at one MLP: a question whose key is near to one that was taught is answered from the value stored with it. */
import { asFloats, floats, ints, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import type { EditRequest } from "../data/request.ts";
import type { Change, Edit } from "../edit/edit.ts";
import { activations, norm, rowOf } from "../locate/keys.ts";
import { answerAs, type EditRow, rowsOf } from "../locate/rows.ts";
import { scopeOf } from "../locate/scope.ts";
import { findValues, type Value } from "../locate/values.ts";
import type { Route } from "../model/adapter.ts";
import type { Model, Precision } from "../model/model.ts";
import { checkLayer, siteName } from "../model/names.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { defineMethod, type Job } from "./method.ts";

export interface GraceParams {
  layer: number;
  steps: number;
  lr: number;
  enough: number;
  radius: number;
  quantile: number;
  reach: number;
  others: number;
  init: string;
  replace: string;
  expand: string;
}

/** Where the value stands in a row: at the question's last token, at every token, or at those before its last. */
const PUTS = { replace_last: "subject", replace_all: "all", replace_prompt: "before" } as const;
type Replace = keyof typeof PUTS;

export const grace = defineMethod<GraceParams>({
  name: "grace",
  title: "GRACE",
  paper: "arXiv:2211.11031",
  doc: "Keeps the weights; a codebook answers questions whose key lies within the radius of one that was taught.",
  takes: "one",
  needs: ["target"],
  params: {
    layer: {
      default: (c) => Math.round(c.layers * 0.8),
      doc: "block whose MLP output is looked up",
      source: "docs/methods/grace.md (EasyEdit: 0.84 of the depth)",
      min: 0,
    },
    steps: { default: 50, doc: "updates of the value at most", source: "EasyEdit hparams/GRACE/llama-7b.yaml n_iter", min: 1 },
    lr: { default: 1, doc: "step size of Adam on the value", source: "EasyEdit hparams/GRACE/llama-7b.yaml edit_lr" },
    enough: { default: 0.05, doc: "stop when the target's least likely token is below this (nats)", source: "docs/methods/grace.md" },
    radius: { default: 0, doc: "radius of a new key (EasyEdit: 1); 0: measured", source: "docs/methods/grace.md", min: 0 },
    quantile: {
      default: 0,
      doc: "measured radius: this quantile of the distances to the question behind context templates; 0: from reach",
      source: "docs/methods/grace.md",
      min: 0,
      max: 1,
    },
    reach: {
      default: 0.8,
      doc: "measured radius: at most this share of the distance to the nearest other question",
      source: "docs/methods/grace.md",
      min: 0,
      max: 1,
    },
    others: {
      default: 64,
      doc: "other questions of the model's own for a measured radius, and as many with stand-ins for the subject",
      source: "docs/methods/grace.md",
      min: 1,
    },
    init: {
      default: "warm",
      choices: ["cold", "warm"],
      doc: "a new value begins as uniform noise or as what the layer gives",
      source: "docs/methods/grace.md",
    },
    replace: {
      default: "replace_last",
      choices: Object.keys(PUTS),
      doc: "tokens that get the value: the question's last, all, or those before its last",
      source: "EasyEdit hparams/GRACE/llama-7b.yaml replacement",
    },
    expand: {
      default: "coverage",
      choices: ["coverage", "moving_average"],
      doc: "a key of the same target that is near: its radius grows, or it moves halfway",
      source: "EasyEdit hparams/GRACE/llama-7b.yaml eps_expand",
    },
  },
  hparams: {
    inner_params: "layer",
    edit_lr: "lr",
    n_iter: "steps",
    eps: "radius",
    val_init: "init",
    replacement: "replace",
    eps_expand: "expand",
  },
  compat: {
    "label-means": "take two targets for one when the means of their label tensors are equal, and compare a key with the label of another",
    "every-call": "look the last token of every call up, so that a cached answer is looked up again at each of its tokens",
    "stale-index": "look up the token at the place where the last edited question ended",
    "no-stop": "train the value for all steps",
    "open-end": "do not teach the answer to end",
  },
  edit: async (job) => {
    const { model, requests, params, compat, previous, running } = job;
    const request = requests[0] ?? fail("grace", "no request", "one request", "");
    checkLayer("grace", params.layer, model.config.layers);
    const [row] = rowsOf(model, withoutSubject(request), ["{}"], answerAs(job));
    const measured = params.radius > 0 ? { radius: params.radius } : await measuredRadius(job, row!);
    const random = rng(job.seed).split(`grace ${request.id}`);
    const draw = (n: number): Float64Array => Float64Array.from({ length: n }, () => random.uniform());
    const taught = await teach(model, bookOf(previous), row!, { ...job, radius: measured.radius, draw });
    const { book, value } = taught;
    return {
      change: adapterOf(model, book, { params, compat, dtype: running.dtype, last: row!.subject }),
      memory: labelsOf(book),
      evidence: {
        layer: params.layer,
        rule: taught.rule,
        keys: book.length,
        distance: taught.distance ?? null,
        ...measured,
        evaluations: value?.evaluations.length ?? 0,
        loss: value?.evaluations.at(-1)!.total ?? null,
      },
    };
  },
});

const withoutSubject = ({ prompt, target }: EditRequest) => ({ prompt, target });

/** An entry of the codebook: key [m], value [D], radius, and the label it was taught: the target's ids behind so many prompt tokens. */
export interface Entry {
  readonly key: Float64Array;
  readonly value: Float64Array;
  readonly radius: number;
  readonly target: readonly number[];
  readonly prompt: number;
}

export type Rule = "init" | "new" | "split" | "expand" | "keep" | "retake";

/** What {@link teach} is given beyond the row. */
export interface Teaching extends Pick<Job<GraceParams>, "params" | "compat" | "running" | "ctx"> {
  readonly radius: number;
  /** Draws a value to begin with. */
  readonly draw: (size: number) => Float64Array;
}

/** A book taught one row more: which rule it fell under, what was looked up, and the search of its value (none where no key answers). */
export interface Taught {
  readonly book: readonly Entry[];
  readonly rule: Rule;
  readonly query: Float64Array;
  /** To the nearest key before. */
  readonly distance?: number;
  readonly index: number;
  readonly value?: Value;
}

/** Places a row's key in the book and trains the value that answers it (GRACE, algorithm 1). */
export async function teach(model: Model, before: readonly Entry[], row: EditRow, job: Teaching): Promise<Taught> {
  const { params, compat, running, ctx } = job;
  const { key: keySite, value: valueSite } = model.arch.memory;
  const names = [siteName(params.layer, keySite), siteName(params.layer, valueSite)] as const;
  const seen = await activations(model, [{ ids: row.ids, at: [row.subject] }], names, running);
  const [query, output] = [rowOf(seen[names[0]]!, 0), rowOf(seen[names[1]]!, 0)];
  const fresh: Entry = {
    key: query,
    value: params.init === "cold" ? job.draw(output.length) : output,
    radius: job.radius,
    target: row.ids.slice(row.first),
    prompt: row.first,
  };
  const placed = place(before, fresh, params.expand, compat.has("label-means"));
  const near = nearestOf(placed.book, query)!;
  const at = { ...placed, query, index: near.index };
  if (near.distance > placed.book[near.index]!.radius) return at; // no key answers: nothing to train
  const start = placed.book[near.index]!.value.map((v, i) => v - output[i]!);
  const [value] = await findValues(model, [{ rows: [row], start }], {
    ...running,
    layer: params.layer,
    site: valueSite,
    puts: PUTS[params.replace as Replace],
    steps: params.steps + 1,
    lr: params.lr,
    decay: 0,
    clamp: Infinity,
    kl: 0,
    done: compat.has("no-stop") ? () => false : (e) => e.worst < params.enough,
    ctx,
  });
  const trained = value!.h0.map((h, i) => h + value!.shift[i]!);
  return { ...at, value: value!, book: placed.book.map((entry, i) => (i === near.index ? { ...entry, value: trained } : entry)) };
}

/** The nearest key by Euclidean distance; undefined where there is none. */
function nearestOf(book: readonly Entry[], query: Float64Array): { index: number; distance: number } | undefined {
  const distances = book.map(({ key }) => norm(key.map((k, i) => k - query[i]!)));
  const index = distances.indexOf(Math.min(...distances));
  return index < 0 ? undefined : { index, distance: distances[index]! };
}

/** Keys nearer than this are one. */
const SAME = 1e-4;

/** A book with room for a new entry: added where no key is near, split from one of another target, or one of the same target serves it. */
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
  if (!isSame)
    return { book: [...put({ ...old, radius: distance / 2 - 1e-5 }), { ...fresh, radius: distance / 2 }], rule: "split", distance };
  if (distance <= old.radius) return { book, rule: "keep", distance };
  const key = expand === "coverage" ? old.key : old.key.map((k, i) => (k + fresh.key[i]!) / 2);
  return { book: put({ ...old, key, radius: distance }), rule: "expand", distance };
}

/** The mean that the reference compares: of −100 at every prompt token and the target's ids. */
const meanOf = ({ target, prompt }: Entry): number =>
  Math.fround((target.reduce((a, b) => a + b, 0) - 100 * prompt) / (target.length + prompt));

/** A radius that keeps out other questions, or that takes in the question in company. */
async function measuredRadius(job: Job<GraceParams>, row: EditRow): Promise<{ radius: number; [measured: string]: unknown }> {
  const { model, params, requests, running } = job;
  const site = siteName(params.layer, model.arch.memory.key);
  const scope = await scopeOf({ ...job, ask: answerAs(job) }, requests[0]!, params.others);
  const ends = [row.ids.slice(0, row.first), ...scope.inside, ...scope.outside].map((ids) => ({ ids, at: [ids.length - 1] }));
  const seen = (await activations(model, ends, [site], running))[site]!;
  const own = rowOf(seen, 0);
  const distances = ends.slice(1).map((_, i) => norm(rowOf(seen, i + 1).map((k, j) => k - own[j]!)));
  const ascending = (xs: readonly number[]): number[] => [...xs].sort((a, b) => a - b);
  const inside = ascending(distances.slice(0, scope.inside.length));
  const outside = ascending(distances.slice(scope.inside.length).filter((d) => d > SAME));
  const nearest = outside[0] ?? fail("grace", "no other question to measure the radius by", "at least one", "Give --set radius=N.");
  const wanted = params.quantile > 0 && inside.length > 0 ? quantile(inside, params.quantile) : Infinity;
  const quartiles = (xs: readonly number[]): number[] => (xs.length > 0 ? [0, 0.25, 0.5, 0.75, 1].map((q) => quantile(xs, q)) : []);
  return { radius: Math.min(wanted, params.reach * nearest), inside: quartiles(inside), outside: quartiles(outside) };
}

/** A quantile of ascending numbers: the first that so large a share is not above. */
const quantile = (xs: readonly number[], q: number): number => xs[Math.max(0, Math.ceil(q * xs.length) - 1)]!;

/** A book as what it does to a model; `last`: where the last edited question ended. */
export function adapterOf(
  model: Model,
  book: readonly Entry[],
  { params, compat, dtype, last }: { params: GraceParams; compat: ReadonlySet<string>; dtype: Precision; last: number },
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

/** The lookup as a graph: nearest key to what the question's last token brings, and its value in the place of the layer's where it is near enough. */
function lookup(model: Model, params: GraceParams, dtype: Precision, compat: ReadonlySet<string>) {
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

/** The value at every token, and at those to come: what was found is carried on with a mark beside it. */
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

/** One where the position is `at`, or the row's last where it is shorter. */
function staleOf(positions: Tensor, at: Tensor, prompt: Tensor): Tensor {
  const end = positions.mul(prompt).max(-1, true); // [B, 1]
  const place = end.neg().maximum(at.neg()).neg();
  return positions.equal(place).cast(prompt.dtype).mul(prompt);
}

/** The book of an edit to go on from. */
function bookOf(previous: Edit | undefined): Entry[] {
  if (previous?.change.kind !== "adapter") return [];
  const { keys, values, radii } = previous.change.state as Record<string, NdArray>;
  const { targets, prompts } = previous.memory as Record<string, NdArray>;
  const width = targets!.shape[1]!;
  return Array.from(radii!.data as Float64Array, (radius, i) => ({
    radius,
    key: rowOf(asFloats(keys!, "float64"), i),
    value: rowOf(asFloats(values!, "float64"), i),
    target: Array.from((targets!.data as BigInt64Array).subarray(i * width, (i + 1) * width), Number).filter((id) => id >= 0),
    prompt: Number(prompts!.data[i]),
  }));
}

/** What later edits compare: every key's target, filled up with −1, and the length of its prompt. */
function labelsOf(book: readonly Entry[]): Record<string, NdArray> {
  const width = Math.max(...book.map((e) => e.target.length));
  return {
    targets: ints(
      book.flatMap((e) => Array.from({ length: width }, (_, i) => e.target[i] ?? -1)),
      [book.length, width],
    ),
    prompts: ints(
      book.map((e) => e.prompt),
      [book.length],
    ),
  };
}

const stacked = (rows: readonly Float64Array[], dtype: Precision): NdArray =>
  floats(
    rows.flatMap((row) => [...row]),
    [rows.length, rows[0]!.length],
    dtype,
  );
