/** WISE: a side memory beside one MLP's matrix, trained apart, and a router that decides by the question whether it answers. */
import { asFloats, floats, ints, type NdArray, packBits, unpackBits } from "../base/array.ts";
import { checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type Rng, rng } from "../base/rng.ts";
import type { EditRequest } from "../data/request.ts";
import type { Change, Edit } from "../edit/edit.ts";
import { type Blend, blend, BLENDS, type Numbers } from "../locate/blend.ts";
import { contextTemplates } from "../locate/contexts.ts";
import { answerAs, rowsOf } from "../locate/rows.ts";
import { scopeOf } from "../locate/scope.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../model/model.ts";
import { checkLayer, siteName } from "../model/names.ts";
import { labelFeeds, padded } from "../model/rows.ts";
import { stepping } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { defineMethod, type Job } from "./method.ts";

export interface WiseParams {
  layer: number;
  retrieve: boolean;
  steps: number;
  lr: number;
  limit: number;
  mask: number;
  margins: readonly number[];
  ratio: number;
  bareShare: number;
  tokens: number;
  locality: number;
  shard: number;
  period: number;
  blend: string;
  density: number;
  weight: number;
}

export const wise = defineMethod<WiseParams>({
  name: "wise",
  title: "WISE",
  paper: "arXiv:2405.14768",
  doc: "Keeps the weights; a side memory of one matrix answers the questions that move it far enough.",
  takes: "one",
  needs: ["target"],
  params: {
    layer: {
      default: (c) => Math.round(c.layers * 0.75),
      doc: "block whose MLP output matrix has the side memory",
      source: "docs/methods/wise.md (EasyEdit: 0.84 of the depth)",
      min: 0,
    },
    retrieve: {
      default: true,
      doc: "finished shards are kept apart and chosen among; false: merged into one",
      source: "EasyEdit hparams/WISE/llama-7b.yaml retrieve",
    },
    steps: {
      default: 70,
      doc: "loss evaluations at most (updates: one fewer)",
      source: "EasyEdit hparams/WISE/llama-7b.yaml n_iter",
      min: 1,
    },
    lr: { default: 1, doc: "step size of gradient descent", source: "EasyEdit hparams/WISE/llama-7b.yaml edit_lr" },
    limit: { default: 1, doc: "each entry changes by this at most", source: "EasyEdit hparams/WISE/llama-7b.yaml norm_constraint", min: 0 },
    mask: {
      default: 0.2,
      doc: "share of the entries that a shard trains",
      source: "EasyEdit hparams/WISE/llama-7b.yaml mask_ratio",
      min: 0,
      max: 1,
    },
    margins: {
      default: [5, 20, 10],
      doc: "others are moved by less than the first, the question by more than the second, and by the third more than others",
      source: "EasyEdit hparams/WISE/llama-7b.yaml act_margin",
    },
    ratio: {
      default: 0.88,
      doc: "share of an edited question's movement from which the memory may answer",
      source: "EasyEdit hparams/WISE/llama-7b.yaml act_ratio",
      min: 0,
    },
    bareShare: { default: 0.5, doc: "share of the bare question in the likelihood term", source: "docs/methods/wise.md", min: 0, max: 1 },
    tokens: {
      default: 1,
      doc: "how many of a question's last tokens are counted for its movement; 0: all of them (EasyEdit)",
      source: "docs/methods/wise.md",
      min: 0,
    },
    locality: { default: 8, doc: "other questions that shall not be moved", source: "docs/methods/wise.md (EasyEdit: 1)", min: 1 },
    shard: { default: 500, doc: "edits a shard", source: "EasyEdit hparams/WISE/llama-7b.yaml save_freq", min: 1 },
    period: { default: 1000, doc: "edits after which shards are merged", source: "EasyEdit hparams/WISE/llama-7b.yaml merge_freq", min: 1 },
    blend: { default: "ties", choices: BLENDS, doc: "how shards are merged", source: "EasyEdit hparams/WISE/llama-7b.yaml merge_alg" },
    density: {
      default: 0.53,
      doc: "share of the entries that a shard keeps when merged (ties, dare)",
      source: "EasyEdit hparams/WISE/llama-7b.yaml densities",
      min: 0,
      max: 1,
    },
    weight: { default: 1, doc: "sum of the shards' weights in a merge", source: "EasyEdit hparams/WISE/llama-7b.yaml weights", min: 0 },
  },
  hparams: {
    inner_params: "layer",
    retrieve: "retrieve",
    n_iter: "steps",
    edit_lr: "lr",
    norm_constraint: "limit",
    mask_ratio: "mask",
    act_margin: "margins",
    act_ratio: "ratio",
    save_freq: "shard",
    merge_freq: "period",
    merge_alg: "blend",
    densities: "density",
    weights: "weight",
  },
  compat: {
    "even-rows": "weigh the bare question like every other template",
    "decay-all": "let every entry of the memory decay, trained or not",
    "ratio-threshold": "take the threshold from the mean movement of the edited question's rows alone",
    "output-activation": "measure movement behind the MLP's activation function",
    "loss-denominator": "divide a row's likelihood by one label too many",
    "last-update": "update once more after the last evaluation",
    "every-call": "route each call by all of its tokens, and so each token of a cached answer by itself",
    "long-max": "in a call of more than 100 tokens, take the largest movement in place of the mean",
    "batch-route": "decide once for a whole batch",
    "best-rejected": "a shard must move the question further than the newest memory, even where that was rejected",
    "pending-shards": "leave what is not due to be merged beside what is merged",
    "open-end": "do not teach the answer to end",
  },
  edit: async (job) => {
    const { model, requests, params, compat, previous, seed, running } = job;
    const request = requests[0] ?? fail("wise", "no request", "one request", "");
    checkLayer("wise", params.layer, model.config.layers);
    if (params.margins.length !== 3)
      fail("wise", `margins of ${params.margins.length} numbers`, "three", "For example --set margins=5,20,10.");
    if (params.period % params.shard !== 0)
      fail("wise", `period ${params.period} with shards of ${params.shard}`, "a multiple of the shard", "Give --set period=N.");
    const before = memoryOf(model, previous, params.layer);
    const random = rng(seed).split("wise");
    const mask = before.count % params.shard === 0 ? drawMask(model, params.mask, random.split(before.count)) : before.mask!;
    const rows = await rowsFor(job, request);
    const trained = await train(model, rows, before.side, mask, job);
    const after = settled(before, { ...trained, mask }, params, random);
    return {
      change: adapterOf(model, candidatesOf(after, params, compat, random), { params, compat, dtype: running.dtype }),
      memory: remembered(after, params, compat, running.dtype),
      evidence: {
        layer: params.layer,
        edits: after.count,
        evaluations: trained.evaluations.length,
        loss: trained.evaluations.at(-1)!.likelihood,
        margin: trained.evaluations.at(-1)!.margin,
        inside: trained.inside,
        outside: trained.outside,
      },
    };
  },
});

