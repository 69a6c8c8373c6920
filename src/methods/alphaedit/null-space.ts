/**
 * The null space of second moments as AlphaEdit defines it: the directions in which a text's keys are small (arXiv:2410.02355, section
 * 3.2).
 */
import { floats } from "../../base/array.ts";
import { arrays } from "../../base/codec.ts";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { kept } from "../../base/kept.ts";
import { eigh, spectralProjector } from "../../onnx/eigen.ts";
import type { Gemm, Matrix } from "../../onnx/linalg.ts";

export interface NullSpace {
  /** Orthogonal projector [m, m]. */
  readonly projector: Matrix;
  readonly rank: number;
  /** Eigenvalues below this belong to the null space. */
  readonly threshold: number;
}

/**
 * The size of the null space: a number of dimensions, or a largest eigenvalue, or that eigenvalue as a multiple of the diagonal's median. The
 * first that is not 0 is used. The multiple is halved until at least one dimension is outside the null space.
 */
export interface Cut {
  readonly rank: number;
  readonly threshold: number;
  readonly relative: number;
}

const KEPT = arrays({ projector: "float64", rank: "float64", threshold: "float64" });

/** The null space of C [m, m], in float64, kept in the cache. Refuses a null space without dimensions, and one with all dimensions. */
export async function nullSpace(c: Matrix, cut: Cut, gemm: Gemm, ctx: Context): Promise<NullSpace> {
  const number = (x: number) => floats([x], [1], "float64");
  const { projector, rank, threshold } = await kept(ctx, "projectors", [c, cut, ctx.threads], KEPT, async () => {
    const made = await madeNullSpace(c, cut, gemm, ctx);
    return { projector: made.projector, rank: number(made.rank), threshold: number(made.threshold) };
  });
  return { projector: projector as Matrix, rank: Number(rank.data[0]), threshold: Number(threshold.data[0]) };
}

async function madeNullSpace(c: Matrix, cut: Cut, gemm: Gemm, ctx: Context): Promise<NullSpace> {
  const m = c.shape[0]!;
  const isRelative = cut.rank === 0 && cut.threshold === 0 && cut.relative > 0;
  let threshold = cut.rank > 0 ? ofRank(c, cut.rank, ctx) : cut.threshold > 0 ? cut.threshold : cut.relative * median(c);
  let { projector, rank } = await spectralProjector(c, threshold, gemm, ctx);
  // with few tokens, or in a small model, no eigenvalue may be that far above the median
  while (rank === m && isRelative && threshold > Number.MIN_VALUE)
    ({ projector, rank } = await spectralProjector(c, (threshold /= 2), gemm, ctx));
  if (rank === 0 || rank === m)
    fail(
      "null space",
      `${rank === 0 ? "no" : "every"} eigenvalue of ${m} is below ${threshold.toPrecision(3)}`,
      "a threshold with eigenvalues on both sides",
      `Set a ${rank === 0 ? "larger" : "smaller"} threshold or relative, or a rank from 1 to ${m - 1}.`,
      "execution",
    );
  return { projector, rank, threshold };
}

/** The threshold for a null space of `rank` dimensions: the geometric mean of the two eigenvalues at its edge. */
function ofRank(c: Matrix, rank: number, ctx: Context): number {
  const m = c.shape[0]!;
  if (rank >= m) fail("null space", `rank ${rank}`, `1 to ${m - 1}`, "");
  const { values } = eigh(c, ctx);
  return Math.sqrt(Math.max(values[rank - 1]!, Number.MIN_VALUE) * values[rank]!);
}

function median(c: Matrix): number {
  const m = c.shape[0]!;
  const diagonal = Array.from({ length: m }, (_, i) => c.data[i * m + i]!).sort((a, b) => a - b);
  return diagonal[Math.floor(m / 2)]!;
}
