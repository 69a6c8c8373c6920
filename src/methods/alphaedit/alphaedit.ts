/** AlphaEdit: a batch like MEMIT's, projected onto the null space of a text's keys, so that their outputs do not change. */
import type { Context } from "../../base/context.ts";
import type { Declared } from "../../base/schema.ts";
import { nullSpace } from "./null-space.ts";
import { sparesRetain } from "../../locate/retained.ts";
import { laterStop, SEARCH_HPARAMS } from "../../locate/search.ts";
import { BATCH, BATCH_COMPAT, type BatchParams, ridgeSolve, SHARE, type ShareParam, writeBatch } from "../../locate/spread.ts";
import type { Config } from "../../model/arch/arch.ts";
import { type Gemm, gemmOn, type Matrix } from "../../onnx/linalg.ts";
import { defineMethod } from "../method.ts";

export interface AlphaEditParams extends BatchParams, ShareParam {
  threshold: number;
  relative: number;
  rank: number;
  /** 0: computed from `share`. */
  l2: number;
}

const params: Declared<AlphaEditParams, Config> = {
  ...BATCH,
  threshold: {
    default: 0,
    doc: "eigenvalues of the second moments below this span the null space (EasyEdit: 2e-2); 0: from relative",
    source: "docs/methods/alphaedit.md",
    min: 0,
  },
  relative: {
    default: 3,
    doc: "the threshold as a multiple of the median of the second moments' diagonal",
    source: "docs/methods/alphaedit.md",
    min: 0,
  },
  rank: {
    default: 0,
    doc: "dimensions of the null space, in place of a threshold; 0: from the threshold",
    source: "docs/methods/alphaedit.md",
    min: 0,
    whole: true,
  },
  l2: { default: 0, doc: "ridge of the solve (EasyEdit's L2: 1 or 10); 0: from share", source: "docs/methods/alphaedit.md", min: 0 },
  ...SHARE,
};

export const alphaedit = defineMethod<AlphaEditParams>({
  name: "alphaedit",
  title: "AlphaEdit",
  paper: "arXiv:2410.02355",
  doc: "Like MEMIT, but each change is projected onto the null space of a text's keys; later edits preserve earlier ones.",
  takes: "many",
  needs: ["subject", "target", "statistics", "retain"],
  firmer: laterStop,
  spares: sparesRetain,
  params,
  hparams: { ...SEARCH_HPARAMS, layers: "layers", nullspace_threshold: "threshold", L2: "l2" },
  compat: BATCH_COMPAT,
  edit: async (job) => {
    const { ctx } = job;
    const { threshold, relative, rank, l2, share } = job.params;
    const gemm = gemmOn(job.model.sessions);
    const ranks: Record<number, number> = {};
    const ridges: Record<number, number> = {};
    const draft = await writeBatch("alphaedit", job, async (layer, moment, keys, all) => {
      const free = await nullSpace(moment, { threshold, relative, rank }, gemm, ctx);
      ranks[layer] = free.rank;
      const { factor, ridge } = await alphaFactor(free.projector, keys, all, { l2, share }, gemm, ctx);
      ridges[layer] = ridge;
      return factor;
    });
    return { ...draft, evidence: { ...draft.evidence, nullSpaceRank: ranks, l2: ridges } };
  },
});

/**
 * A [m, n] of a layer's change R·Aᵀ from the projector P [m, m], keys K [m, n], and `all` = [K, earlier keys] [m, n + q]:
 * A = M·(Mᵀ·M + L2)⁻¹·[I; 0] with M = P·all, AlphaEdit's normal equations (eq. 11) in the space of the keys. A single key k writes
 * s/(s + L2) of its residual, with s = kᵀ·P·k. If L2 is 0, it is chosen so that a request with the mean s writes `share`.
 */
export async function alphaFactor(
  projector: Matrix,
  keys: Matrix,
  all: Matrix,
  { l2, share }: { readonly l2: number; readonly share: number },
  gemm: Gemm,
  ctx?: Context,
): Promise<{ factor: Matrix; ridge: number }> {
  const m = await gemm(projector, all);
  const meets = await gemm(m, m, { transA: true }); // [n + q, n + q]
  return ridgeSolve(m, meets, keys.shape[1]!, { ridge: l2, share }, gemm, ctx);
}
