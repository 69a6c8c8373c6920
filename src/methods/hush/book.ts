/** What an edit of hush consists of: directions with thresholds, values, and the adapter that looks them up. */
import { floats, ints, type NdArray } from "../../base/array.ts";
import type { Carried } from "../../edit/edit.ts";
import { idsIn, idsOf, stacked } from "../../locate/codebook.ts";
import { rowOf } from "../../locate/keys.ts";
import type { Adapter } from "../../model/adapter.ts";
import type { Model, Precision } from "../../model/model.ts";
import { siteName } from "../../model/names.ts";
import { trace } from "../../tensor/graph.ts";

/** A fact: the direction u [m] that meets its key with 1, the threshold, and which of the values it uses. */
export interface Fact {
  readonly direction: Float64Array;
  readonly threshold: number;
  readonly value: number;
}

/** A shift [D]. `target` has the token ids of the words that it stands for; it is empty for the value of one fact alone. */
export interface Shift {
  readonly shift: Float64Array;
  readonly target: readonly number[];
}

export interface Book {
  readonly facts: readonly Fact[];
  readonly values: readonly Shift[];
}

/** A score below every other. */
const NONE = -1e30;

/**
 * A book as a change of the model. The key of token t meets fact i with `s(i, t) = u_i · k_t`. Of the pairs that reach the fact's threshold,
 * the largest decides: the fact's value is added at that one token of the question. Of equal pairs the first token decides, then the first
 * fact. A question without such a pair stays as it is, bit for bit.
 */
export function adapterOf(model: Model, { facts, values }: Book, layer: number, dtype: Precision): { readonly kind: "adapter" } & Adapter {
  const [m, D] = [model.config.mlpWidth, model.config.width];
  const writes = siteName(layer, "resid_post");
  const graph = trace((t) => {
    const [keys, state] = [t.input("reads.0", dtype, ["B", "T", m]), t.input("reads.1", dtype, ["B", "T", D])];
    const none = t.constant(NONE, dtype);
    const meets = keys.matmul(t.input("state.directions", dtype, ["N", m]), { transB: true }); // [B, T, N]
    const isOpen = t
      .input("state.thresholds", dtype, ["N"])
      .lessOrEqual(meets)
      .and(t.input("prompt", "bool", ["B", "T"]).unsqueeze(2));
    const passing = isOpen.where(meets, none);
    const best = passing.max(-1); // [B, T]
    const isHit = none.less(best.max(-1)).cast(dtype); // [B]
    const here = isHit.place(best.argmax(), "T"); // [B, T]: 1 at the token that decides
    const fact = here.unsqueeze(1).matmul(passing).reshape(["B", "N"]).argmax(); // [B]
    const value = t.input("state.values", dtype, ["M", D]).rows(t.input("state.of", "int64", ["N"]).rows(fact)); // [B, D]
    const isHere = t.constant(0, dtype).less(here).unsqueeze(2);
    return { write: isHere.where(state.add(value.unsqueeze(1)), state) };
  });
  return {
    kind: "adapter",
    reads: [siteName(layer, model.arch.memory.key), writes],
    writes,
    graph,
    route: "prefill",
    state: {
      directions: stacked(
        facts.map((fact) => fact.direction),
        dtype,
      ),
      thresholds: floats(
        facts.map((fact) => fact.threshold),
        [facts.length],
        dtype,
      ),
      of: ints(facts.map((fact) => fact.value)),
      values: stacked(
        values.map((value) => value.shift),
        dtype,
      ),
    },
  };
}

/** What later edits of a sequence look up: the target of each value. */
export const targetsOf = ({ values }: Book): Record<string, NdArray> => ({ targets: idsOf(values.map((value) => value.target)) });

/** The book of the previous edit; empty if there is none. */
export function bookOf(previous: Carried | undefined): Book {
  if (!previous?.adapter) return { facts: [], values: [] };
  const { directions, thresholds, of, values } = previous.adapter.state as Record<string, NdArray>;
  const targets = previous.memory!["targets"]!;
  return {
    facts: Array.from({ length: of!.shape[0]! }, (_, i) => ({
      direction: rowOf(directions!, i),
      threshold: Number(thresholds!.data[i]),
      value: Number(of!.data[i]),
    })),
    values: Array.from({ length: values!.shape[0]! }, (_, i) => ({ shift: rowOf(values!, i), target: idsIn(targets, i) })),
  };
}
