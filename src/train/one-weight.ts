/** Training of one weight of a model: losses of target tokens as a function of it, and their gradient; the rest of the model is fixed. */
import type { NdArray } from "../base/array.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, type Precision } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { grouped, padded, labelFeeds } from "../text/padding.ts";
import { type Executor, stepping } from "../onnx/program.ts";
import { type Graph, trace } from "../tensor/graph.ts";

/** A text as tokens, and its labels: each is predicted at a position of the text. */
export interface TargetRow {
  readonly ids: readonly number[];
  readonly labels: readonly { readonly at: number; readonly label: number }[];
}

/** Tokens per pass, including pads. */
const PASS = 2048;

/** Losses (nats) by row and target token, and the gradient, at a weight's numbers; `between` is called before each pass. */
export type WeightPasses = (weight: NdArray, between: () => void) => Promise<{ losses: number[][]; gradient: Float32Array }>;

/**
 * From a weight to the losses of each row's target tokens and the gradient of their mean (with equal row weights), in passes of about
 * {@link PASS} tokens. The layers below the weight are computed once.
 */
export async function weightPasses(
  model: Model,
  name: WeightName,
  rows: readonly TargetRow[],
  { dtype, executor }: { readonly dtype: Precision; readonly executor: Executor },
): Promise<WeightPasses> {
  const graph = lossGraph(model, name, dtype);
  const groups = grouped(
    rows.map((row, index) => ({ ...row, index })),
    (r) => r.ids.length,
    PASS,
  );
  const steps: Awaited<ReturnType<typeof stepping>>[] = [];
  for (const group of groups) {
    const batch = padded(
      group.map((r) => r.ids),
      model.tokenizer.pad,
      "right",
    );
    const T = batch.tokens.shape[1]!;
    const places = group.flatMap(({ labels }, b) =>
      labels.map(({ at, label }) => ({ at: b * T + at, label, weight: 1 / (rows.length * labels.length) })),
    );
    const feeds = feedsOf(model, {
      ...batch,
      ...labelFeeds(places, dtype),
    });
    steps.push(await stepping(model.sessions, graph, ["weight"], feeds, { executor, grad: { of: "loss", wrt: ["weight"] }, spin: true }));
  }
  return async (weight, between) => {
    const losses: number[][] = rows.map(() => []);
    const gradient = new Float32Array(weight.data.length);
    for (const [i, group] of groups.entries()) {
      between();
      const out = await steps[i]!(new Map([["weight", weight]]));
      let next = 0;
      for (const { index, labels } of group) losses[index] = labels.map(() => -Number(out["logprobs"]!.data[next++]));
      const slope = out["grad:weight"]!.data;
      for (let j = 0; j < gradient.length; j++) gradient[j]! += Number(slope[j]);
    }
    return { losses, gradient };
  };
}

/** A graph from a weight to the log-probability of each label, and the loss. */
function lossGraph(model: Model, name: string, dtype: Precision): Graph {
  return trace((t) => {
    const weight = t.input("weight", dtype, model.weights.get(name)!.shape);
    const lm = traced(model, t, dtype, { [name]: weight });
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
    });
    const { picked } = lm.logProbs(lm.normed(hidden, t.input("rows", "int64", ["N"])), t.input("labels", "int64", ["N"]));
    const loss = picked
      .mul(t.input("weights", dtype, ["N"]))
      .sum()
      .neg();
    return { loss, logprobs: picked };
  });
}
