/** Long beginnings that rows of tokens have in common: read once, their keys and values shared by all rows that go on from them. */
import { ints, type NdArray } from "../../base/array.ts";
import type { Trace } from "../../tensor/trace.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Given, Pass, Past, Taps, TracedModel } from "../forward.ts";
import type { Model, Precision } from "../model.ts";

/** Rows as beginnings, each read once, and what is left of every row. */
export interface Prefixes {
  readonly prefixes: readonly (readonly number[])[];
  /** Which of them each row begins with. */
  readonly of: readonly number[];
}

/** Tokens that rows must have in common to count as beginning alike. */
const LEAST = 16;
/** Two passes in place of one repay where they read at most this share of the tokens. */
const REPAYS = 0.75;

/**
 * The beginnings that rows share, where reading them once saves enough; otherwise undefined. A row that shares none has a beginning of
 * its own. Every row keeps its tokens from `from` − 1 on (by default its last), since something is asked there.
 */
export function sharedPrefixes(
  rows: readonly (readonly number[])[],
  from: readonly number[] = rows.map((r) => r.length),
): Prefixes | undefined {
  const most = rows.map((_, b) => Math.max(0, from[b]! - 1));
  const order = [...rows.keys()].sort((a, b) => compare(rows[a]!, rows[b]!));
  const [prefixes, of]: [number[][], number[]] = [[], []];
  let group: number[] = [];
  let common = 0;
  const close = (): void => {
    for (const b of group) of[b] = prefixes.length;
    if (group.length > 0) prefixes.push(rows[group[0]!]!.slice(0, common));
  };
  for (const b of order) {
    const shared = group.length > 0 ? Math.min(common, most[b]!, alike(rows[group[0]!]!, rows[b]!)) : 0;
    if (group.length > 0 && shared >= LEAST && 2 * shared >= common) {
      group.push(b);
      common = shared;
      continue;
    }
    close();
    [group, common] = [[b], most[b]!];
  }
  close();
  if (prefixes.length === rows.length) return undefined;
  const longest = (lengths: readonly number[]): number => Math.max(0, ...lengths);
  const all = rows.length * longest(rows.map((r) => r.length));
  const twice =
    prefixes.length * longest(prefixes.map((p) => p.length)) +
    rows.length * longest(rows.map((r, b) => r.length - prefixes[of[b]!]!.length));
  return twice <= REPAYS * all ? { prefixes, of } : undefined;
}

/**
 * How many tokens all rows begin with alike, where reading them once repays; otherwise 0. A row keeps its tokens from place `from` on,
 * where something is asked first.
 */
export function commonBeginning(rows: readonly (readonly number[])[], from: readonly number[]): number {
  const shared = Math.min(...from, ...rows.map((row) => alike(rows[0]!, row)));
  const longest = Math.max(...rows.map((row) => row.length));
  return shared > 0 && shared + rows.length * (longest - shared) <= REPAYS * rows.length * longest ? shared : 0;
}

/** How many tokens two rows begin with alike. */
function alike(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}

function compare(a: readonly number[], b: readonly number[]): number {
  const n = alike(a, b);
  return (a[n] ?? -1) - (b[n] ?? -1);
}

/** A program's inputs for P positions read before, as a cache feeds them. */
export function pastInputs(t: Trace, model: Model, dtype: Precision): Past {
  const { layers, kvHeads, headSize } = model.config;
  const past = (kind: string, i: number): Tensor => t.input(`past.${i}.${kind}`, dtype, ["B", kvHeads, "P", headSize]);
  return {
    positions: t.input("past.positions", "int64", ["B", "P"]),
    real: t.input("past.real", "bool", ["B", "P"]),
    layers: Array.from({ length: layers }, (_, i) => ({ k: past("k", i), v: past("v", i) })),
  };
}

/**
 * Blocks 0 … `to` − 1 over rows [B, T] that go on from one beginning, which is read once: inputs "begin.tokens" and "begin.positions" int64
 * [1, begin]. The rows' positions go on counting; the taps and maps of `given` see the rows, `begins` sees the beginning.
 */
export function passBehind(lm: TracedModel, to: number, tokens: Tensor, given: Omit<Given, "past">, begins: Taps = {}): Pass {
  const [t, B] = [lm.trace, tokens.dim(0)];
  const positions = t.input("begin.positions", "int64", [1, "begin"]);
  const first = lm.blocks(lm.embed(t.input("begin.tokens", "int64", [1, "begin"]), positions), 0, to, { positions, taps: begins });
  const each = (x: Tensor): Tensor => x.expand([B, ...x.shape.slice(1)]);
  const past = { positions: each(positions), layers: first.layers.map(({ k, v }) => ({ k: each(k), v: each(v) })) };
  return lm.blocks(lm.embed(tokens, given.positions), 0, to, { ...given, past });
}

/** What {@link passBehind} is fed for its beginning. */
export const beginningFeeds = (ids: readonly number[]): Record<string, NdArray> => ({
  "begin.tokens": ints(ids, [1, ids.length]),
  "begin.positions": ints([...ids.keys()], [1, ids.length]),
});

/** A program's outputs of new keys and values, in the order in which a cache takes them. */
export const newLayers = (pass: Pass): Record<string, Tensor> =>
  Object.fromEntries(
    pass.layers.flatMap(({ k, v }, i) => [
      [`new.${2 * i}`, k],
      [`new.${2 * i + 1}`, v],
    ]),
  );
