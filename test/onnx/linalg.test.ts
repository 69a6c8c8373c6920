/** Float64 linear algebra against plain loops: residuals, blocks that do not divide the size, and what is refused. */
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { eigh, spectralProjector } from "../../src/onnx/eigen.ts";
import {
  cholesky,
  choleskySolve,
  type Gemm,
  gemmOn,
  identity,
  type Matrix,
  matrix,
  shifted,
  solveSymmetric,
  solveTriangular,
  woodburySolve,
} from "../../src/onnx/linalg.ts";
import { Sessions } from "../../src/onnx/session.ts";

const sessions = new Sessions(2);
afterAll(() => sessions.release());

/** Three loops: the oracle. */
const naive: Gemm = (a, b, { transA = false, transB = false } = {}) => {
  const [m, k] = transA ? [a.shape[1]!, a.shape[0]!] : [a.shape[0]!, a.shape[1]!];
  const n = transB ? b.shape[0]! : b.shape[1]!;
  const out = matrix(m, n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += a.data[transA ? p * m + i : i * k + p]! * b.data[transB ? j * k + p : p * n + j]!;
      out.data[i * n + j] = sum;
    }
  return Promise.resolve(out);
};

const GEMMS: readonly (readonly [string, Gemm])[] = [
  ["plain loops", naive],
  ["the engine", gemmOn(sessions)],
];

function random(rows: number, columns: number, seed: string): Matrix {
  const chance = rng(seed);
  return matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, () => chance.normal()),
  );
}

/** A symmetric positive definite matrix whose smallest eigenvalue is at least `ridge`. */
async function definite(n: number, ridge = 1e-3): Promise<Matrix> {
  const half = random(n, n, `definite/${n}`);
  const square = await naive(half, half, { transA: true });
  return shifted(
    matrix(
      n,
      n,
      square.data.map((x) => x / n),
    ),
    ridge,
  );
}

/** The largest |a − b| over the largest |b|. */
function apart(a: Matrix, b: Matrix): number {
  expect(a.shape).toEqual(b.shape);
  let [most, unit] = [0, 0];
  a.data.forEach((x, i) => {
    most = Math.max(most, Math.abs(x - b.data[i]!));
    unit = Math.max(unit, Math.abs(b.data[i]!));
  });
  return most / unit;
}

const SIZES = [1, 2, 17, 127, 128, 129, 200];

