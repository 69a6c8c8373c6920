/**
 * Causal tracing (Meng et al., arXiv:2202.05262, section 2): the subject's embeddings are drowned in noise, and states of the clean run
 * are put back one place at a time; what comes back of the answer says which states carry it.
 */
import { floats, ints, type NdArray } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { Rng } from "../base/rng.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model } from "../model/model.ts";
import { type ActivationName, type Site, siteName } from "../model/names.ts";
import { padded } from "../text/padding.ts";
import { program, stepping } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Running } from "../onnx/program.ts";

/** What is put back: a block's whole output, or that of its MLP or its attention. */
export type TraceKind = "hidden" | "mlp" | "attn";
/** What is kept as in the corrupted run above the place that is put back, so that it cannot pass on what came back. */
export type Severed = "mlp" | "attn";

const SITE: Readonly<Record<TraceKind, Site>> = { hidden: "resid_post", mlp: "mlp_out", attn: "attn_out" };

/** A text as tokens: what is drowned in it, and the token that is asked for behind its end. */
export interface Traceable {
  readonly ids: readonly number[];
  /** Indices of the subject's tokens, ascending. */
  readonly subject: readonly number[];
  readonly label: number;
}

/** A place: a token of the text, by its index, or several at once, and a block. */
export interface Cell {
  readonly tokens: readonly number[];
  readonly layer: number;
}

export interface TraceOptions extends Running {
  readonly kind: TraceKind;
  /** Blocks around a cell's that are put back with it: from layer − ⌊window/2⌋ on, `window` of them. */
  readonly window: number;
  readonly severed?: Severed;
  /** One array for each draw [subject tokens × width], of {@link drawNoise}. */
  readonly noise: readonly Float64Array[];
  readonly ctx: Context;
  /** Tokens of a pass (2048). */
  readonly budget?: number;
}

/** Probabilities of the label: clean, corrupted in each noise draw, and [cell][draw] with a cell restored. */
export interface Effects {
  readonly clean: number;
  readonly corrupted: readonly number[];
  readonly restored: readonly (readonly number[])[];
}

/** Every place from the subject's first token on: before it nothing is corrupted, and nothing can come back. */
export const cellsOf = ({ ids, subject }: Traceable, layers: number): Cell[] =>
  ids.flatMap((_, token) => (token < subject[0]! ? [] : Array.from({ length: layers }, (_, layer) => ({ tokens: [token], layer }))));

/** Gaussian noise for a subject's embeddings: one array for each draw. */
export const drawNoise = (random: Rng, samples: number, size: number, std: number): Float64Array[] =>
  Array.from({ length: samples }, (_, i) => {
    const own = random.split(i);
    return Float64Array.from({ length: size }, () => std * own.normal());
  });

/** The standard deviation of the embeddings of subjects' tokens, over all their numbers. */
export async function embeddingSpread(model: Model, texts: readonly Traceable[], { dtype, executor }: Running): Promise<number> {
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    return { embedded: lm.embed(t.input("tokens", "int64", ["B", "T"]), t.input("positions", "int64", ["B", "T"])) };
  });
  const flat = texts.flatMap(({ ids, subject }) => subject.map((at) => ({ id: ids[at]!, at })));
  const shape = [1, flat.length];
  const feeds = {
    tokens: ints(
      flat.map((x) => x.id),
      shape,
    ),
    positions: ints(
      flat.map((x) => x.at),
      shape,
    ),
  };
  const { embedded } = await program(model.sessions, graph, { executor }).run(feedsOf(model, feeds));
  const all = Array.from(embedded!.data as Float32Array);
  const middle = all.reduce((a, b) => a + b, 0) / all.length;
  return Math.sqrt(all.reduce((sum, x) => sum + (x - middle) ** 2, 0) / all.length);
}

/**
 * Puts cells back, in as few passes as the budget allows, all through one program. The first rows of a pass are the clean run and the
 * corrupted ones, from which its other rows take their states; what stands before the subject is computed once.
 */