/** Rows to train on: `ids` with labels from `first`, and which places of each row count for how far it is moved. */
export interface SideRow {
  readonly ids: readonly number[];
  /** Places whose tokens are labels; none for a question that shall not be moved. */
  readonly labels: readonly number[];
  /** Places over whose mean the movement is taken. */
  readonly counted: readonly number[];
}

/** What is trained at once: the edited question's rows, and those that shall stay; `paired`: the n-th is compared with the n-th alone. */
export interface SideRows {
  readonly inside: readonly SideRow[];
  readonly outside: readonly SideRow[];
  readonly paired?: boolean;
  /** Each inside row's share of the likelihood term; by default alike. */
  readonly shares?: readonly number[];
  /** Pads count as tokens that see nothing, in every mean. */
  readonly withPads?: boolean;
}

async function rowsFor(job: Job<WiseParams>, request: EditRequest): Promise<SideRows> {
  const { model, compat, seed, ctx, params } = job;
  const ask = answerAs(job);
  const templates =
    job.templates ??
    (await contextTemplates(
      model,
      [
        [5, 5],
        [10, 5],
      ],
      seed,
      ctx,
    ));
  const upTo = (n: number): number[] => [...new Array(n).keys()];
  const lastOf = (n: number): number[] => upTo(n).slice(-params.tokens); // all of them where that is 0
  const inside = rowsOf(model, { prompt: request.prompt, target: request.target }, templates, ask).map(({ ids, first }) => ({
    ids,
    labels: upTo(ids.length).slice(first),
    counted: lastOf(first),
  }));
  const { outside } = await scopeOf({ ...job, ask }, request, 4 * params.locality);
  const chosen = rng(seed).split(`wise ${request.id}`).shuffled(outside).slice(0, params.locality);
  const rest = (1 - params.bareShare) / (inside.length - 1);
  const shares = inside.map((_, i) => (i === 0 ? params.bareShare : rest));
  const isEven = compat.has("even-rows") || inside.length === 1;
  return { inside, ...(!isEven && { shares }), outside: chosen.map((ids) => ({ ids, labels: [], counted: lastOf(ids.length) })) };
}

