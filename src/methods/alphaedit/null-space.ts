/** The null space of second moments in AlphaEdit's sense (arXiv:2410.02355, section 3.2): the directions in which a text's keys are small. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../../base/context.ts";
import { fail } from "../../base/fail.ts";
import { hash } from "../../base/hash.ts";
import { readSafetensors, writeSafetensors } from "../../base/store.ts";
import { eigh, spectralProjector } from "../../onnx/eigen.ts";
import type { Gemm, Matrix } from "../../onnx/linalg.ts";

export interface NullSpace {
  /** Orthogonal projector [m, m]. */
  readonly projector: Matrix;
  readonly rank: number;
  /** Eigenvalues below this are in it. */
  readonly threshold: number;
}

/**
 * Where the cut is: a number of dimensions, or an eigenvalue, or a multiple of the median of the diagonal; the first that is not 0.
 * A multiple under which every dimension would be null is halved until one is not.
 */
export interface Cut {
  readonly rank: number;
  readonly threshold: number;
  readonly relative: number;
}

/** The null space of C [m, m], in float64, kept in the cache. Refuses one of no dimension, and one of all. */
export async function nullSpace(c: Matrix, cut: Cut, gemm: Gemm, ctx: Context): Promise<NullSpace> {
  const m = c.shape[0]!;
  const isRelative = cut.rank === 0 && cut.threshold === 0 && cut.relative > 0;
  const file = join(ctx.cache, "projectors", `${hash(c, cut).slice(0, 32)}.safetensors`);
  if (existsSync(file)) {
    const { tensors, metadata } = readSafetensors(file);
    return { projector: tensors.get("projector") as Matrix, rank: Number(metadata["rank"]), threshold: Number(metadata["threshold"]) };
  }
  let threshold = cut.rank > 0 ? ofRank(c, cut.rank, ctx) : cut.threshold > 0 ? cut.threshold : cut.relative * median(c);
  let { projector, rank } = await spectralProjector(c, threshold, gemm, ctx);
  // moments of few tokens, or of a small model, may have no eigenvalue that far above the median
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
  mkdirSync(join(file, ".."), { recursive: true });
  writeSafetensors(file, [["projector", projector]], { rank: String(rank), threshold: String(threshold) });
  return { projector, rank, threshold };
}

/** Halfway between the eigenvalues that a null space of `rank` dimensions parts. */
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
