/** What training minimises: traced losses over batches of rows. */
import { floats, ints, type NdArray } from "../base/array.ts";
import type { TracedModel } from "../model/forward.ts";
import type { Model } from "../model/model.ts";
import { padded } from "../model/rows.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LabelledRow } from "./batches.ts";

/** A loss: how it is traced, and what a pass over some of a step's rows feeds it. */
export interface Objective<Row> {
  readonly name: string;
  /** Tokens a row takes, for padding and memory. */
  lengthOf(row: Row): number;
  /** What a row weighs in a step's mean. */
  weightOf(row: Row): number;
  /** The program's outputs: "loss", a scalar, is this pass's share of the step's loss; others are reported. */
  build(lm: TracedModel): Readonly<Record<string, Tensor>> & { readonly loss: Tensor };
  /** Inputs for some of a step's rows, when all of them together weigh `total`: shares of passes add up to the step's loss. */
  feed(model: Model, rows: readonly Row[], total: number): Readonly<Record<string, NdArray>>;
}

/** Mean negative log-likelihood over the labels of a step, however it is cut into passes. */
export const nll: Objective<LabelledRow> = {
  name: "nll",
  lengthOf: (row) => row.ids.length,
  weightOf: (row) => row.labels.length,
  build(lm) {
    const t = lm.trace;
    const logprobs = labelLogProbs(lm);
    const shares = t.input("shares", "float32", ["M"]).cast(lm.dtype);
    return { loss: logprobs.mul(shares).sum().neg() };
  },
  feed(model, rows, total) {
    const places = labelPlaces(model, rows);
    return { ...places, shares: floats(new Float32Array(places.labels.shape[0]!).fill(1 / total)) };
  },
};

/** Log-probabilities of the labels [M] of right-padded tokens [B, T]; computes the head at label positions only. */
export function labelLogProbs(lm: TracedModel): Tensor {
  const t = lm.trace;
  const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
    positions: t.input("positions", "int64", ["B", "T"]),
    real: t.input("real", "bool", ["B", "T"]),
  });
  return lm.normed(hidden, t.input("rows", "int64", ["M"])).labelLogProbs(lm.head(), t.input("labels", "int64", ["M"])).picked;
}

/** What {@link labelLogProbs} is fed: a label at position i of a row is predicted from position i − 1. */
export function labelPlaces(
  model: Model,
  rows: readonly LabelledRow[],
): { tokens: NdArray; positions: NdArray; real: NdArray; rows: NdArray; labels: NdArray } {
  const { tokens, positions, real } = padded(
    rows.map((row) => row.ids),
    model.tokenizer.pad,
    "right",
  );
  const T = tokens.shape[1]!;
  const places = rows.flatMap((row, b) => row.labels.map((i) => ({ at: b * T + i - 1, label: row.ids[i]! })));
  return { tokens, positions, real, rows: ints(places.map((p) => p.at)), labels: ints(places.map((p) => p.label)) };
}
