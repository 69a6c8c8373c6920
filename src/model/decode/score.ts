/** Scoring: what a model makes of given tokens, teacher-forced, in right-padded batches. */
import { ints, type NdArray } from "../../base/array.ts";
import { checkAbort, type Context, defaultContext } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { program } from "../../onnx/program.ts";
import type { SessionOptions } from "../../onnx/session.ts";
import { trace } from "../../tensor/graph.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { Cache } from "./cache.ts";
import { isEven, refuseUnsound, suspectIn } from "./finite.ts";
import { traced } from "../forward.ts";
import { feedsOf, type Model, type Precision } from "../model.ts";
import { pastInputs, sharedPrefixes } from "./prefix.ts";
import { type ReadPrompts, readRows } from "./read.ts";
import { grouped, padded } from "../../text/padding.ts";

export interface ToScore {
  readonly ids: readonly number[];
  /** The first token of which something is asked (at least 1). */
  readonly from: number;
  /** Other tokens, as many, that are judged in the places of `ids[from..]`. */
  readonly labels?: readonly number[];
}

export interface ScoreOptions {
  readonly dtype?: Precision;
  readonly session?: SessionOptions;
  /** Padded tokens a batch (default 1024). */
  readonly budget?: number;
  /** Prompts that were read, and for each row the one that it begins with: what is behind it alone is read. */
  readonly after?: { readonly read: ReadPrompts; readonly of: readonly number[] };
  readonly ctx?: Context;
}

/** What can be told of a token where it is predicted. */
export interface Told {
  /** Its natural log-probability. */
  readonly logprobs: number;
  /** 1 + the number of tokens that are strictly likelier. */
  readonly ranks: number;
  /** The likeliest token in its place. */
  readonly tops: number;
  /** The probability of that. */
  readonly peaks: number;
  /** Mean log-probability Σ p·log p of a token drawn in its place, and the variance (arXiv:2404.02936, section 3). */
  readonly means: number;
  readonly variances: number;
  /** The log-probabilities of all tokens in its place, one place behind the other: V numbers a token. */
  readonly all: number;
}

/** Natural log-probabilities of `ids[from..]` given what precedes each, for every row in its order. */
export const score = async (model: Model, rows: readonly ToScore[], options: ScoreOptions = {}): Promise<number[][]> =>
  (await told(model, rows, ["logprobs"], options)).map((row) => row.logprobs);

/** What is asked of each of `ids[from..]`, for every row in its order. Refuses a model whose numbers are not finite. */
export async function told<T extends keyof Told>(
  model: Model,
  rows: readonly ToScore[],
  asked: readonly T[],
  options: ScoreOptions = {},
): Promise<Record<T, number[]>[]> {
  const { dtype = "float32", after } = options;
  const out = rows.map(() => Object.fromEntries(asked.map((name) => [name, [] as number[]])) as Record<T, number[]>);
  let indexed = rows.map((row, index) => ({ ...row, index })).filter((r) => r.ids.length > r.from);
  if (after) {
    const { prompts, cache, starts } = after.read;
    const of = ({ index }: Indexed): number => after.of[index]!;
    // behind an answer a tokenizer may cut a prompt's end otherwise: such a row is read as a whole
    const fits = ({ ids, from }: ToScore, b: number): boolean =>
      from > starts[b]! && ids.slice(0, starts[b]).every((id, i) => id === prompts[b]![i]);
    const own = indexed.filter((r) => fits(r, of(r)));
    await scoreRows(model, own, asked, out, options, { cache, of, start: (r) => starts[of(r)]! });
    indexed = indexed.filter((r) => !own.includes(r));
  }
  const shared = sharedPrefixes(
    indexed.map((r) => r.ids),
    indexed.map((r) => r.from),
  );
  if (!shared) {
    await scoreRows(model, indexed, asked, out, options);
    return out;
  }
  const rowsOf = shared.prefixes.map((_, i) => indexed.filter((_, b) => shared.of[b] === i));
  await scoreRows(
    model,
    rowsOf.flatMap((own) => (own.length === 1 ? own : [])),
    asked,
    out,
    options,
  );
  for (const [i, own] of rowsOf.entries()) {
    const prefix = shared.prefixes[i]!;
    if (own.length < 2) continue;
    const cache = await readRows(model, new Cache(model.config, 1, dtype), padded([prefix], model.tokenizer.pad, "left"), options);
    await scoreRows(model, own, asked, out, options, { cache, of: () => 0, start: () => prefix.length });
  }
  return out;
}

/** Log-probabilities that are held of a model at a time, by default. */
const HELD = 1 << 22;

/**
 * At each of a row's tokens from `from` on, how far a model's distribution q has moved from another model's p there: Σ p·(log p − log q), in
 * nats. The other model reads rows of its own, which may begin otherwise and go on as long. Rows are taken so many at a time that no more
 * log-probabilities are held than `held`, or one row's. Refuses models of two vocabularies.
 */
