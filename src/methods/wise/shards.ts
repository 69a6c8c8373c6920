/**
 * Side memories in company: shards that are put away and merged, and the router that decides which of them answers a question (WISE,
 * arXiv:2405.14768, section 2.3).
 */
import { floats, ints, type NdArray, packBits, unpackBits } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import type { Rng } from "../../base/rng.ts";
import type { Carried, Change } from "../../edit/edit.ts";
import type { Model, Precision } from "../../model/model.ts";
import { siteName } from "../../model/names.ts";
import { trace } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Blend, blend, type Numbers } from "./blend.ts";
import { movedBy, movement, type States, type Trained } from "./side-memory.ts";

export interface ShardParams {
  layer: number;
  retrieve: boolean;
  mask: number;
  ratio: number;
  strictness: number;
  tokens: number;
  shard: number;
  period: number;
  blend: string;
  density: number;
  weight: number;
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
  /** Width of the states that move it. */
  readonly m: number;
  readonly side: Numbers;
  readonly mask?: Uint8Array;
  readonly count: number;
  /** The least movement of an edited question and the largest of another, of the shard in the making. */
  readonly moves: Moves;
  /** Of the edited questions of the shard in the making. */
  readonly edited: readonly States[];
  /** Of other questions that the edits so far were told from. */
  readonly strangers: readonly States[];
  readonly shards: readonly Shard[];
  readonly merged?: Shard;
}

interface Shard {
  readonly delta: Numbers;
  readonly moves: Moves;
  readonly edited: readonly States[];
}

const NONE: Moves = { inside: Infinity, outside: 0 };
const both = (a: Moves, b: Moves): Moves => ({ inside: Math.min(a.inside, b.inside), outside: Math.max(a.outside, b.outside) });

export function drawMask(model: Model, share: number, random: Rng): Uint8Array {
  return Uint8Array.from({ length: model.config.mlpWidth * model.config.width }, () => Number(random.uniform() < share));
}

/** A memory after one edit more: a full shard is put away, and shards are merged when they are due. */
export function settled(before: Memory, made: Trained & { mask: Uint8Array }, params: ShardParams, random: Rng): Memory {
  const { m } = before;
  const count = before.count + 1;
  const edited = [...before.edited, ...made.states];
  const isKnown = made.states.length > 0 && (before.edited.length > 0 || before.count % params.shard === 0);
  const { inside, outside } = made;
  const moves = isKnown ? { inside: leastMoved(made.side, edited, m), outside } : both(before.moves, { inside, outside });
  const { strangers } = made;
  const met = new Set(before.strangers); // memories that were put away meet the others for the first time
  const news = strangers.filter((states) => !met.has(states));
  const shards = before.shards.map((s) => ({ ...s, moves: both(s.moves, { inside: Infinity, outside: mostMoved(s.delta, news, m) }) }));
  const going: Memory = { ...before, side: made.side, mask: made.mask, count, moves, edited, strangers, shards };
  if (count % params.shard !== 0) return going;
  const put: Memory = {
    ...going,
    side: new Float32Array(made.side.length),
    moves: NONE,
    edited: [],
    shards: [...shards, { delta: made.side, moves, edited }],
  };
  return count % params.period === 0 ? mergedMemory(put, params, random) : put;
}

/** Shards as one: in the place of those merged (retrieve), or together with what was merged before (merge). */
function mergedMemory(memory: Memory, params: ShardParams, random: Rng): Memory {
  const due = params.retrieve ? memory.shards.slice(-params.period / params.shard) : memory.shards;
  const delta = blended(
    due.map((s) => s.delta),
    !params.retrieve ? memory.merged?.delta : undefined,
    params,
    random.split(`merge ${memory.count}`),
  );
  const parts = [...due, ...(!params.retrieve && memory.merged ? [memory.merged] : [])];
  const apart = parts.map((s) => s.moves).reduce(both);
  const edited = parts.flatMap((s) => s.edited);
  // merging shrinks movements: those of edited questions and strangers are known, the other questions' taken to shrink alike
  const inside = edited.length > 0 ? leastMoved(delta, edited, memory.m) : apart.inside;
  const outside = memory.strangers.length > 0 ? mostMoved(delta, memory.strangers, memory.m) : apart.outside * (inside / apart.inside);
  const merged: Shard = { delta, edited, moves: { inside, outside } };
  return params.retrieve
    ? { ...memory, shards: [...memory.shards.slice(0, memory.shards.length - due.length), merged] }
    : { ...memory, shards: [], merged };
}

const leastMoved = (delta: Numbers, edited: readonly States[], m: number): number =>
  Math.min(...edited.map((states) => movedBy(delta, states, m)));
const mostMoved = (delta: Numbers, strangers: readonly States[], m: number): number =>
  Math.max(0, ...strangers.map((states) => movedBy(delta, states, m)));

