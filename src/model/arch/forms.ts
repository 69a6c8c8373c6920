/** Other forms in which files store weights, with their way back. */
import type { NdArray } from "../../base/array.ts";
import type { Config, Form } from "./arch.ts";

/** A matrix [rows, columns] as [columns, rows]. */
export function transposed(array: NdArray): NdArray {
  const [rows, columns] = array.shape as [number, number];
  const data = array.data.slice();
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[j * rows + i] = array.data[i * columns + j]!;
  return { ...array, shape: [columns, rows], data };
}

/** The order of rows in which each head's rotated numbers are neighbours: llama.cpp's, from and to two halves. */
function paired(heads: number): Form {
  const moved = (array: NdArray, back: boolean): NdArray => {
    const rows = array.shape[0]!;
    const row = array.data.length / rows;
    const half = rows / heads / 2;
    const out = array.data.slice();
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < half; i++)
        for (let part = 0; part < 2; part++) {
          const [together, apart] = [h * 2 * half + 2 * i + part, h * 2 * half + part * half + i];
          const [from, to] = back ? [apart, together] : [together, apart];
          out.set(array.data.subarray(from * row, (from + 1) * row) as never, to * row);
        }
    return { ...array, data: out };
  };
  return { read: (array) => moved(array, false), write: (array) => moved(array, true) };
}

/** Queries and keys whose rotated rows are neighbours in the file. */
export const pairedRows = (c: Config): Readonly<Record<string, Form>> => {
  const [q, k] = [paired(c.heads), paired(c.kvHeads)];
  return { "blocks.{i}.attn.q": q, "blocks.{i}.attn.q.bias": q, "blocks.{i}.attn.k": k, "blocks.{i}.attn.k.bias": k };
};

const shifted =
  (by: number) =>
  (array: NdArray): NdArray => ({ ...array, data: (array.data as Float32Array).map((x) => x + by) });

/** A norm's weight that the file stores with 1 added. */
export const plusOne: Form = { read: shifted(-1), write: shifted(1) };
