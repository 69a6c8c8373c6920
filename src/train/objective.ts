/** What training minimises: a traced loss, and its inputs for a micro-batch. */
import { floats, ints, type NdArray } from "../base/array.ts";
import type { TracedModel } from "../model/forward.ts";
import type { Model, Precision } from "../model/model.ts";
import { padded } from "../text/padding.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LabelledRow } from "./batches.ts";

/** A micro-batch: some of a step's rows. The losses and gradients of a step's micro-batches are summed. */
export interface Pass<Row> {
  readonly model: Model;
  readonly rows: readonly Row[];
  /** All rows of the step; means are over these. */
  readonly step: readonly Row[];
  readonly dtype: Precision;
}

/** A loss in a trace. */
export interface Traced<Row> {
  /** "loss", a scalar, is the micro-batch's share of the step's loss; other scalars are shares too, and are reported. */
  readonly outputs: Readonly<Record<string, Tensor>> & { readonly loss: Tensor };
  /** Whether the loss reads the states of pads. */
  readonly countsPads?: boolean;
  /** The inputs of a micro-batch by name, besides weights. */
  feed(pass: Pass<Row>): Readonly<Record<string, NdArray>>;
}

export interface Objective<Row> {
  /** Identifies the loss and all its constants in the hash of a run. */
  readonly name: string;
  /** Tokens of a row in a micro-batch, including pads between its parts; micro-batches are divided by it. */
  lengthOf(row: Row): number;
  /** The same without pads. */
  tokensOf(row: Row): number;
  /** `reference`: the reference model in the same trace; it is not trained. */
  build(lm: TracedModel, reference: () => TracedModel): Traced<Row>;
  /** Numbers that are constant within a step and depend on the previous one: the input "state" [n] of the trace, and its next value. */
  readonly state?: {
    readonly start: readonly number[];
    next(state: readonly number[], seen: { readonly step: number; readonly outputs: Readonly<Record<string, number>> }): readonly number[];
  };
}

/** Mean negative log-likelihood over the labels of a step, independent of its micro-batches. */
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
    const { picked } = lm.logProbs(lm.normed(hidden, t.input("rows", "int64", ["M"])), t.input("labels", "int64", ["M"]));
    const loss = picked
      .mul(t.input("shares", lm.dtype, ["M"]))
      .sum()
      .neg();
    return { outputs: { loss }, feed: labelPlaces };
  },
};

/** A label at position i of a row is predicted at position i − 1; all labels of the step have the same weight. */
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