/** Merged: alike, or with six tenths of the weight for what was merged before. */
export function blended(shards: readonly Numbers[], merged: Numbers | undefined, params: ShardParams, random: Rng): Float64Array {
  const weights = shards.map(() => (merged ? 0.4 : params.weight) / shards.length);
  return blend(params.blend as Blend, merged ? [...shards, merged] : shards, merged ? [...weights, 0.6] : weights, {
    density: params.density,
    random,
  });
}

/** What answers: the newest memory while it is in the making, and what was put away; when merging, all of it as one. */
export function candidatesOf(memory: Memory, params: ShardParams, compat: ReadonlySet<string>, random: Rng): Candidate[] {
  const { side: delta, moves, edited } = memory;
  const going: readonly Shard[] = memory.count % params.shard === 0 ? [] : [{ delta, moves, edited }];
  const named = (name: string, shard: Shard): Candidate => ({
    name,
    delta: shard.delta,
    threshold: thresholdOf(shard.moves, params, compat),
  });
  if (params.retrieve || compat.has("pending-shards"))
    return [
      ...going.map((s) => named("side", s)),
      ...memory.shards.map((s, i) => named(`shard${i}`, s)),
      ...(memory.merged ? [named("merged", memory.merged)] : []),
    ];
  const pending = [...memory.shards, ...going];
  if (pending.length === 0) return [named("merged", memory.merged!)];
  const all = mergedMemory({ ...memory, shards: pending }, params, random).merged!;
  return [named("merged", all)];
}

/** Movements are computed once more where they are compared, in other company and in other bits. */
const SPARE = 0.99;

/**
 * Between the edited questions' movement and the others', where they lie apart, on a logarithmic scale, since both grow as edits add up.
 * Where they do not, as high as every edited question still reaches.
 */
function thresholdOf({ inside, outside }: Moves, { ratio, strictness }: ShardParams, compat: ReadonlySet<string>): number {
  const own = inside * ratio;
  if (compat.has("ratio-threshold")) return own;
  return outside >= own ? Math.max(own, Math.min(outside, inside * SPARE)) : own ** strictness * outside ** (1 - strictness);
}

/** The router as a graph: each row's question is moved by every candidate, and the one that moves it furthest answers, or none. */
export function adapterOf(
  model: Model,
  candidates: readonly Candidate[],
  { params, compat, dtype }: { params: ShardParams; compat: ReadonlySet<string>; dtype: Precision },
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
export function remembered(memory: Memory, params: ShardParams, compat: ReadonlySet<string>, dtype: Precision): Record<string, NdArray> {
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
    ...Object.fromEntries(
      [...parts.map(([name, { edited }]) => [`edited.${name}`, edited] as const), ["strangers", memory.strangers] as const].flatMap(
        ([name, list]) => list.map((states, i) => [`${name}.${i}`, floats(states, [states.length], "float32")] as const),
      ),
    ),
  };
}

/** The memory to go on from; empty without one. */
export function memoryOf(model: Model, previous: Carried | undefined, layer: number): Memory {
  const m = model.config.mlpWidth;
  const size = m * model.config.width;
  if (!previous?.adapter) return { m, side: new Float32Array(size), count: 0, moves: NONE, edited: [], strangers: [], shards: [] };
  const { state, writes } = previous.adapter;
  const own = siteName(layer, model.arch.memory.value);
  if (writes !== own) fail("side memory", `the site "${own}"`, `"${writes}", where the edit before it writes`, "");
  const memory = previous.memory as Record<string, NdArray>;
  const [count, shards, hasMerged] = Array.from(memory["counts"]!.data as BigInt64Array, Number) as [number, number, number];
  const pairs = memory["moves"]!.data as Float64Array;
  const movesOf = (i: number): Moves => ({ inside: pairs[2 * i]! < 0 ? Infinity : pairs[2 * i]!, outside: pairs[2 * i + 1]! });
  const delta = (name: string): Numbers => ((memory[name] ?? state[name])?.data as Numbers | undefined) ?? new Float32Array(size);
  const statesOf = (name: string): States[] => {
    const out: States[] = [];
    for (let i = 0; memory[`${name}.${i}`]; i++) out.push(memory[`${name}.${i}`]!.data as States);
    return out;
  };
  const editedOf = (name: string): States[] => statesOf(`edited.${name}`);
  const packed = memory["mask"]!.data as Uint8Array;
  return {
    m,
    count,
    side: delta("side"),
    mask: unpackBits(packed, size),
    moves: movesOf(0),
    edited: editedOf("side"),
    strangers: statesOf("strangers"),
    shards: Array.from({ length: shards }, (_, i) => ({
      delta: delta(`shard${i}`),
      moves: movesOf(1 + i),
      edited: editedOf(`shard${i}`),
    })),
    ...(hasMerged && {
      merged: {
        delta: memory["merged.before"] ? delta("merged.before") : delta("merged"),
        moves: movesOf(1 + shards),
        edited: editedOf("merged.before"),
      },
    }),
  };
}