export async function traceCells(model: Model, text: Traceable, cells: readonly Cell[], options: TraceOptions): Promise<Effects> {
  const { noise, ctx, dtype, executor, budget = 2048 } = options;
  const first = text.subject[0] ?? fail("trace", "a text without a subject", "tokens to corrupt", "", "internal");
  const [N, S, D, L] = [noise.length, text.ids.length - first, model.config.width, model.config.layers];
  const drowned = new Float64Array((N + 1) * S * D); // draw 0 is clean
  noise.forEach((one, n) => text.subject.forEach((at, i) => drowned.set(one.subarray(i * D, (i + 1) * D), ((n + 1) * S + at - first) * D)));
  const before = padded([text.ids.slice(0, first)], model.tokenizer.pad, "left");
  const constant: Readonly<Record<string, NdArray>> = {
    "before.tokens": before.tokens,
    "before.positions": before.positions,
    "before.real": before.real,
    noise: floats(drowned, [N + 1, S, D], dtype),
    tokens: ints(text.ids.slice(first), [1, S]),
    positions: ints(
      Array.from({ length: S }, (_, i) => first + i),
      [1, S],
    ),
    label: ints([text.label]),
  };
  const feeds = feedsOf(model, constant);
  const step = await stepping(model.sessions, traceGraph(model, options), ["draw", "restore", "sever"], feeds, { executor });
  const all = cells.flatMap((cell) => noise.map((_, n) => ({ cell, draw: n + 1 })));
  const room = Math.max(1, Math.floor(budget / S) - (N + 1));
  const restored: number[][] = cells.map(() => []);
  let base: number[] = [];
  for (let from = 0; from === 0 || from < all.length; from += room) {
    checkAbort(ctx, "trace");
    const part = all.slice(from, from + room);
    const B = N + 1 + part.length;
    const [restore, sever] = [new Uint8Array(L * B * S), new Uint8Array(L * B * S)];
    part.forEach(({ cell: { tokens, layer } }, i) => {
      const [low, high] = windowOf(layer, options, L);
      const mark = (mask: Uint8Array, l: number): void => tokens.forEach((token) => (mask[(l * B + N + 1 + i) * S + token - first] = 1));
      for (let l = low; l < high; l++) mark(restore, l);
      for (let l = layer + 1; l < L; l++) mark(sever, l);
    });
    const out = await step(
      new Map([
        ["draw", ints([...Array(N + 1).keys(), ...part.map((p) => p.draw)])],
        ["restore", { dtype: "bool", shape: [L, B, S], data: restore }],
        ["sever", { dtype: "bool", shape: [L, B, S], data: sever }],
      ]),
    );
    const chances = Array.from(out["logprobs"]!.data as Float32Array, Math.exp);
    base = chances.slice(0, N + 1);
    part.forEach((_, i) => restored[Math.floor((from + i) / N)]!.push(chances[N + 1 + i]!));
    ctx.log({ kind: "progress", stage: "tracing", done: from + part.length, total: all.length, unit: "runs" });
    await new Promise(setImmediate);
  }
  if (!base.every(Number.isFinite))
    fail("trace", "a probability that is no number", "finite activations", "Try --noise with a smaller number.", "execution");
  return { clean: base[0]!, corrupted: base.slice(1), restored };
}

/** The blocks that are put back with one: a window of them for a part of a block, the block alone for its whole output. */
export function windowOf(
  layer: number,
  { kind, window }: Pick<TraceOptions, "kind" | "window">,
  layers: number,
): [from: number, to: number] {
  if (kind === "hidden") return [layer, layer + 1];
  const from = layer - Math.floor(window / 2);
  return [Math.max(0, from), Math.min(layers, from + window)];
}

/**
 * draw [B], restore and sever [L, B, S] → the label's log-probability behind each row. Rows 0 … N are the noise draws themselves; row 0
 * being clean, so that a row finds what is put back in row 0, and what is severed in the row of its noise draw.
 */
function traceGraph(model: Model, { kind, severed, dtype }: TraceOptions): Graph {
  const { layers: L, width } = model.config;
  return trace((t) => {
    const lm = traced(model, t, dtype);
    const past = { positions: t.input("before.positions", "int64", [1, "P"]), real: t.input("before.real", "bool", [1, "P"]) };
    const prefix = lm.forward(t.input("before.tokens", "int64", [1, "P"]), past);
    const draw = t.input("draw", "int64", ["B"]);
    const alike = draw.sub(draw); // what all rows share is taken B times by the draw's own size, which is known only when a pass runs
    const many = (x: Tensor): Tensor => x.rows(alike);
    const masks = (name: string, layer: number): Tensor =>
      t
        .input(name, "bool", [L, "B", "S"])
        .slice(0, layer, layer + 1)
        .reshape(["B", "S", 1]);
    const restored =
      (layer: number) =>
      (h: Tensor): Tensor =>
        masks("restore", layer).where(h.slice(0, 0, 1), h);
    const cut =
      (layer: number) =>
      (h: Tensor): Tensor =>
        masks("sever", layer).where(h.rows(draw), h);
    const taps: Partial<Record<ActivationName, (h: Tensor) => Tensor>> = {
      embed: (h) => h.add(t.input("noise", dtype, ["N", "S", width]).rows(draw)),
    };
    for (let layer = 0; layer < L; layer++) {
      if (severed) taps[siteName(layer, SITE[severed])] = cut(layer);
      taps[siteName(layer, SITE[kind])] = restored(layer);
    }
    const { hidden } = lm.forward(many(t.input("tokens", "int64", [1, "S"])), {
      positions: many(t.input("positions", "int64", [1, "S"])),
      past: { positions: many(past.positions), real: many(past.real), layers: prefix.layers },
      taps,
    });
    const last = lm.normed(hidden.slice(1, "S-1", "S"));
    const { picked } = lm.logProbs(last, many(t.input("label", "int64", [1])));
    return { logprobs: picked };
  });
}
