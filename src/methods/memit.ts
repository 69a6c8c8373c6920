/** MEMIT: any number of facts in one batch, written by the MLPs of several layers together. */
import type { Context } from "../base/context.ts";
import type { Declared } from "../base/schema.ts";
import { SEARCH, SEARCH_COMPAT, SEARCH_HPARAMS, type SearchParams } from "../locate/search.ts";
import { LAYERS, type LayersParam, writeBatch } from "../locate/spread.ts";
import type { Config } from "../model/arch/arch.ts";
import { cholesky, choleskySolve, type Gemm, gemmOn, type Matrix, ridged, shifted, solveSymmetric, transpose } from "../onnx/linalg.ts";
import { defineMethod } from "./method.ts";

export interface MemitParams extends SearchParams, LayersParam {
  weight: number;
  share: number;
  ridge: number;
}

const params: Declared<MemitParams, Config> = {
  ...LAYERS,
  ...SEARCH,
  weight: { default: 0, doc: "weight λ of the second moments (EasyEdit: 15000); 0: from share", source: "docs/methods/memit.md", min: 0 },
  share: {
    default: 0.8,
    doc: "share of its residual that a layer writes for a lone request, which sets λ",
    source: "docs/methods/memit.md",
    min: 0.01,
    max: 0.9999,
  },
  ridge: { default: 0.03, doc: "added to the second moments' diagonal, as a share of its mean", source: "docs/methods/rome.md", min: 0 },
};

export const memit = defineMethod<MemitParams>({
  name: "memit",
  title: "MEMIT",
  paper: "arXiv:2210.07229",
  doc: "Rewrites the matrices of several layers, so that many subjects' keys bring up other values at once.",
  takes: "many",
  needs: ["subject", "target", "statistics"],
  params,
  hparams: { ...SEARCH_HPARAMS, layers: "layers", mom2_update_weight: "weight" },
  compat: SEARCH_COMPAT,
  edit: async (job) => {
    const { weight, share, ridge } = job.params;
    const gemm = gemmOn(job.model.sessions);
    const weights = new Map<number, number>();
    const { change, evidence } = await writeBatch("memit", job, async (layer, moment, keys) => {
      const { factor, lambda } = await memitFactor(ridged(moment, ridge), keys, { weight, share }, gemm, job.ctx);
      weights.set(layer, lambda);
      return factor;
    });
    return { change, evidence: { ...evidence, weight: Object.fromEntries(weights) } };
  },
});

/**
 * A [m, n] of a layer's change R·Aᵀ from second moments C [m, m] and keys K [m, n]: A = (λC + K·Kᵀ)⁻¹·K (MEMIT eq. 14), as
 * C⁻¹·K·(λ + Kᵀ·C⁻¹·K)⁻¹ by the Woodbury identity. A lone key k writes s/(s + λ) of its residual, with s = kᵀ·C⁻¹·k; a weight of 0
 * gives the λ under which a request of mean s writes `share`.
 */
export async function memitFactor(
  c: Matrix,
  keys: Matrix,
  { weight, share }: { readonly weight: number; readonly share: number },
  gemm: Gemm,
  ctx?: Context,
): Promise<{ factor: Matrix; lambda: number }> {
  const g = await choleskySolve(await cholesky(c, gemm, ctx), keys, gemm, ctx); // C⁻¹·K [m, n]
  const meets = await gemm(keys, g, { transA: true }); // Kᵀ·C⁻¹·K [n, n]
  const n = keys.shape[1]!;
  const mean = Array.from({ length: n }, (_, i) => meets.data[i * n + i]!).reduce((a, b) => a + b, 0) / n;
  const lambda = weight > 0 ? weight : (mean * (1 - share)) / share;
  return { factor: transpose(await solveSymmetric(shifted(meets, lambda), transpose(g), gemm, ctx)), lambda };
}