describe.each(GEMMS)("with the product of %s", (_, gemm) => {
  test("the product agrees with plain loops, each side transposed or not", async () => {
    const [m, k, n] = [5, 7, 3];
    for (const transA of [false, true])
      for (const transB of [false, true]) {
        const a = transA ? random(k, m, "a") : random(m, k, "a");
        const b = transB ? random(n, k, "b") : random(k, n, "b");
        expect(apart(await gemm(a, b, { transA, transB }), await naive(a, b, { transA, transB }))).toBeLessThan(1e-14);
      }
  });

  test.each(SIZES)("cholesky of %i rows: L·Lᵀ is the matrix, L is lower", async (n) => {
    const c = await definite(n);
    const before = c.data.slice();
    const l = await cholesky(c, gemm);
    expect(apart(await naive(l, l, { transB: true }), c)).toBeLessThan(1e-14);
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) expect(l.data[i * n + j]).toBe(0);
    expect(c.data).toEqual(before);
  });

  test("cholesky reads the lower triangle only", async () => {
    const c = await definite(130);
    const half = matrix(130, 130, c.data.slice());
    for (let i = 0; i < 130; i++) for (let j = i + 1; j < 130; j++) half.data[i * 130 + j] = 7;
    expect(await cholesky(half, gemm)).toEqual(await cholesky(c, gemm));
  });

  test.each(SIZES)("triangular solves of %i rows, upwards and downwards", async (n) => {
    const l = await cholesky(await definite(n), gemm);
    const b = random(n, 3, "right side");
    const down = await solveTriangular(l, b, gemm);
    expect(apart(await naive(l, down), b)).toBeLessThan(1e-11);
    const up = await solveTriangular(l, b, gemm, { transpose: true });
    expect(apart(await naive(l, up, { transA: true }), b)).toBeLessThan(1e-11);
  });

  test.each(SIZES)("a symmetric system of %i rows: the residual is of rounding", async (n) => {
    const c = await definite(n);
    const b = random(n, 5, "right side");
    const x = await solveSymmetric(c, b, gemm);
    expect(apart(await naive(c, x), b)).toBeLessThan(1e-11);
    expect(apart(await choleskySolve(await cholesky(c, gemm), b, gemm), x)).toBe(0);
  });

  test.each([
    [1, 1],
    [64, 3],
    [130, 40],
    [130, 150],
  ])("woodbury: %i rows, %i keys, as if the keys had been added first", async (n, k) => {
    const [c, u, b] = [await definite(n, 0.1), random(n, k, "keys"), random(n, 4, "right side")];
    const added = await naive(u, u, { transB: true });
    const whole = matrix(
      n,
      n,
      c.data.map((x, i) => x + added.data[i]!),
    );
    const x = await woodburySolve(await cholesky(c, gemm), u, b, gemm);
    expect(apart(x, await solveSymmetric(whole, b, gemm))).toBeLessThan(1e-10);
  });

  test.each([3, 40, 150])("the projector on small eigenvalues of %i rows is that of the eigenvectors", async (n) => {
    const c = await definite(n);
    const { values, vectors } = eigh(c);
    for (const cut of [Math.ceil(n / 3), n - 1]) {
      const threshold = (values[cut - 1]! + values[cut]!) / 2;
      const { projector, rank } = await spectralProjector(c, threshold, gemm);
      expect(rank).toBe(cut);
      const low = matrix(cut, n, vectors.data.slice(0, cut * n));
      expect(apart(projector, await naive(low, low, { transA: true }))).toBeLessThan(1e-10);
      expect(apart(await naive(projector, projector), projector)).toBeLessThan(1e-11);
    }
  });

  test("a threshold below or above all eigenvalues gives rank 0 and full rank", async () => {
    const c = await definite(20, 1);
    expect((await spectralProjector(c, 1e-3, gemm)).rank).toBe(0);
    expect((await spectralProjector(c, 1e3, gemm)).rank).toBe(20);
  });
});

describe("eigh", () => {
  test.each([1, 2, 3, 64, 65, 150])("%i rows: A·v = λ·v, ascending, orthonormal", async (n) => {
    const half = random(n, n, `eigh/${n}`);
    const a = matrix(
      n,
      n,
      half.data.map((x, i) => x + half.data[(i % n) * n + Math.floor(i / n)]!),
    );
    const { values, vectors } = eigh(a);
    expect([...values].sort((x, y) => x - y)).toEqual([...values]);
    expect(apart(await naive(vectors, vectors, { transB: true }), identity(n))).toBeLessThan(1e-13);
    const scaled = matrix(
      n,
      n,
      vectors.data.map((x, i) => x * values[Math.floor(i / n)]!),
    );
    expect(apart(await naive(vectors, a), scaled)).toBeLessThan(1e-13);
  });

  test("a known spectrum: the path's Laplacian has 2 − 2·cos(kπ/n)", () => {
    const n = 90;
    const a = matrix(n, n);
    for (let i = 0; i < n; i++) a.data[i * n + i] = i === 0 || i === n - 1 ? 1 : 2;
    for (let i = 1; i < n; i++) a.data[i * n + i - 1] = a.data[(i - 1) * n + i] = -1;
    eigh(a).values.forEach((value, k) => expect(value).toBeCloseTo(2 - 2 * Math.cos((k * Math.PI) / n), 13));
  });

  test.each([
    ["zeros", 0],
    ["huge", 1e150],
    ["tiny", 1e-150],
  ])("%s", (_, unit) => {
    const a = matrix(
      40,
      40,
      random(40, 40, "x").data.map((x) => x * unit),
    );
    for (let i = 0; i < 40; i++) for (let j = 0; j < i; j++) a.data[j * 40 + i] = a.data[i * 40 + j]!;
    const { values } = eigh(a);
    const trace = a.data.reduce((sum, x, i) => (i % 41 === 0 ? sum + x : sum), 0);
    expect(Math.abs(values.reduce((x, y) => x + y, 0) - trace)).toBeLessThanOrEqual(1e-12 * unit);
  });

  test("repeated eigenvalues still have orthonormal vectors", async () => {
    const { values, vectors } = eigh(shifted(identity(30), 1));
    expect([...values]).toEqual(Array.from({ length: 30 }, () => 2));
    expect(apart(await naive(vectors, vectors, { transB: true }), identity(30))).toBe(0);
  });

  test("more than 1,536 rows are refused with the way out", () => {
    expect(() => eigh(matrix(1537, 1537))).toThrow(/eigh: 1537 rows; wanted at most 1536.*spectralProjector/);
  });
});

