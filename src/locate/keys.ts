/** Keys and values as a model has them: activations at the subject's last token, read in one pass over rows. */
import { ints, type NdArray } from "../base/array.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../model/model.ts";
import { type Site, siteName } from "../model/names.ts";
import { padded } from "../model/rows.ts";
import { type Executor, program } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { EditRow } from "./rows.ts";

/** How programs run: precision and executor. */
export interface Running {
  readonly dtype: Precision;
  readonly executor: Executor;
}

/**
 * Activations of `sites` at layer `layer`, at each row's subject: site → [rows, width], in `dtype`.
 * Nothing behind the subject or above the layer is computed.
 */
export async function subjectActivations(
  model: Model,
  rows: readonly EditRow[],
  layer: number,
  sites: readonly Site[],
  running: Running,
): Promise<Record<Site, NdArray>> {
  const graph = trace((t) => {
    const lm = traced(model, t, running.dtype);
    const at = t.input("at", "int64", ["B"]);
    const seen: Record<string, Tensor> = {};
    const read =
      (site: Site) =>
      (h: Tensor): Tensor => {
        seen[site] = h.reshape(["B*T", h.dim(-1)]).rows(at);
        return h;
      };
    const positions = t.input("positions", "int64", ["B", "T"]);
    const x = lm.embed(t.input("tokens", "int64", ["B", "T"]), positions);
    lm.blocks(x, 0, layer + 1, {
      positions,
      real: t.input("real", "bool", ["B", "T"]),
      taps: Object.fromEntries(sites.map((s) => [siteName(layer, s), read(s)])),
    });
    return seen;
  });
  const batch = padded(
    rows.map((r) => r.ids.slice(0, r.subject + 1)),
    model.tokenizer.pad,
    "right",
  );
  const T = batch.tokens.shape[1]!;
  const feeds = feedsOf(model, { ...batch, at: ints(rows.map((r, b) => b * T + r.subject)) });
  return (await program(model.sessions, graph, { executor: running.executor }).run(feeds)) as Record<Site, NdArray>;
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
export const norm = (a: Float64Array): number => Math.sqrt(dot(a, a));
