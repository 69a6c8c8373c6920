/** Hidden states below the trained blocks: they do not change, so they are computed once per row and cached. */
import { floats, ints, type NdArray } from "../base/array.ts";
import type { TracedModel } from "../model/forward.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../model/model.ts";
import { type Executor, program } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";

/** Size limit of the cached states in bytes; other rows are computed each time. */
const MOST = 1 << 30;

/** Name of the input for the states. */
const INPUT = "below";

/** A traced model whose forward pass starts at a block, from input states [B, T, D]. */
export const above = (lm: TracedModel, from: number): TracedModel => ({
  ...lm,
  forward: (_tokens, given) => {
    const { config } = lm.model;
    return lm.blocks(lm.trace.input(INPUT, lm.dtype, ["B", "T", config.width]), from, config.layers, given);
  },
});

/**
 * Feeds the states that enter a block, for right-padded rows. Each row is computed alone, so its bits do not depend on the other rows of
 * the batch; pads are zero.
 */
export function statesBelow(
  model: Model,
  block: number,
  { dtype, executor }: { readonly dtype: Precision; readonly executor: Executor },
): (fed: Readonly<Record<string, NdArray>>) => Promise<Record<string, NdArray>> {
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const positions = t.input("positions", "int64", ["B", "T"]);
    const tokens = t.input("tokens", "int64", ["B", "T"]);
    return { states: lm.blocks(lm.embed(tokens, positions), 0, block, { positions }).hidden };
  });
  const run = program(model.sessions, graph, { executor, spin: true });
  const kept = new Map<string, NdArray["data"]>();
  let bytes = 0;
  const statesOf = async (ids: readonly number[]): Promise<NdArray["data"]> => {
    const key = ids.join();
    const known = kept.get(key);
    if (known) return known;
    const { states } = await run.run(
      feedsOf(model, {
        tokens: ints(ids, [1, ids.length]),
        positions: ints(
          ids.map((_, i) => i),
          [1, ids.length],
        ),
      }),
    );
    if (bytes + states!.data.byteLength <= MOST) {
      kept.set(key, states!.data);
      bytes += states!.data.byteLength;
    }
    return states!.data;
  };
  return async ({ tokens, real }) => {
    const [B, T] = tokens!.shape as [number, number];
    const D = model.config.width;
    const all = dtype === "float64" ? new Float64Array(B * T * D) : new Float32Array(B * T * D);
    for (let b = 0; b < B; b++) {
      const ids = Array.from((tokens!.data as BigInt64Array).subarray(b * T, (b + 1) * T), Number).filter((_, i) => real!.data[b * T + i]);
      all.set((await statesOf(ids)) as Float32Array, b * T * D);
    }
    return { [INPUT]: floats(all, [B, T, D], dtype) };
  };
}
