/** Two edits in a row as one: what a sequence of edits folds into. */
import { asFloats, floats, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { canonical } from "../base/hash.ts";
import type { Precision } from "../model/model.ts";
import { changed } from "./apply.ts";
import { type Change, type Delta, type Draft, wordsOf } from "./edit.ts";

/**
 * The change of `first` and then `second`; what must be remembered is the second's, which was made knowing the first. An
 * adapter's state holds what it continued already.
 */
export function merged(first: Draft, second: Draft): Draft {
  const memory = second.memory ?? first.memory;
  return { change: mergedChange(first.change, second.change), ...(memory && { memory }) };
}

/** Matrices are added up; entries of prompt edits stand one after the other; an adapter was made from the one before. */
function mergedChange(first: Change, second: Change): Change {
  if (first.kind === "delta" && second.kind === "delta") {
    const weights: Record<string, Delta> = { ...first.weights };
    for (const [name, delta] of Object.entries(second.weights)) {
      const before = weights[name];
      weights[name] = before ? both(name, before, delta) : delta;
    }
    return { kind: "delta", weights };
  }
  if (first.kind === "adapter" && second.kind === "adapter") return second;
  const about = (change: Change): string => canonical({ ...wordsOf(change), entries: [] });
  if (first.kind !== "prompt" || second.kind !== "prompt" || about(first) !== about(second))
    return fail(
      "edit",
      "two edits of different kinds, encoders or frames",
      "two of one kind to make one of",
      "Stack them: lethe edits stack.",
    );
  return { ...first, entries: [...first.entries, ...second.entries] };
}

/** A matrix's two changes as one: outer products side by side, otherwise added up. */
function both(name: string, a: Delta, b: Delta): Delta {
  if ("value" in b) return b;
  if ("value" in a) return { value: changed(name, a.value, b) };
  if ("dense" in a) return { dense: changed(name, a.dense, b) };
  if ("dense" in b) return { dense: changed(name, b.dense, a) };
  return { outer: [joined(a.outer[0], b.outer[0], 1), joined(a.outer[1], b.outer[1], 0)] };
}

/** [a, b] along an axis of two. */
function joined(a: NdArray, b: NdArray, axis: 0 | 1): NdArray {
  const [x, y] = [a, b].map((p) => asFloats(p, "float64").data as Float64Array) as [Float64Array, Float64Array];
  const dtype = wider(a, b);
  if (axis === 0) return floats(concat(x, y), [a.shape[0]! + b.shape[0]!, a.shape[1]!], dtype);
  const [rows, m, n] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
  const out = new Float64Array(rows * (m + n));
  for (let i = 0; i < rows; i++) {
    out.set(x.subarray(i * m, (i + 1) * m), i * (m + n));
    out.set(y.subarray(i * n, (i + 1) * n), i * (m + n) + m);
  }
  return floats(out, [rows, m + n], dtype);
}

function concat(x: Float64Array, y: Float64Array): Float64Array {
  const out = new Float64Array(x.length + y.length);
  out.set(x);
  out.set(y, x.length);
  return out;
}

const wider = (a: NdArray, b: NdArray): Precision => (a.dtype === "float64" || b.dtype === "float64" ? "float64" : "float32");
