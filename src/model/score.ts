/** Scoring: log-probabilities of given tokens, teacher-forced, in right-padded batches. */
import { ints, type NdArray } from "../base/array.ts";
import { checkAbort, type Context, defaultContext } from "../base/context.ts";
import { program } from "../onnx/program.ts";
import type { SessionOptions } from "../onnx/session.ts";
import { trace } from "../tensor/graph.ts";
import { traced } from "./forward.ts";
import { feedsOf, type Model, type Precision } from "./model.ts";
import { grouped, padded } from "./rows.ts";

export interface ToScore {
  readonly ids: readonly number[];
  /** The first token whose log-probability is wanted (at least 1). */
  readonly from: number;
}

export interface ScoreOptions {
  readonly dtype?: Precision;
  readonly session?: SessionOptions;
  /** Padded tokens a batch (default 1024). */
  readonly budget?: number;
  readonly ctx?: Context;
}

/** Natural log-probabilities of `ids[from..]` given what precedes each, for every row in its order. */
export async function score(model: Model, rows: readonly ToScore[], options: ScoreOptions = {}): Promise<number[][]> {
  const { dtype = "float32", ctx = defaultContext(), budget = 1024 } = options;
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
      prompt: t.input("prompt", "bool", ["B", "T"]),
    });
    const normed = lm.normed(hidden, t.input("rows", "int64", ["M"]));
    return { logprobs: normed.labelLogProbs(lm.head(), t.input("labels", "int64", ["M"])).picked };
  });
  const run = program(model.sessions, graph, options.session);
  const out: number[][] = rows.map(() => []);
  const indexed = rows.map((row, index) => ({ ...row, index })).filter((r) => r.ids.length > r.from);
  for (const group of grouped(indexed, (r) => r.ids.length, budget)) {
    checkAbort(ctx, "score");
    const batch = padded(
      group.map((r) => r.ids),
      model.tokenizer.pad,
      "right",
    );
    const T = batch.tokens.shape[1]!;
    const prompt: NdArray = {
      dtype: "bool",
      shape: batch.real.shape,
      data: Uint8Array.from({ length: group.length * T }, (_, i) => Number(i % T < group[Math.floor(i / T)]!.from)),
    };
    const places = group.flatMap((r, b) => r.ids.slice(r.from).map((label, i) => ({ at: b * T + r.from + i - 1, label })));
    const { logprobs } = await run.run(
      feedsOf(model, { ...batch, prompt, rows: ints(places.map((p) => p.at)), labels: ints(places.map((p) => p.label)) }),
    );
    let at = 0;
    for (const r of group) out[r.index] = Array.from(logprobs!.data.subarray(at, (at += r.ids.length - r.from)) as Float32Array);
    await new Promise(setImmediate);
  }
  return out;
}
