/** MEMIT: any number of facts in one batch, written by the MLPs of several layers together. */
import type { Context } from "../base/context.ts";
import type { Declared } from "../base/schema.ts";
import { EARLIER_COMPAT } from "../locate/keys-of-earlier-edits.ts";
import { sparesRetain } from "../locate/retained.ts";
import { laterStop, SEARCH_HPARAMS } from "../locate/search.ts";
import { BATCH, BATCH_COMPAT, type BatchParams, ridgeSolve, SHARE, type ShareParam, writeBatch } from "../locate/spread.ts";
import type { Config } from "../model/arch/arch.ts";
import { cholesky, choleskySolve, type Gemm, gemmOn, type Matrix, ridged } from "../onnx/linalg.ts";
import { defineMethod } from "./method.ts";

export interface MemitParams extends BatchParams, ShareParam {
  weight: number;
  ridge: number;
}

const params: Declared<MemitParams, Config> = {
  ...BATCH,
  weight: { default: 0, doc: "weight λ of the second moments (EasyEdit: 15000); 0: from share", source: "docs/methods/memit.md", min: 0 },
  ...SHARE,
  ridge: { default: 0.03, doc: "added to the second moments' diagonal, as a share of its mean", source: "docs/methods/rome.md", min: 0 },
};

export const memit = defineMethod<MemitParams>({
  name: "memit",
  title: "MEMIT",
  paper: "arXiv:2210.07229",
  doc: "Rewrites the matrices of several layers, so that many subjects' keys get new values at once.",
  takes: "many",
  needs: ["subject", "target", "statistics", "retain"],
  firmer: laterStop,
  spares: sparesRetain,
  params,
  hparams: { ...SEARCH_HPARAMS, layers: "layers", mom2_update_weight: "weight" },
  files: { EMMET: { share: 1, weight: 0 } }, // with an exact solution (share 1), the weight of the second moments cancels out
  compat: { ...BATCH_COMPAT, ...EARLIER_COMPAT },
  edit: async (job) => {
    const { weight, share, ridge } = job.params;
    const gemm = gemmOn(job.model.sessions);
    const weights = new Map<number, number>();
    const isAlone = job.compat.has("overwrite-earlier");
    const draft = await writeBatch("memit", job, async (layer, moment, keys, all) => {
      const { factor, ridge: lambda } = await memitFactor(
        ridged(moment, ridge),
        keys,
        isAlone ? keys : all,
        { weight, share },
        gemm,
        job.ctx,
      );
      weights.set(layer, lambda);
      return factor;
    });
    return { ...draft, evidence: { ...draft.evidence, weight: Object.fromEntries(weights) } };
  },
});

/**
 * A [m, n] of a layer's change R·Aᵀ from second moments C [m, m], keys K [m, n], and `all` = [K, earlier keys] [m, n + q], of which the
 * earlier ones get nothing: A = (λC + all·allᵀ)⁻¹·K (MEMIT eq. 14), as C⁻¹·all·(λ + allᵀ·C⁻¹·all)⁻¹·[I; 0] by the Woodbury identity.
 * A single key k writes s/(s + λ) of its residual, with s = kᵀ·C⁻¹·k. If the weight is 0, λ is chosen so that a request with the mean s writes
 * `share`. A share of 1 writes the whole residual, independent of C (EMMET, arXiv:2403.14236); it needs linearly independent keys.
 */
export async function memitFactor(
  c: Matrix,
  keys: Matrix,
  all: Matrix,
  { weight, share }: { readonly weight: number; readonly share: number },
  gemm: Gemm,
  ctx?: Context,
): Promise<{ factor: Matrix; ridge: number }> {
  const g = await choleskySolve(await cholesky(c, gemm, ctx), all, gemm, ctx); // C⁻¹·all [m, n + q]
  const meets = await gemm(all, g, { transA: true }); // [n + q, n + q]
  return ridgeSolve(g, meets, keys.shape[1]!, { ridge: weight, share }, gemm, ctx);
}