export interface SideEvaluation {
  readonly likelihood: number;
  readonly margin: number;
  readonly inside: readonly number[];
  readonly outside: readonly number[];
}

export interface Trained {
  readonly side: Numbers;
  readonly evaluations: readonly SideEvaluation[];
  /** ‖side‖ after each update. */
  readonly norms: readonly number[];
  /** Least movement of the edited question's rows (the mean, when the threshold rests on them alone), and the largest of the others, at the end. */
  readonly inside: number;
  readonly outside: number;
}

/** What {@link train} reads of a job. */
export type TrainOn = Pick<Job<WiseParams>, "params" | "compat" | "running" | "ctx">;

/** Gradient descent on the side memory's difference [D, m] from its matrix, within its mask [D·m] (WISE, eq. 6 to 8). */
export async function train(model: Model, rows: SideRows, before: Numbers, mask: Uint8Array, on: TrainOn): Promise<Trained> {
  const { params, compat, running, ctx } = on;
  const { dtype } = running;
  const [m, D] = [model.config.mlpWidth, model.config.width];
  const fixed = compat.has("decay-all")
    ? Float64Array.from(asFloats(matrixOf(model, params.layer), "float64").data as Float64Array)
    : undefined;
  const step = await stepping(model.sessions, sideGraph(model, rows, on), ["side"], feedsOf(model, sideFeeds(model, rows, dtype, compat)), {
    executor: running.executor,
    grad: { of: "loss", wrt: ["side"] },
    spin: true,
  });
  const side = dtype === "float64" ? Float64Array.from(before) : Float32Array.from(before);
  const evaluations: SideEvaluation[] = [];
  const norms: number[] = [];
  for (let it = 0; it < params.steps; it++) {
    checkAbort(ctx, "wise");
    const out = await step(new Map([["side", floats(side, [D, m], dtype)]]));
    const list = (name: string): number[] => Array.from(out[name]!.data as Float64Array, Number);
    const at = { likelihood: list("likelihood")[0]!, margin: list("margin")[0]!, inside: list("inside"), outside: list("outside") };
    if (!Number.isFinite(at.likelihood + at.margin))
      fail(
        "wise",
        `the loss is ${at.likelihood + at.margin} at evaluation ${it + 1}`,
        "a finite loss",
        "Try a smaller lr or limit.",
        "execution",
      );
    evaluations.push(at);
    ctx.log({
      kind: "progress",
      stage: "values",
      done: it + 1,
      total: params.steps,
      detail: `likelihood ${at.likelihood.toFixed(3)}, margin ${at.margin.toFixed(2)}`,
    });
    const last = at.likelihood + at.margin;
    const past = evaluations.at(-2);
    if (past && Math.abs(past.likelihood + past.margin - last) <= 1e-4 && last <= 0.02) break;
    if (it === params.steps - 1 && !compat.has("last-update")) break;
    const gradient = out["grad:side"]!.data as Numbers;
    for (let i = 0; i < side.length; i++) {
      const decayed = fixed ? params.lr * 1e-5 * (fixed[i]! + side[i]!) : 0;
      if (mask[i] || fixed)
        side[i] = Math.min(params.limit, Math.max(-params.limit, side[i]! - (mask[i] ? params.lr * gradient[i]! : 0) - decayed));
    }
    norms.push(sizeOf(side));
  }
  const end = evaluations.at(-1)!;
  const inside = compat.has("ratio-threshold") ? mean(end.inside) : Math.min(...end.inside);
  return { side, evaluations, norms, inside, outside: Math.max(...end.outside) };
}