describe("what is refused", () => {
  test("a pivot that is not positive, by its index, in a later block too", async () => {
    for (const at of [0, 5, 140]) {
      const c = shifted(identity(150), 0);
      c.data[at * 150 + at] = -1;
      await expect(cholesky(c, naive)).rejects.toThrow(
        new RegExp(`pivot ${at} of 150 is -1\\.00e\\+0: the matrix is not positive definite.*multiple of the identity`),
      );
    }
  });

  test("a matrix of fewer directions than rows", async () => {
    const few = random(10, 200, "few");
    await expect(cholesky(await naive(few, few, { transA: true }), naive)).rejects.toThrow(/pivot \d+ of 200 .*not positive definite/);
  });

  test("NaN and infinity, by their place", async () => {
    for (const bad of [NaN, Infinity]) {
      const c = identity(4);
      c.data[6] = bad;
      await expect(cholesky(c, naive)).rejects.toThrow(`entry [1, 2] is ${bad}`);
      expect(() => eigh(c)).toThrow(`entry [1, 2] is ${bad}`);
      await expect(spectralProjector(c, 1, naive)).rejects.toThrow(`entry [1, 2] is ${bad}`);
    }
  });

  test("shapes that do not fit, and float32", async () => {
    await expect(cholesky(matrix(2, 3), naive)).rejects.toThrow("[2, 3]; wanted a square matrix");
    await expect(solveTriangular(identity(3), matrix(2, 1), naive)).rejects.toThrow("a right side of 2 rows; wanted 3");
    await expect(cholesky({ ...identity(2), dtype: "float32" }, naive)).rejects.toThrow("float32 [2, 2]; wanted a float64 matrix");
  });

  test("a zero on the diagonal", async () => {
    await expect(solveTriangular(matrix(2, 2), matrix(2, 1), naive)).rejects.toThrow("a zero at [0, 0]");
  });

  test("an eigenvalue on the threshold", async () => {
    await expect(spectralProjector(identity(5), 1, naive)).rejects.toThrow(
      /an eigenvalue within .* of the threshold 1; wanted a gap.*Change the threshold/,
    );
  });

  test("a threshold that is not positive", async () => {
    for (const bad of [0, -1, NaN]) await expect(spectralProjector(identity(2), bad, naive)).rejects.toThrow(`threshold ${bad}`);
  });

  test("work goes on until it is interrupted", async () => {
    const ctx = defaultContext({ signal: AbortSignal.abort() });
    await expect(cholesky(identity(3), naive, ctx)).rejects.toThrow("cholesky: the work was interrupted");
    await expect(solveTriangular(identity(3), matrix(3, 1), naive, { ctx })).rejects.toThrow("interrupted");
    expect(() => eigh(identity(3), ctx)).toThrow("eigh: the work was interrupted");
    await expect(spectralProjector(identity(3), 2, naive, ctx)).rejects.toThrow("interrupted");
  });
});
