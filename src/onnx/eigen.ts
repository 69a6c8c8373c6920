/** Float64 eigenproblems of symmetric matrices: all eigenvalues by Householder and QL, or only the projector on the small ones. */
import { checkAbort, type Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { cholesky, choleskySolve, type Gemm, identity, type Matrix, matrix, shifted, squareSide } from "./linalg.ts";

export interface Eigen {
  /** Eigenvalues, ascending. */
  readonly values: Float64Array;
  /** [n, n]; row i is the eigenvector of values[i]. */
  readonly vectors: Matrix;
}

const MOST = 1536;

/** All eigenvalues and eigenvectors of a symmetric matrix (the lower triangle is read); refuses more than 1,536 rows. */
export function eigh(a: Matrix, ctx?: Context): Eigen {
  const n = squareSide("eigh", a);
  if (n > MOST) fail("eigh", `${n} rows`, `at most ${MOST}`, "Use spectralProjector, which needs no eigenvectors.", "usage");
  const { q, d, e } = tridiagonal(a, ctx);
  implicitQl(d, e, q, ctx);
  const order = Array.from(d.keys()).sort((i, j) => d[i]! - d[j]!);
  const vectors = matrix(n, n);
  order.forEach((from, to) => vectors.data.set(q.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => d[i]!), vectors };
}

/**
 * Householder reduction: A = Qᵀ·T·Q with T tridiagonal (diagonal d, below it e[1..]); Q row-major.
 * Each reflection works on whole rows: w = A·v, then A −= v·wᵀ + w·vᵀ on the remaining part.
 */
function tridiagonal(a: Matrix, ctx?: Context): { q: Float64Array; d: Float64Array; e: Float64Array } {
  const n = a.shape[0]!;
  const t = a.data.slice(); // lower triangle: the part that is not yet reduced; its rows store the reflectors, from the bottom
  const [d, e, scale, w] = [new Float64Array(n), new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  for (let i = n - 1; i > 0; i--) {
    if (ctx && i % 64 === 0) checkAbort(ctx, "eigh");
    d[i] = t[i * n + i]!;
    const v = t.subarray(i * n, i * n + i); // row i left of the diagonal → a reflector
    let norm = 0;
    for (let k = 0; k < i - 1; k++) norm = Math.max(norm, Math.abs(v[k]!));
    if (norm === 0) {
      // already tridiagonal here
      e[i] = v[i - 1]!;
      continue;
    }
    const length = lengthOf(v, Math.max(norm, Math.abs(v[i - 1]!)));
    e[i] = v[i - 1]! > 0 ? -length : length;
    v[i - 1]! -= e[i]!;
    scale[i] = -1 / (e[i]! * v[i - 1]!); // H = I − scale·v·vᵀ, where vᵀv·scale = 2
    reflectRows(t, n, i, v, scale[i]!, w);
  }
  d[0] = t[0]!;
  return { q: product(t, n, scale), d, e };
}

/** The Euclidean length, scaled so that it cannot overflow. */
function lengthOf(v: Float64Array, unit: number): number {
  let sum = 0;
  for (let k = 0; k < v.length; k++) sum += (v[k]! / unit) ** 2;
  return unit * Math.sqrt(sum);
}

/** A ← H·A·H on the leading i rows; only the lower triangle is stored. */
function reflectRows(t: Float64Array, n: number, i: number, v: Float64Array, scale: number, w: Float64Array): void {
  w.fill(0, 0, i);
  for (let r = 0; r < i; r++) {
    const row = r * n;
    const x = v[r]!;
    let sum = 0;
    for (let c = 0; c < r; c++) {
      sum += t[row + c]! * v[c]!;
      w[c]! += t[row + c]! * x;
    }
    w[r]! += sum + t[row + r]! * x;
  }
  let vw = 0;
  for (let r = 0; r < i; r++) vw += v[r]! * (w[r]! *= scale);
  for (let r = 0; r < i; r++) w[r]! -= (scale / 2) * vw * v[r]!;
  for (let r = 0; r < i; r++) {
    const row = r * n;
    const x = v[r]!;
    const y = w[r]!;
    for (let c = 0; c <= r; c++) t[row + c]! -= x * w[c]! + y * v[c]!;
  }
}

/** Q of A = Qᵀ·T·Q from the reflectors in the rows of `t`: reflection i touches the leading i columns of the leading i rows. */
function product(t: Float64Array, n: number, scale: Float64Array): Float64Array {
  const q = identity(n).data;
  for (let i = 1; i < n; i++) {
    if (scale[i] === 0) continue;
    const v = t.subarray(i * n, i * n + i);
    for (let r = 0; r < i; r++) {
      const row = r * n;
      let along = 0; // (Q·v)[r]
      for (let c = 0; c < i; c++) along += q[row + c]! * v[c]!;
      const x = scale[i]! * along;
      for (let c = 0; c < i; c++) q[row + c]! -= x * v[c]!;
    }
  }
  return q;
}

/** Eigenvalues of the tridiagonal (d, e) into d, by QL with implicit shifts; the same rotations turn the rows of q into eigenvectors. */
function implicitQl(d: Float64Array, e: Float64Array, q: Float64Array, ctx?: Context): void {
  const n = d.length;
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  const turns = new Rotations(q, n);
  for (let l = 0; l < n; l++) {
    if (ctx && l % 16 === 0) checkAbort(ctx, "eigh");
    for (let sweeps = 0; ; sweeps++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) m++;
      if (m === l) break;
      if (sweeps === 60)
        fail("eigh", `eigenvalue ${l} of ${n} did not converge in 60 sweeps`, "a symmetric matrix of finite numbers", "", "internal");
      sweep(d, e, l, m, turns);
    }
  }
  turns.apply();
}

/** One QL sweep over rows l to m. */
function sweep(d: Float64Array, e: Float64Array, l: number, m: number, turns: Rotations): void {
  const slope = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  let g = d[m]! - d[l]! + e[l]! / (slope + (slope < 0 ? -1 : 1) * Math.sqrt(slope * slope + 1));
  let [sine, cosine, carried] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // the matrix splits here
      d[i + 1]! -= carried;
      e[m] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1]! - carried;
    const turned = (d[i]! - g) * sine + 2 * cosine * b;
    carried = sine * turned;
    d[i + 1] = g + carried;
    g = cosine * turned - b;
    turns.add(i, cosine, sine);
  }
  d[l]! -= carried;
  e[l] = g;
  e[m] = 0;
}

