/** One pass over rows of tokens with taps of the caller's: activations read and rewritten in a few lines. */
import type { NdArray } from "../base/array.ts";
import { program, type Running } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { padded } from "../text/padding.ts";
import { type Given, type TracedModel, traced } from "./forward.ts";
import { feedsOf, type Model } from "./model.ts";

/** From a traced model, its tokens [B, T] and what `forward` is given beside them, to what is wanted by name. */
export type Build<N extends string> = (lm: TracedModel, tokens: Tensor, given: Pick<Given, "positions" | "real">) => Record<N, Tensor>;

/**
 * Traces what `build` asks for and runs it on rows of token ids, the shorter ones padded on the left.
 * @example const { hidden } = await runTraced(model, [ids], (lm, tokens, given) => ({ hidden: lm.forward(tokens, given).hidden }));
 */
export async function runTraced<const N extends string>(
  model: Model,
  rows: readonly (readonly number[])[],
  build: Build<N>,
  { dtype = "float32", executor = "graph" }: Partial<Running> = {},
): Promise<Record<N, NdArray>> {
  const graph = trace((t) => {
    const given = { positions: t.input("positions", "int64", ["B", "T"]), real: t.input("real", "bool", ["B", "T"]) };
    return build(traced(model, t, dtype), t.input("tokens", "int64", ["B", "T"]), given);
  });
  const feeds = feedsOf(model, { ...padded(rows, model.tokenizer.pad, "left") });
  return (await program(model.sessions, graph, { executor }).run(feeds)) as Record<N, NdArray>;
}
