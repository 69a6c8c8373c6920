/** What changes of a matrix give, by hand: all of them added anew, number by number. */
import { asFloats, floats, type NdArray } from "../../src/base/array.ts";
import type { Delta } from "../../src/edit/edit.ts";

/**
 * A matrix with every change on top: products are summed in float64 and rounded once; differences, which an edit keeps as one, are rounded
 * after each. Changes are all products, or all differences.
 */
export function asIfAtOnce(before: NdArray, deltas: readonly Delta[]): NdArray {
  const [rows, columns] = before.shape as [number, number];
  const isWide = deltas.some((d) => ("outer" in d ? d.outer : [(d as { dense: NdArray }).dense]).some((a) => a.dtype === "float64"));
  const dtype = isWide ? "float64" : "float32";
  const out = Array.from(asFloats(before, "float64").data);
  const difference = new Array<number>(out.length).fill(0);
  for (const delta of deltas)
    if ("outer" in delta) {
      const [left, right] = delta.outer;
      const rank = left.shape[1]!;
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          for (let k = 0; k < rank; k++) out[i * columns + j]! += Number(left.data[i * rank + k]) * Number(right.data[k * columns + j]);
    } else {
      const { data } = (delta as { dense: NdArray }).dense;
      difference.forEach((d, i) => (difference[i] = isWide ? d + Number(data[i]) : Math.fround(d + Number(data[i]))));
    }
  return floats(
    out.map((x, i) => x + difference[i]!),
    before.shape,
    dtype,
  );
}
