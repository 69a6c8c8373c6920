/** Float64 linear algebra for closed forms: small panels in JavaScript, large parts as matrix products of the engine. */
import { type NdArray, ndarray } from "../base/array.ts";
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { Graph } from "../tensor/graph.ts";
import { Trace } from "../tensor/trace.ts";
import type { Sessions } from "./session.ts";

/** A float64 matrix [rows, columns], row-major. */
export type Matrix = NdArray & { readonly data: Float64Array };

/** The product of two matrices, either of them transposed. */
export type Gemm = (a: Matrix, b: Matrix, options?: { readonly transA?: boolean; readonly transB?: boolean }) => Promise<Matrix>;

const BLOCK = 128;

/** The engine's float64 product: four small programs, compiled on first use and cached by `sessions`. */
export function gemmOn(sessions: Sessions): Gemm {
  const graphs = new Map<string, Graph>();
  return async (a, b, { transA = false, transB = false } = {}) => {
    const key = `${transA}/${transB}`;
    const graph = graphs.get(key) ?? productGraph(transA, transB);
    graphs.set(key, graph);
    const feeds = new Map([
      ["a", a],
      ["b", b],
    ]);
    const { c } = await sessions.use(graph, {}, (session) => session.run(feeds));
    return c as Matrix;
  };
}

function productGraph(transA: boolean, transB: boolean): Graph {
  const trace = new Trace();
  const a = trace.input("a", "float64", transA ? ["K", "M"] : ["M", "K"]);
  const b = trace.input("b", "float64", transB ? ["N", "K"] : ["K", "N"]);
  return new Graph([["c", a.matmul(b, { transA, transB })]]);
}

/** A matrix from numbers, shared. */
export const matrix = (rows: number, columns: number, data: Float64Array = new Float64Array(rows * columns)): Matrix =>
  ndarray("float64", [rows, columns], data) as Matrix;

/** The identity of n rows. */
export function identity(n: number): Matrix {
  const out = matrix(n, n);
  for (let i = 0; i < n; i++) out.data[i * n + i] = 1;
  return out;
}

/** Rows and columns of a float64 matrix; fails for anything else. */
function sizes(who: string, a: NdArray): [rows: number, columns: number] {
  if (a.dtype !== "float64" || a.shape.length !== 2) fail(who, `${a.dtype} [${a.shape.join(", ")}]`, "a float64 matrix", "", "internal");
  return [a.shape[0]!, a.shape[1]!];
}

/** The side of a square float64 matrix without NaN or infinity; fails naming the first entry that is not finite. */
export function squareSide(who: string, a: Matrix): number {
  const [n, columns] = sizes(who, a);
  if (n !== columns) fail(who, `[${n}, ${columns}]`, "a square matrix", "", "internal");
  const bad = a.data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0)
    fail(
      who,
      `entry [${Math.floor(bad / n)}, ${bad % n}] is ${a.data[bad]}`,
      "finite numbers",
      "Compute the statistics again. If the error repeats, the model itself overflows there.",
      "execution",
    );
  return n;
}

/**
 * The lower factor L of C = L·Lᵀ for a symmetric positive definite C (its lower triangle is read); above the diagonal L is zero.
 * Fails for entries that are not finite, and names the first pivot that is not positive.
 */
export async function cholesky(c: Matrix, gemm: Gemm, ctx?: Context): Promise<Matrix> {
  const n = squareSide("cholesky", c);
  const l = matrix(n, n);
  const floor = n * 2 ** -53 * largestDiagonal(c);
  for (let start = 0; start < n; start += BLOCK) {
    if (ctx) checkAbort(ctx, "cholesky");
    const width = Math.min(BLOCK, n - start);
    const panel = columnsOf(c, start, n, start, start + width); // [n - start, width]
    if (start > 0) {
      const before = columnsOf(l, start, n, 0, start); // [n - start, start]
      const top = matrix(width, start, before.data.subarray(0, width * start));
      addTo(panel, await gemm(before, top, { transB: true }), -1);
    }
    factorPanel(panel, width, start, n, floor);
    for (let i = 0; i < n - start; i++)
      for (let j = 0; j <= Math.min(i, width - 1); j++) l.data[(start + i) * n + start + j] = panel.data[i * width + j]!;
  }
  return l;
}

