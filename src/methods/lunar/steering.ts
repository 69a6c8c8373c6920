/** What a direction does before anything is written: it is added behind a block while the model answers, and refusals are counted. */
import { floats } from "../../base/array.ts";
import type { Context } from "../../base/context.ts";
import { answers, textOf } from "../../ask/ask.ts";
import { beginsAsRefusal } from "../../data/refusals.ts";
import { activations, meanRow } from "../../locate/keys.ts";
import type { Adapter } from "../../model/adapter.ts";
import { type Model, withAdapter } from "../../model/model.ts";
import { siteName } from "../../model/names.ts";
import type { AskAs } from "../../model/prompt.ts";
import type { Running } from "../../onnx/program.ts";
import { trace } from "../../tensor/graph.ts";
import type { AskedRow } from "./asked.ts";

/** r of each block [D]: the mean state after the rows `to`, minus the mean state after the rows `from`, at the last token, float64. */
export async function directions(
  model: Model,
  layers: readonly number[],
  { from, to }: { readonly from: readonly AskedRow[]; readonly to: readonly AskedRow[] },
  running: Running,
  ctx: Context,
): Promise<ReadonlyMap<number, Float64Array>> {
  const names = layers.map((layer) => siteName(layer, "resid_post"));
  const last = (rows: readonly AskedRow[]) => rows.map(({ ids }) => ({ ids, at: [ids.length - 1] }));
  const [there, here] = [
    await activations(model, last(to), names, running, { from: 0, ctx }),
    await activations(model, last(from), names, running),
  ];
  return new Map(
    layers.map((layer, i) => {
      const away = meanRow(here[names[i]!]!);
      return [layer, meanRow(there[names[i]!]!).map((x, d) => x - away[d]!)];
    }),
  );
}

/** Tokens of an answer that are enough to see how it begins. */
const BEGINNING = 12;

export interface Asking {
  readonly questions: readonly string[];
  readonly ask: AskAs;
  readonly ctx: Context;
}

/** How many answers begin as a refusal. */
export async function refusalsOf(model: Model, { questions, ask, ctx }: Asking): Promise<number> {
  let count = 0;
  for await (const outcome of answers(model, questions, { ...ask, maxTokens: BEGINNING, freeze: false }, ctx))
    if (beginsAsRefusal(textOf(outcome, "a steered question"))) count++;
  return count;
}

/** The model with a shift [D] added to the residual stream behind a block, at the question's tokens from position `from` on. */
export function steered(model: Model, layer: number, shift: Float64Array, from: number): Model {
  const site = siteName(layer, "resid_post");
  const D = model.config.width;
  const graph = trace((t) => {
    const h = t.input("reads.0", "float32", ["B", "T", D]);
    const places = t.constant(from, "int64").lessOrEqual(t.input("positions", "int64", ["B", "T"]));
    const isOn = t.input("prompt", "bool", ["B", "T"]).and(places).unsqueeze(2); // [B, T, 1]
    return { write: isOn.where(h.add(t.input("state.shift", "float32", [D])), h) };
  });
  const adapter: Adapter = {
    reads: [site],
    writes: site,
    state: { shift: floats(Float32Array.from(shift), [D]) },
    graph,
    route: "prefill",
  };
  return withAdapter(model, adapter);
}