const CHUNK = 64;
const PENDING = 1 << 16;

/** Rotations of neighbouring rows, collected and applied to a strip of columns that fits into the processor's cache. */
class Rotations {
  private readonly rows = new Int32Array(PENDING);
  private readonly turns = new Float64Array(2 * PENDING);
  private readonly q: Float64Array;
  private readonly n: number;
  private count = 0;

  constructor(q: Float64Array, n: number) {
    this.q = q;
    this.n = n;
  }

  add(row: number, cosine: number, sine: number): void {
    if (this.count === PENDING) this.apply();
    this.rows[this.count] = row;
    this.turns[2 * this.count] = cosine;
    this.turns[2 * this.count++ + 1] = sine;
  }

  apply(): void {
    const { q, n, rows, turns, count } = this;
    for (let left = 0; left < n; left += CHUNK) {
      const width = Math.min(CHUNK, n - left);
      for (let t = 0; t < count; t++) {
        const cosine = turns[2 * t]!;
        const sine = turns[2 * t + 1]!;
        const upper = rows[t]! * n + left;
        const end = upper + width;
        for (let k = upper; k < end; k++) {
          const a = q[k]!;
          const b = q[k + n]!;
          q[k + n] = sine * a + cosine * b;
          q[k] = cosine * a - sine * b;
        }
      }
    }
    this.count = 0;
  }
}