function sizeOf(side: Numbers): number {
  let squares = 0;
  for (const x of side) squares += x * x;
  return Math.sqrt(squares);
}

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const matrixOf = (model: Model, layer: number): NdArray => model.weights.get(model.arch.memory.weight.replace("{i}", String(layer)))!;

/** side [D, m] → the loss: likelihood of the labels, and how far rows are moved against the margins. */
function sideGraph(model: Model, rows: SideRows, { params, compat, running }: TrainOn): Graph {
  const { dtype } = running;
  const { key, value } = model.arch.memory;
  const [m, D, L] = [model.config.mlpWidth, model.config.width, model.config.layers];
  const [R, O] = [rows.inside.length, rows.outside.length];
  const [alpha, beta, gamma] = params.margins as [number, number, number];
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const side = t.input("side", dtype, [D, m]);
    const real = t.input("real", "bool", ["B", "T"]);
    const seen: { x?: Tensor; moved?: Tensor } = {};
    // a pad that sees nothing: attention gives it zero
    const blind = (h: Tensor): Tensor => real.unsqueeze(2).where(h, t.zeros(h.shape, dtype));
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real,
      taps: {
        ...(rows.withPads && Object.fromEntries(Array.from({ length: L }, (_, i) => [siteName(i, "attn_out"), blind]))),
        [siteName(params.layer, key)]: (x: Tensor) => (seen.x = x),
        [siteName(params.layer, value)]: (y: Tensor) => {
          const added = seen.x!.matmul(side, { transB: true });
          seen.moved = movement(y, added, compat);
          return y.add(added);
        },
      },
    });
    const { picked } = lm.normed(hidden, t.input("rows", "int64", ["M"])).labelLogProbs(lm.head(), t.input("labels", "int64", ["M"]));
    const likelihood = picked
      .mul(t.input("weights", dtype, ["M"]))
      .sum()
      .neg();
    const means = (name: string, n: number): Tensor => {
      const counted = t.input(name, dtype, [n, "B*T"]); // each row's places, as shares
      return counted.matmul(seen.moved!.reshape(["B*T", 1])).reshape([n]);
    };
    const [inside, outside] = [means("counted.inside", R), means("counted.outside", O)];
    const apart = rows.paired ? outside.sub(inside) : outside.reshape([O, 1]).sub(inside.reshape([1, R]));
    const margin = meanOver(apart.add(gamma))
      .add(meanOver(outside.sub(alpha)))
      .add(meanOver(inside.neg().add(beta)));
    return { loss: likelihood.add(margin), likelihood, margin, inside, outside };
  });
}

/** How far each token is moved: ‖added‖, or behind the activation function ‖φ(y + added) − φ(y)‖; its slope at zero is zero. [B, T] */
function movement(y: Tensor, added: Tensor, compat: ReadonlySet<string>): Tensor {
  const moved = compat.has("output-activation") ? y.add(added).silu().sub(y.silu()) : added;
  const squares = moved.square().sum(-1);
  const isMoved = squares.trace.constant(0, squares.dtype).less(squares).cast(squares.dtype);
  return squares.add(isMoved.neg().add(1)).sqrt().mul(isMoved);
}

/** The mean of what is above zero; 0 where nothing is. */
function meanOver(x: Tensor): Tensor {
  const count = x.trace.constant(0, x.dtype).less(x).cast(x.dtype).sum().maximum(1);
  return x.relu().sum().div(count);
}