const largestDiagonal = (c: Matrix): number => {
  const n = c.shape[0]!;
  let most = 0;
  for (let i = 0; i < n; i++) most = Math.max(most, c.data[i * n + i]!);
  return most;
};

/** Factors a panel [rows, width] in place: its head becomes L₁₁, the rows below L₂₁. */
function factorPanel({ data: p, shape }: Matrix, width: number, start: number, n: number, floor: number): void {
  for (let i = 0; i < shape[0]!; i++) {
    const row = i * width;
    for (let j = 0; j < Math.min(i, width); j++) {
      const other = j * width;
      let sum = p[row + j]!;
      for (let k = 0; k < j; k++) sum -= p[row + k]! * p[other + k]!;
      p[row + j] = sum / p[other + j]!;
    }
    if (i >= width) continue;
    let pivot = p[row + i]!;
    for (let k = 0; k < i; k++) pivot -= p[row + k]! ** 2;
    if (!(pivot > floor))
      fail(
        "cholesky",
        `pivot ${start + i} of ${n} is ${pivot.toExponential(2)}: the matrix is not positive definite`,
        `pivots above ${floor.toExponential(2)}`,
        "Add a larger multiple of the identity, or collect the statistics over more tokens than the matrix has rows.",
        "execution",
      );
    p[row + i] = Math.sqrt(pivot);
  }
}

/** X with L·X = B, or Lᵀ·X = B with `transpose`; L is lower triangular, B is [n, r]. Fails at a zero on the diagonal. */
export async function solveTriangular(
  l: Matrix,
  b: Matrix,
  gemm: Gemm,
  { transpose = false, ctx }: { transpose?: boolean; ctx?: Context } = {},
): Promise<Matrix> {
  const [n] = sizes("solveTriangular", l);
  const [rows, r] = sizes("solveTriangular", b);
  if (rows !== n) fail("solveTriangular", `a right side of ${rows} rows`, `${n} rows, as in the matrix`, "", "internal");
  const x = matrix(n, r, b.data.slice());
  const starts = Array.from({ length: Math.ceil(n / BLOCK) }, (_, k) => k * BLOCK);
  for (const start of transpose ? starts.toReversed() : starts) {
    if (ctx) checkAbort(ctx, "solveTriangular");
    const end = Math.min(start + BLOCK, n);
    const here = matrix(end - start, r, x.data.subarray(start * r, end * r));
    if (!transpose && start > 0)
      addTo(here, await gemm(columnsOf(l, start, end, 0, start), matrix(start, r, x.data.subarray(0, start * r))), -1);
    if (transpose && end < n)
      addTo(here, await gemm(columnsOf(l, end, n, start, end), matrix(n - end, r, x.data.subarray(end * r)), { transA: true }), -1);
    solveBlock(l, start, end, here, transpose);
  }
  return x;
}

/** Solves with the block of L at [start, end), in place. */
function solveBlock({ data: l, shape }: Matrix, start: number, end: number, { data: x, shape: [, r] }: Matrix, transpose: boolean): void {
  const [n, width] = [shape[0]!, r!];
  const count = end - start;
  for (let step = 0; step < count; step++) {
    const i = transpose ? count - 1 - step : step;
    const pivot = l[(start + i) * n + start + i]!;
    if (pivot === 0) fail("solveTriangular", `a zero at [${start + i}, ${start + i}]`, "a diagonal without zeros", "", "execution");
    for (let other = 0; other < step; other++) {
      const j = transpose ? count - 1 - other : other;
      const factor = transpose ? l[(start + j) * n + start + i]! : l[(start + i) * n + start + j]!;
      if (factor !== 0) for (let k = 0; k < width; k++) x[i * width + k]! -= factor * x[j * width + k]!;
    }
    for (let k = 0; k < width; k++) x[i * width + k]! /= pivot;
  }
}