export async function divergences(
  model: Model,
  rows: readonly ToScore[],
  other: Model,
  theirs: readonly ToScore[],
  { held: most = HELD, ...options }: ScoreOptions & { readonly held?: number } = {},
): Promise<number[][]> {
  const V = model.config.vocab;
  if (other.config.vocab !== V)
    fail("divergence", `vocabularies of ${V} and ${other.config.vocab} tokens`, "two models of one", "Compare models of one family.");
  const lengths = rows.map(({ ids, from }, i) => {
    const [own, others] = [ids.length - from, theirs[i]!.ids.length - theirs[i]!.from];
    if (own !== others)
      fail("divergence", `row ${i} has ${own} tokens here and ${others} there`, "as many", "Compare models of one tokenizer.");
    return own;
  });
  const out: number[][] = [];
  while (out.length < rows.length) {
    const start = out.length;
    let [end, held] = [start, 0];
    do held += V * lengths[end++]!;
    while (end < rows.length && held + V * lengths[end]! <= most);
    const [q, p] = [
      await told(model, rows.slice(start, end), ["all"], options),
      await told(other, theirs.slice(start, end), ["all"], options),
    ];
    q.forEach(({ all }, i) => out.push(lengths[start + i] ? divergence(p[i]!.all, all, V) : []));
  }
  return out;
}

/** Σ p·(log p − log q) of every V numbers; what has no probability adds nothing. */
function divergence(p: readonly number[], q: readonly number[], V: number): number[] {
  const out: number[] = [];
  for (let at = 0; at < p.length; at += V) {
    let sum = 0;
    for (let v = at; v < at + V; v++) {
      const share = Math.exp(p[v]!);
      if (share !== 0) sum += share * (p[v]! - q[v]!);
    }
    out.push(Math.max(0, sum)); // rounding alone can take it below nothing
  }
  return out;
}

type Indexed = ToScore & { readonly index: number };

/** What rows go on from: a row of a cache each, and how many of its tokens that holds. */
interface Begun {
  readonly cache: Cache;
  readonly of: (row: Indexed) => number;
  readonly start: (row: Indexed) => number;
}

/** Scores rows that go on from `past`, if there is one, into their places of `out`. */
async function scoreRows<T extends keyof Told>(
  model: Model,
  rows: readonly Indexed[],
  asked: readonly T[],
  out: Record<T, number[]>[],
  options: ScoreOptions,
  past?: Begun,
): Promise<void> {
  const { dtype = "float32", ctx = defaultContext(), budget = 1024 } = options;
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
      prompt: t.input("prompt", "bool", ["B", "T"]),
      ...(past && { past: pastInputs(t, model, dtype) }),
    });
    const normed = lm.normed(hidden, t.input("rows", "int64", ["M"]));
    const { picked, all } = lm.logProbs(normed, t.input("labels", "int64", ["M"]));
    return { logprobs: picked, ...Object.fromEntries(asked.map((name) => [name, TELLS[name](picked, all)])) };
  });
  const run = program(model.sessions, graph, options.session);
  const startOf = past?.start ?? (() => 0);
  for (const group of grouped(rows, (r) => r.ids.length - startOf(r), budget)) {
    checkAbort(ctx, "score");
    const starts = group.map(startOf);
    const batch = padded(
      group.map((r, b) => r.ids.slice(starts[b])),
      model.tokenizer.pad,
      "right",
      { starts },
    );
    const T = batch.tokens.shape[1]!;
    const prompt: NdArray = {
      dtype: "bool",
      shape: batch.real.shape,
      data: Uint8Array.from({ length: group.length * T }, (_, i) => {
        const b = Math.floor(i / T);
        return Number(starts[b]! + (i % T) < group[b]!.from);
      }),
    };
    const places = group.flatMap((r, b) =>
      (r.labels ?? r.ids.slice(r.from)).map((label, i) => ({ at: b * T + r.from - starts[b]! + i - 1, label })),
    );
    const same = past?.cache.select(group.map(past.of), model.config);
    const given = { ...batch, prompt, rows: ints(places.map((p) => p.at)), labels: ints(places.map((p) => p.label)) };
    const found = await run.run(feedsOf(model, new Map<string, NdArray>([...Object.entries(given), ...(same?.feeds() ?? [])])));
    await refuseUnsoundRows(model, group, Array.from(found["logprobs"]!.data, Number), dtype);
    for (const name of asked) {
      const { data } = found[name]!;
      const width = data.length / places.length; // V of all tokens, otherwise 1
      let at = 0;
      for (const r of group) out[r.index]![name] = Array.from(data.subarray(at, (at += width * (r.ids.length - r.from))), Number);
    }
    await new Promise(setImmediate);
  }
}

/** Refuses rows with a log-probability that is no number, and rows of even ones where the activations are too large. */
async function refuseUnsoundRows(model: Model, rows: readonly ToScore[], logprobs: readonly number[], dtype: Precision): Promise<void> {
  let at = 0;
  const told = rows.map(({ ids, from }) => ({ ids, own: logprobs.slice(at, (at += ids.length - from)) }));
  const broken = told.find(({ own }) => !own.every(Number.isFinite));
  const suspect = broken ?? told.find(({ own }) => own.every((logprob) => isEven(logprob, model.config.vocab)));
  if (suspect) await refuseUnsound(model, suspect.ids, suspect.own[suspectIn(suspect.own, model.config.vocab)]!, dtype);
}

/** From the log-probabilities picked [M] and of all tokens [M, V]. */
const TELLS: { readonly [T in keyof Told]: (picked: Tensor, all: Tensor) => Tensor } = {
  logprobs: (picked) => picked,
  ranks: (picked, all) => picked.unsqueeze(1).less(all).cast(picked.dtype).sum(-1).add(1),
  tops: (_, all) => all.argmax(),
  peaks: (_, all) => all.max(-1).exp(),
  means: (_, all) => all.exp().mul(all).sum(-1),
  variances: (_, all) => {
    const p = all.exp();
    const mean = p.mul(all).sum(-1, true);
    return p.mul(all.sub(mean).square()).sum(-1);
  },
  all: (_, all) => all,
};