function sideFeeds(model: Model, rows: SideRows, dtype: Precision, compat: ReadonlySet<string>): Record<string, NdArray> {
  const all = [...rows.inside, ...(rows.paired ? [] : rows.outside)];
  const batch = padded(
    all.map((r) => r.ids),
    model.tokenizer.pad,
    "left",
  );
  const [B, T] = batch.tokens.shape as [number, number];
  const startOf = (b: number): number => b * T + T - all[b]!.ids.length;
  const places = rows.inside.flatMap(({ ids, labels }, b) =>
    labels.map((i) => ({
      at: startOf(b) + i - 1,
      label: ids[i]!,
      weight: (rows.shares?.[b] ?? 1 / rows.inside.length) / (labels.length + Number(compat.has("loss-denominator"))),
    })),
  );
  const shares = (part: readonly SideRow[], from: number): NdArray => {
    const out = new Float64Array(part.length * B * T);
    part.forEach(({ counted }, r) => {
      const b = from + r;
      const at = rows.withPads && !rows.paired ? Array.from({ length: T }, (_, i) => b * T + i) : counted.map((i) => startOf(b) + i);
      for (const i of at) out[r * B * T + i] = 1 / at.length;
    });
    return floats(out, [part.length, B * T], dtype);
  };
  return {
    ...batch,
    ...labelFeeds(places, dtype),
    "counted.inside": shares(rows.inside, 0),
    "counted.outside": shares(rows.outside, rows.paired ? 0 : rows.inside.length),
  };
}

/** What a memory may answer from: its difference [D, m], and the movement from which it does. */
export interface Candidate {
  readonly name: string;
  readonly delta: Numbers;
  readonly threshold: number;
}

interface Moves {
  readonly inside: number;
  readonly outside: number;
}

/** Everything that a later edit goes on from. */
interface Memory {
  readonly side: Numbers;
  readonly mask?: Uint8Array;
  readonly count: number;
  /** The least movement of an edited question and the largest of another, of the shard in the making. */
  readonly moves: Moves;
  readonly shards: readonly { readonly delta: Numbers; readonly moves: Moves }[];
  readonly merged?: { readonly delta: Numbers; readonly moves: Moves };
}

const NONE: Moves = { inside: Infinity, outside: 0 };
const both = (a: Moves, b: Moves): Moves => ({ inside: Math.min(a.inside, b.inside), outside: Math.max(a.outside, b.outside) });

function drawMask(model: Model, share: number, random: Rng): Uint8Array {
  return Uint8Array.from({ length: model.config.mlpWidth * model.config.width }, () => Number(random.uniform() < share));
}

/** A memory after one edit more: a full shard is put away, and shards are merged when they are due. */
function settled(before: Memory, made: Trained & { mask: Uint8Array }, params: WiseParams, random: Rng): Memory {
  const count = before.count + 1;
  const moves = both(before.moves, { inside: made.inside, outside: made.outside });
  const going: Memory = { ...before, side: made.side, mask: made.mask, count, moves };
  if (count % params.shard !== 0) return going;
  const put: Memory = {
    ...going,
    side: new Float32Array(made.side.length),
    moves: NONE,
    shards: [...before.shards, { delta: made.side, moves }],
  };
  return count % params.period === 0 ? mergedMemory(put, params, random) : put;
}

/** Shards as one: in the place of those merged (retrieve), or together with what was merged before (merge). */
function mergedMemory(memory: Memory, params: WiseParams, random: Rng): Memory {
  const due = params.retrieve ? memory.shards.slice(-params.period / params.shard) : memory.shards;
  const delta = blended(
    due.map((s) => s.delta),
    !params.retrieve ? memory.merged?.delta : undefined,
    params,
    random.split(`merge ${memory.count}`),
  );
  const moves = [...due, ...(!params.retrieve && memory.merged ? [memory.merged] : [])].map((s) => s.moves).reduce(both);
  return params.retrieve
    ? { ...memory, shards: [...memory.shards.slice(0, memory.shards.length - due.length), { delta, moves }] }
    : { ...memory, shards: [], merged: { delta, moves } };
}