/** Odd polynomials x·(a + b·x² + c·x⁴): the first moves values away from 0 quickly, the second converges to ±1. */
const PUSH = [3.4445, -4.775, 2.0315] as const;
const SETTLE = [1.875, -1.25, 0.375] as const;
const PUSHES = 9;
const STEPS = 40;

/**
 * The orthogonal projector on the eigenvectors of C whose eigenvalues are below `threshold`, and its rank; C is positive semidefinite.
 * It uses the matrix sign of C − threshold, without eigenvectors: a Cayley step, so that only the gap around the threshold matters, then
 * polynomial iterations. Fails if an eigenvalue cannot be distinguished from the threshold (within about 1e-9 of it).
 */
export async function spectralProjector(
  c: Matrix,
  threshold: number,
  gemm: Gemm,
  ctx?: Context,
): Promise<{ projector: Matrix; rank: number }> {
  const n = squareSide("spectralProjector", c);
  if (!(threshold > 0 && Number.isFinite(threshold))) fail("spectralProjector", `threshold ${threshold}`, "a positive number", "");
  let x = await cayley(c, threshold, gemm, ctx);
  for (let step = 0, left = Infinity; left > 1e-12 * n; step++) {
    if (ctx) checkAbort(ctx, "spectralProjector");
    if (step === STEPS)
      fail(
        "spectralProjector",
        `an eigenvalue within about 1e-9 of the threshold ${threshold}`,
        "a gap around it",
        "Change the threshold by one percent.",
        "execution",
      );
    x = await improve(x, step < PUSHES ? PUSH : SETTLE, gemm);
    left = step < PUSHES ? Infinity : Math.abs(n - squares(x));
  }
  const projector = matrix(
    n,
    n,
    x.data.map((value) => -value / 2),
  );
  let trace = 0;
  for (let i = 0; i < n; i++) trace += projector.data[i * n + i]! += 0.5;
  const rank = Math.round(trace);
  if (Math.abs(trace - rank) > 1e-6 * Math.max(1, Math.sqrt(n)))
    fail(
      "spectralProjector",
      `a projector whose trace is ${trace}`,
      "a whole number, its rank",
      "Change the threshold by one percent.",
      "execution",
    );
  return { projector, rank };
}

/** (C + t)⁻¹·(C − t) = 1 − 2t·(C + t)⁻¹: eigenvalues (λ − t)/(λ + t), in (−1, 1), negative below the threshold. */
async function cayley(c: Matrix, t: number, gemm: Gemm, ctx?: Context): Promise<Matrix> {
  const n = c.shape[0]!;
  const inverse = await choleskySolve(await cholesky(shifted(c, t), gemm, ctx), identity(n), gemm, ctx);
  return symmetric(
    shifted(
      matrix(
        n,
        n,
        inverse.data.map((value) => -2 * t * value),
      ),
      1,
    ),
  );
}

/** x·(a + b·x² + c·x⁴), symmetrised. */
async function improve(x: Matrix, [a, b, c]: readonly [number, number, number], gemm: Gemm): Promise<Matrix> {
  const square = await gemm(x, x);
  const fourth = await gemm(square, square);
  const sum = matrix(
    x.shape[0]!,
    x.shape[1]!,
    square.data.map((value, i) => b * value + c * fourth.data[i]!),
  );
  return symmetric(await gemm(x, shifted(sum, a)));
}

/** (A + Aᵀ)/2, in place. */
function symmetric(a: Matrix): Matrix {
  const n = a.shape[0]!;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const mean = (a.data[i * n + j]! + a.data[j * n + i]!) / 2;
      a.data[i * n + j] = mean;
      a.data[j * n + i] = mean;
    }
  return a;
}

const squares = ({ data }: Matrix): number => {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! ** 2;
  return sum;
};