/** X with C·X = B, from the factor of C. */
export async function choleskySolve(l: Matrix, b: Matrix, gemm: Gemm, ctx?: Context): Promise<Matrix> {
  const lent = ctx ? { ctx } : {};
  return solveTriangular(l, await solveTriangular(l, b, gemm, lent), gemm, { transpose: true, ...lent });
}

/** X with C·X = B for a symmetric positive definite C; no inverse is formed. Fails like {@link cholesky}. */
export async function solveSymmetric(c: Matrix, b: Matrix, gemm: Gemm, ctx?: Context): Promise<Matrix> {
  return choleskySolve(await cholesky(c, gemm, ctx), b, gemm, ctx);
}

/**
 * X with (C + U·Uᵀ)·X = B, from the factor of C: the Woodbury identity, with a system of only as many rows as U [n, k] has columns.
 * If k is much smaller than n, one factor of C serves every set of keys.
 */
export async function woodburySolve(l: Matrix, u: Matrix, b: Matrix, gemm: Gemm, ctx?: Context): Promise<Matrix> {
  const z = await choleskySolve(l, u, gemm, ctx); // C⁻¹·U [n, k]
  const y = await choleskySolve(l, b, gemm, ctx); // C⁻¹·B [n, r]
  const inner = await gemm(u, z, { transA: true }); // Uᵀ·C⁻¹·U [k, k]
  const x = matrix(y.shape[0]!, y.shape[1]!, y.data.slice());
  return addTo(x, await gemm(z, await solveSymmetric(shifted(inner, 1), await gemm(u, y, { transA: true }), gemm, ctx)), -1);
}

/** A + s·I, a new matrix. */
export function shifted(a: Matrix, s: number): Matrix {
  const [n, columns] = sizes("shifted", a);
  const out = matrix(n, columns, a.data.slice());
  for (let i = 0; i < n; i++) out.data[i * columns + i]! += s;
  return out;
}

/** A + share·mean(diagonal)·I, a new matrix; the ridge is relative to the scale of A. */
export function ridged(a: Matrix, share: number): Matrix {
  const [n, columns] = sizes("ridged", a);
  const trace = Array.from({ length: n }, (_, i) => a.data[i * columns + i]!).reduce((x, y) => x + y, 0);
  return shifted(a, (share * trace) / n);
}

/** Aᵀ, a new matrix. */
export function transpose(a: Matrix): Matrix {
  const [rows, columns] = sizes("transpose", a);
  const out = matrix(columns, rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out.data[j * rows + i] = a.data[i * columns + j]!;
  return out;
}

/** [A, B], side by side, a new matrix. */
export function sideBySide(a: Matrix, b: Matrix): Matrix {
  const [rows, left] = sizes("sideBySide", a);
  const [others, right] = sizes("sideBySide", b);
  if (rows !== others) fail("sideBySide", `matrices of ${rows} and ${others} rows`, "the same number of rows", "", "internal");
  const out = matrix(rows, left + right);
  for (let i = 0; i < rows; i++) {
    out.data.set(a.data.subarray(i * left, (i + 1) * left), i * (left + right));
    out.data.set(b.data.subarray(i * right, (i + 1) * right), i * (left + right) + left);
  }
  return out;
}

/** A copy of the rows [top, bottom) and columns [left, right). */
export function columnsOf({ data, shape }: Matrix, top: number, bottom: number, left: number, right: number): Matrix {
  const stride = shape[1]!;
  const out = matrix(bottom - top, right - left);
  for (let i = top; i < bottom; i++) out.data.set(data.subarray(i * stride + left, i * stride + right), (i - top) * (right - left));
  return out;
}

/** a += scale·b, in place. */
export function addTo(a: Matrix, b: Matrix, scale = 1): Matrix {
  for (let i = 0; i < a.data.length; i++) a.data[i]! += scale * b.data[i]!;
  return a;
}