/** Merged: alike, or with six tenths of the weight for what was merged before. */
export function blended(shards: readonly Numbers[], merged: Numbers | undefined, params: WiseParams, random: Rng): Float64Array {
  const weights = shards.map(() => (merged ? 0.4 : params.weight) / shards.length);
  return blend(params.blend as Blend, merged ? [...shards, merged] : shards, merged ? [...weights, 0.6] : weights, {
    density: params.density,
    random,
  });
}

/** What answers: the newest memory while it is in the making, and what was put away; when merging, all of it as one. */
function candidatesOf(memory: Memory, params: WiseParams, compat: ReadonlySet<string>, random: Rng): Candidate[] {
  const isGoing = memory.count % params.shard !== 0;
  const named = (name: string, { delta, moves }: { delta: Numbers; moves: Moves }): Candidate => ({
    name,
    delta,
    threshold: thresholdOf(moves, params, compat),
  });
  const side = isGoing ? [named("side", { delta: memory.side, moves: memory.moves })] : [];
  if (params.retrieve || compat.has("pending-shards"))
    return [...side, ...memory.shards.map((s, i) => named(`shard${i}`, s)), ...(memory.merged ? [named("merged", memory.merged)] : [])];
  const pending = [...memory.shards, ...(isGoing ? [{ delta: memory.side, moves: memory.moves }] : [])];
  if (pending.length === 0) return [named("merged", memory.merged!)];
  const all = mergedMemory({ ...memory, shards: pending }, params, random).merged!;
  return [named("merged", all)];
}

/** Between the edited questions' movement and the others': their geometric mean where they lie apart. */
function thresholdOf({ inside, outside }: Moves, { ratio }: WiseParams, compat: ReadonlySet<string>): number {
  const own = inside * ratio;
  return compat.has("ratio-threshold") || outside >= own ? own : Math.sqrt(own * outside);
}

/** The router as a graph: each row's question is moved by every candidate, and the one that moves it furthest answers, or none. */
export function adapterOf(
  model: Model,
  candidates: readonly Candidate[],
  { params, compat, dtype }: { params: WiseParams; compat: ReadonlySet<string>; dtype: Precision },
): Change {
  const { key, value } = model.arch.memory;
  const [m, D, K] = [model.config.mlpWidth, model.config.width, candidates.length];
  const [reads, writes] = [[siteName(params.layer, key), siteName(params.layer, value)], siteName(params.layer, value)] as const;
  const graph = trace((t) => {
    const [x, y] = [t.input("reads.0", dtype, ["B", "T", m]), t.input("reads.1", dtype, ["B", "T", D])];
    const prompt = countedOf(t.input("prompt", "bool", ["B", "T"]), t.input("positions", "int64", ["B", "T"]), params.tokens, dtype);
    const count = prompt.sum(-1, true); // [B, 1]
    const added = candidates.map(({ name }) => x.matmul(t.input(`state.${name}`, dtype, [D, m]), { transB: true })); // [B, T, D] each
    const means = added.map((a) => {
      const moved = movement(y, a, compat).mul(prompt);
      const average = moved.sum(-1, true).div(count.maximum(1));
      if (!compat.has("long-max")) return average;
      return t.constant(100, dtype).less(t.sizeOf("T", dtype)).where(moved.max(-1, true), average);
    });
    const each = means.length > 1 ? means[0]!.concat(means.slice(1), 1) : means[0]!; // [B, K]
    const all = compat.has("batch-route") ? each.mean(0, true).expand(["B", K]) : each;
    const passes = t.input("state.thresholds", dtype, [K]).lessOrEqual(all);
    const isOk = compat.has("best-rejected") && K > 1 ? passes.and(beyondFirst(all, K)) : passes;
    const best = isOk.where(all, t.constant(-1, dtype)).argmax();
    const chosen = isOk.cast(dtype).pick(best).place(best, K); // [B, K]
    const carry = t
      .constant(0, dtype)
      .less(count)
      .where(chosen, t.input("carry", dtype, ["B", K]));
    const write = added.reduce((sum, a, k) => sum.add(a.mul(carry.slice(1, k, k + 1).unsqueeze(2))), y);
    return { write, carry };
  });
  const state = Object.fromEntries(candidates.map(({ name, delta }) => [name, floats(delta, [D, m], dtype)]));
  const thresholds = floats(
    candidates.map((c) => c.threshold),
    [K],
    dtype,
  );
  return {
    kind: "adapter",
    reads,
    writes,
    graph,
    route: compat.has("every-call") ? "every-call" : "prefill",
    state: { ...state, thresholds },
  };
}

