/** What training minimises: a loss as it is traced, and what a pass over some of a step's rows feeds it. */
import { floats, ints, type NdArray } from "../base/array.ts";
import type { TracedModel } from "../model/forward.ts";
import type { Model, Precision } from "../model/model.ts";
import { padded } from "../text/padding.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LabelledRow } from "./batches.ts";

/** Some of a step's rows, computed at once; a step is one pass or several whose losses and gradients add up. */
export interface Pass<Row> {
  readonly model: Model;
  readonly rows: readonly Row[];
  /** All rows of the step: what means are taken over. */
  readonly step: readonly Row[];
  readonly dtype: Precision;
}

/** A loss in a trace. */
export interface Traced<Row> {
  /** "loss", a scalar, is a pass's share of the step's loss; other scalars are shares too, and reported. */
  readonly outputs: Readonly<Record<string, Tensor>> & { readonly loss: Tensor };
  /** Pads are read as well: their states count, whatever comes below. */
  readonly countsPads?: boolean;
  /** The inputs of a pass by name, beyond weights and what the model has. */
  feed(pass: Pass<Row>): Readonly<Record<string, NdArray>>;
}

export interface Objective<Row> {
  /** Stands for the loss in a run's identity: what it is and every constant in it. */
  readonly name: string;
  /** Tokens that a row takes in a pass, pads between its own parts among them: what passes are cut by. */
  lengthOf(row: Row): number;
  /** Of those, the ones that are no pads. */
  tokensOf(row: Row): number;
  /** `reference`: the model as it was before training, in the same trace; nothing of it is trained. */
  build(lm: TracedModel, reference: () => TracedModel): Traced<Row>;
  /** Numbers that stand still within a step and follow from the last: input "state" [n] of the trace, and its next value. */
  readonly state?: {
    readonly start: readonly number[];
    next(state: readonly number[], seen: { readonly step: number; readonly outputs: Readonly<Record<string, number>> }): readonly number[];
  };
}

/** Mean negative log-likelihood over the labels of a step, however it is cut into passes. */
export const nll: Objective<LabelledRow> = {
  name: "nll",
  lengthOf: (row) => row.ids.length,
  tokensOf: (row) => row.ids.length,
  build(lm) {
    const t = lm.trace;
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
    });
    const { picked } = lm.normed(hidden, t.input("rows", "int64", ["M"])).labelLogProbs(lm.head(), t.input("labels", "int64", ["M"]));
    const loss = picked
      .mul(t.input("shares", lm.dtype, ["M"]))
      .sum()
      .neg();
    return { outputs: { loss }, feed: labelPlaces };
  },
};

/** A label at position i of a row is predicted from position i − 1, and weighs as much as any other of the step. */
function labelPlaces({ model, rows, step, dtype }: Pass<LabelledRow>): Record<string, NdArray> {
  const batch = padded(
    rows.map((row) => row.ids),
    model.tokenizer.pad,
    "right",
  );
  const T = batch.tokens.shape[1]!;
  const places = rows.flatMap((row, b) => row.labels.map((i) => ({ at: b * T + i - 1, label: row.ids[i]! })));
  const total = step.reduce((sum, row) => sum + row.labels.length, 0);
  return {
    ...batch,
    rows: ints(places.map((p) => p.at)),
    labels: ints(places.map((p) => p.label)),
    shares: floats(
      places.map(() => 1 / total),
      [places.length],
      dtype,
    ),
  };
}
