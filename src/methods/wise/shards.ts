/**
 * Several side memories: shards are stored and merged, and a router chooses the one that answers a question (WISE, arXiv:2405.14768,
 * section 2.3).
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

/** A memory that can answer: its difference [D, m], and the least movement at which it is used. */
export interface Candidate {
  readonly name: string;
  readonly delta: Numbers;
  readonly threshold: number;
}

interface Moves {
  readonly inside: number;
  readonly outside: number;
}

/** The state that a later edit continues from. */
interface Memory {
  /** Width of the hidden states by which its movement is measured. */
  readonly m: number;
  readonly side: Numbers;
  readonly mask?: Uint8Array;
  readonly count: number;
  /** The smallest movement of an edited question and the largest movement of another question, for the unfinished shard. */
  readonly moves: Moves;
  /** States of the edited questions of the unfinished shard. */
  readonly edited: readonly States[];
  /** States of other questions that the router must not accept, from all edits so far. */
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

/** The memory after one more edit. A full shard is stored, and shards are merged after the given number of edits. */
export function settled(before: Memory, made: Trained & { mask: Uint8Array }, params: ShardParams, random: Rng): Memory {
  const { m } = before;
  const count = before.count + 1;
  const edited = [...before.edited, ...made.states];
  const isKnown = made.states.length > 0 && (before.edited.length > 0 || before.count % params.shard === 0);
  const { inside, outside } = made;
  const moves = isKnown ? { inside: leastMoved(made.side, edited, m), outside } : both(before.moves, { inside, outside });
  const { strangers } = made;
  const met = new Set(before.strangers); // stored memories are compared with the others here for the first time
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

/** Merges shards. The result replaces the merged shards (retrieve), or is merged again with the earlier result (merge). */
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
  // merging reduces movements. They are computed for edited questions and strangers; those of other questions are assumed to shrink by the same factor
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

/**
 * Merges shards. Without an earlier result they have equal weights; otherwise the earlier result has the weight 0.6 and the shards share
 * 0.4.
 */
export function blended(shards: readonly Numbers[], merged: Numbers | undefined, params: ShardParams, random: Rng): Float64Array {
  const weights = shards.map(() => (merged ? 0.4 : params.weight) / shards.length);
  return blend(params.blend as Blend, merged ? [...shards, merged] : shards, merged ? [...weights, 0.6] : weights, {
    density: params.density,
    random,
  });
}

/** The memories that can answer: the unfinished one and the stored ones. With merging, all of them are one memory. */
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

/** Tolerance for movements: the model computes them again in other batches, so their last bits can differ. */
const SPARE = 0.99;

/**
 * The router's threshold. If all edited questions move more than all others, it lies between them on a logarithmic scale, because both grow
 * with the number of edits. Otherwise it is the highest value that every edited question reaches.
 */
function thresholdOf({ inside, outside }: Moves, { ratio, strictness }: ShardParams, compat: ReadonlySet<string>): number {
  const own = inside * ratio;
  if (compat.has("ratio-threshold")) return own;
  return outside >= own ? Math.max(own, Math.min(outside, inside * SPARE)) : own ** strictness * outside ** (1 - strictness);
}

/**
 * The router as a graph. For each row it computes the movement by every candidate. The candidate with the largest movement answers, or none
 * does.
 */
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

/** The first column passes; another column passes only if it is larger than the first. */
function beyondFirst(all: Tensor, K: number): Tensor {
  const first = all.slice(1, 0, 1);
  const others = first
    .expand(["B", K - 1])
    .less(all.slice(1, 1, K))
    .cast(all.dtype);
  const yes = first.mul(0).add(1);
  return all.trace.constant(0.5, all.dtype).less(yes.concat([others], 1));
}

/** The carried state that the adapter does not contain, with its numbers. */
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

/** The memory of the previous edit; empty if there is none. */
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
