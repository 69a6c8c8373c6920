/** AlphaEdit: a batch like MEMIT's, written only where a text's keys hardly reach, so that what they stand for stays. */
import { floats, type NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import type { Declared } from "../base/schema.ts";
import { nullSpace } from "../locate/nullspace.ts";
import { SEARCH, SEARCH_COMPAT, SEARCH_HPARAMS, type SearchParams } from "../locate/search.ts";
import { LAYERS, type LayersParam, writeBatch } from "../locate/spread.ts";
import type { Config } from "../model/arch/arch.ts";
import { columnsOf, type Gemm, gemmOn, identity, type Matrix, shifted, sideBySide, solveSymmetric } from "../onnx/linalg.ts";
import { defineMethod } from "./method.ts";

export interface AlphaEditParams extends SearchParams, LayersParam {
  threshold: number;
  relative: number;
  rank: number;
  l2: number;
}

const params: Declared<AlphaEditParams, Config> = {
  ...LAYERS,
  ...SEARCH,
  threshold: {
    default: 0,
    doc: "eigenvalues of the second moments below this are null (EasyEdit: 2e-2); 0: from relative",
    source: "docs/methods/alphaedit.md",
    min: 0,
  },
  relative: {
    default: 1,
    doc: "the threshold as a multiple of the median of the second moments' diagonal",
    source: "docs/methods/alphaedit.md",
    min: 0,
  },
  rank: {
    default: 0,
    doc: "dimensions of the null space, before any threshold; 0: from the threshold",
    source: "docs/methods/alphaedit.md",
    min: 0,
  },
  l2: { default: 1, doc: "ridge of the solve (L2)", source: "EasyEdit hparams/AlphaEdit/llama3-8b.yaml L2", min: 0 },
};

export const alphaedit = defineMethod<AlphaEditParams>({
  name: "alphaedit",
  title: "AlphaEdit",
  paper: "arXiv:2410.02355",
  doc: "Like MEMIT, but each change is projected onto the null space of the text's keys; later edits keep earlier ones.",
  takes: "many",
  needs: ["subject", "target", "statistics"],
  params,
  hparams: { ...SEARCH_HPARAMS, layers: "layers", nullspace_threshold: "threshold", L2: "l2" },
  compat: SEARCH_COMPAT,
  edit: async (job) => {
    const { ctx } = job;
    const { threshold, relative, rank, l2 } = job.params;
    const gemm = gemmOn(job.model.sessions);
    const ranks: Record<number, number> = {};
    const memory: Record<string, NdArray> = {};
    const { change, evidence } = await writeBatch("alphaedit", job, async (layer, moment, keys) => {
      const free = await nullSpace(moment, { threshold, relative, rank }, gemm, ctx);
      ranks[layer] = free.rank;
      const past = job.previous?.memory?.[`keys.${layer}`];
      const all = past ? sideBySide(keys, past as Matrix) : keys; // [m, n + q]
      memory[`keys.${layer}`] = floats(all.data, all.shape, "float64");
      return alphaFactor(free.projector, keys, all, l2, gemm, ctx);
    });
    return { change, memory, evidence: { ...evidence, nullSpaceRank: ranks } };
  },
});

/**
 * A [m, n] of a layer's change R·Aᵀ from the projector P [m, m], keys K [m, n], and `all` = [K, earlier keys] [m, n + q]:
 * A = M·(Mᵀ·M + L2)⁻¹·[I; 0] with M = P·all, AlphaEdit's normal equations (eq. 11) in the space of the keys.
 */
export async function alphaFactor(projector: Matrix, keys: Matrix, all: Matrix, l2: number, gemm: Gemm, ctx?: Context): Promise<Matrix> {
  const [n, q] = [keys.shape[1]!, all.shape[1]!];
  const m = await gemm(projector, all);
  const inner = shifted(await gemm(m, m, { transA: true }), l2); // [n + q, n + q]
  const first = columnsOf(identity(q), 0, q, 0, n);
  return gemm(m, await solveSymmetric(inner, first, gemm, ctx));
}