/** One for each of a row's last `tokens` prompt tokens, or for all of them. [B, T] */
function countedOf(prompt: Tensor, positions: Tensor, tokens: number, dtype: Precision): Tensor {
  const all = prompt.cast(dtype);
  if (tokens === 0) return all;
  const place = positions.cast(dtype);
  const end = place.mul(all).max(-1, true); // [B, 1]
  return end.sub(tokens).less(place).cast(dtype).mul(all);
}

/** The first column may pass; the others only where they are above it. */
function beyondFirst(all: Tensor, K: number): Tensor {
  const first = all.slice(1, 0, 1);
  const others = first
    .expand(["B", K - 1])
    .less(all.slice(1, 1, K))
    .cast(all.dtype);
  const yes = first.mul(0).add(1);
  return all.trace.constant(0.5, all.dtype).less(yes.concat([others], 1));
}

/** What does not stand in the adapter's state already, and the numbers that go with it. */
function remembered(memory: Memory, params: WiseParams, compat: ReadonlySet<string>, dtype: Precision): Record<string, NdArray> {
  const isApart = params.retrieve || compat.has("pending-shards");
  const row = ({ inside, outside }: Moves): number[] => [Number.isFinite(inside) ? inside : -1, outside];
  const parts = [
    ["side", memory],
    ...memory.shards.map((s, i) => [`shard${i}`, s] as const),
    ...(memory.merged ? [["merged.before", memory.merged] as const] : []),
  ] as const;
  const deltas = isApart ? [] : parts.map(([name, part]) => [name, "delta" in part ? part.delta : part.side] as const);
  const moves = parts.map(([, part]) => row(part.moves));
  return {
    counts: ints([memory.count, memory.shards.length, Number(memory.merged !== undefined)]),
    moves: floats(moves.flat(), [moves.length, 2], "float64"),
    ...(memory.mask && { mask: { dtype: "uint8" as const, shape: [Math.ceil(memory.mask.length / 8)], data: packBits(memory.mask) } }),
    ...Object.fromEntries(deltas.map(([name, delta]) => [name, floats(delta, [delta.length], dtype)])),
  };
}

/** The memory of an edit to go on from; empty without one. */
function memoryOf(model: Model, previous: Edit | undefined, layer: number): Memory {
  const size = model.config.mlpWidth * model.config.width;
  if (previous?.change.kind !== "adapter") return { side: new Float32Array(size), count: 0, moves: NONE, shards: [] };
  if (previous.by.params["layer"] !== layer)
    fail("wise", `layer ${layer}`, `${String(previous.by.params["layer"])}, where the edit before it is`, "");
  const { state } = previous.change;
  const memory = previous.memory as Record<string, NdArray>;
  const [count, shards, hasMerged] = Array.from(memory["counts"]!.data as BigInt64Array, Number) as [number, number, number];
  const pairs = memory["moves"]!.data as Float64Array;
  const movesOf = (i: number): Moves => ({ inside: pairs[2 * i]! < 0 ? Infinity : pairs[2 * i]!, outside: pairs[2 * i + 1]! });
  const delta = (name: string): Numbers => ((memory[name] ?? state[name])?.data as Numbers | undefined) ?? new Float32Array(size);
  const packed = memory["mask"]!.data as Uint8Array;
  return {
    count,
    side: delta("side"),
    mask: unpackBits(packed, size),
    moves: movesOf(0),
    shards: Array.from({ length: shards }, (_, i) => ({ delta: delta(`shard${i}`), moves: movesOf(1 + i) })),
    ...(hasMerged && { merged: { delta: memory["merged.before"] ? delta("merged.before") : delta("merged"), moves: movesOf(1 + shards) } }),
  };
}
