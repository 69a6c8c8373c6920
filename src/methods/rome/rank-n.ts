/** ROME for n requests together: one change of rank n that gives each key its own value. */
import { fail } from "../../base/fail.ts";
import type { Carried, Draft } from "../../edit/edit.ts";
import { dot, norm } from "../../locate/keys.ts";
import { arraysIn, asCarried } from "../../locate/joint.ts";
import { addTo, type Gemm, type Matrix, matrix, sideBySide, transpose } from "../../onnx/linalg.ts";

/** What was found for n requests on the base, a column for each. */
export interface Inserted {
  /** The keys K [m, n]. */
  readonly keys: Matrix;
  /** The directions U [m, n], each as for its request alone. */
  readonly directions: Matrix;
  /** The values V [D, n] to give, and those that the base gives, W·K [D, n]. */
  readonly values: Matrix;
  readonly outputs: Matrix;
}

const NAMES = ["keys", "directions", "values", "outputs"] as const;

/** The requests of the sequence so far and one more. Refuses earlier edits that were written on top. */
export function withEarlier(previous: Carried | undefined, own: Inserted): Inserted {
  if (!previous) return own;
  const earlier = arraysIn("rome", previous, NAMES);
  return Object.fromEntries(NAMES.map((name) => [name, sideBySide(earlier[name] as Matrix, own[name])])) as unknown as Inserted;
}

/** What an edit keeps of them. */
export const keptOf = ({ keys, directions, values, outputs }: Inserted): NonNullable<Draft["memory"]> =>
  asCarried({ keys, directions, values, outputs });

/**
 * ΔW = (V − W·K)·(Uᵀ·K)⁻¹·Uᵀ as its factors [D, n] and [n, m]: W + ΔW maps each key to its value, and changes nothing that is orthogonal to
 * all directions. With one second moment M for all, U = M⁻¹·K, and ΔW is the smallest such change under M (tr ΔW·M·ΔWᵀ); with n = 1 it is
 * ROME's. Refuses keys that are so alike that they cannot have different values.
 */
export async function rankN({ keys, directions, values, outputs }: Inserted, gemm: Gemm): Promise<readonly [left: Matrix, right: Matrix]> {
  const residuals = addTo(matrix(values.shape[0]!, values.shape[1]!, values.data.slice()), outputs, -1);
  const [k, u] = [transpose(keys), transpose(directions)];
  const lengths = unitRows(k);
  unitRows(u); // a direction has no length
  const right = solved(await gemm(u, k, { transB: true }), u, () => mostAlike(k));
  const [n, m] = right.shape as [number, number];
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) right.data[i * m + j]! /= lengths[i]!;
  return [residuals, right];
}

/** Scales the rows of a matrix to length 1, in place, and returns their lengths. */
function unitRows({ data, shape }: Matrix): number[] {
  const [rows, width] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => {
    const row = data.subarray(i * width, (i + 1) * width);
    const length = norm(row);
    for (let j = 0; j < width; j++) row[j]! /= length;
    return length;
  });
}

/** The smallest pivot, relative to 1, with which a system counts as solvable: keys in float32 agree to about 1e-7. */
const LEAST = 1e-6;

/** X with A·X = B for any A [n, n], by elimination with pivots; `alike` says what is wrong if A is singular. */
function solved(a: Matrix, b: Matrix, alike: () => string): Matrix {
  const [n, m] = b.shape as [number, number];
  const [left, out] = [matrix(n, n, a.data.slice()), matrix(n, m, b.data.slice())];
  const subtract = ({ data }: Matrix, width: number, from: number, row: number, times: number): void => {
    for (let j = 0; j < width; j++) data[row * width + j]! -= times * data[from * width + j]!;
  };
  const order = [...Array(n).keys()];
  for (let c = 0; c < n; c++) {
    let best = c;
    for (let r = c + 1; r < n; r++) if (Math.abs(left.data[order[r]! * n + c]!) > Math.abs(left.data[order[best]! * n + c]!)) best = r;
    [order[c], order[best]] = [order[best]!, order[c]!];
    const pivot = left.data[order[c]! * n + c]!;
    if (!(Math.abs(pivot) > LEAST * Math.abs(a.data[c * n + c]!)))
      fail(
        "rome",
        alike(),
        "keys that can have different values",
        "Leave one of the requests out, or take --set sequence=on-top, where the later one counts.",
        "execution",
      );
    for (const r of order) {
      if (r === order[c]) continue;
      const times = left.data[r * n + c]! / pivot;
      subtract(left, n, order[c]!, r, times);
      subtract(out, m, order[c]!, r, times);
    }
  }
  const x = matrix(n, m);
  for (const [c, r] of order.entries()) for (let j = 0; j < m; j++) x.data[c * m + j] = out.data[r * m + j]! / left.data[r * n + c]!;
  return x;
}

/** Names the two of n unit keys [n, m] that are most alike. */
function mostAlike({ data, shape }: Matrix): string {
  const [n, m] = shape as [number, number];
  const row = (i: number): Float64Array => data.slice(i * m, (i + 1) * m);
  let most = { cos: -1, i: 0, j: 0 };
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const cos = dot(row(i), row(j));
      if (cos > most.cos) most = { cos, i, j };
    }
  return `requests ${most.j + 1} and ${most.i + 1} of the sequence, whose keys are almost the same (cosine ${most.cos.toFixed(6)})`;
}

/** ‖L·R‖ from the factors [D, n] and [n, m]. */
export async function productNorm(left: Matrix, right: Matrix, gemm: Gemm): Promise<number> {
  const [a, b] = [await gemm(left, left, { transA: true }), await gemm(right, right, { transB: true })];
  return Math.sqrt(Math.max(0, dot(a.data, b.data)));
}
