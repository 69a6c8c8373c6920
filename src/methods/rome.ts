/** ROME: a rank-one change of one layer maps the key of a subject to a value that makes the target the answer. */
import { ndarray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { activations, dot, meanRow, norm, rowOf, subjectActivations } from "../locate/keys.ts";
import { contrastRows } from "../locate/contrast.ts";
import { EARLIER_COMPAT, carriedKeys, withEarlierKeys } from "../locate/keys-of-earlier-edits.ts";
import type { TokenizedRequest } from "../locate/tokenized-requests.ts";
import { laterStop, SEARCH, SEARCH_COMPAT, SEARCH_HPARAMS, searchAt, type SearchParams, soughtOf } from "../locate/search.ts";
import { findValues } from "../locate/values.ts";
import { atLayer, checkLayer, siteName } from "../model/names.ts";
import { addTo, gemmOn, matrix, ridged, solveSymmetric } from "../onnx/linalg.ts";
import { defineMethod, type Job } from "./method.ts";

export interface RomeParams extends SearchParams {
  layer: number;
  keys: string;
  ridge: number;
  contrast: number;
  contrastWeight: number;
}

export const rome = defineMethod<RomeParams>({
  name: "rome",
  title: "ROME",
  paper: "arXiv:2202.05262",
  doc: "Changes one matrix by rank one, so that a subject's key gets another value.",
  takes: "one",
  needs: ["subject", "target", "statistics"],
  firmer: laterStop,
  params: {
    layer: {
      default: (c) => Math.round(c.layers * 0.3),
      doc: "block whose MLP output matrix is rewritten",
      source: "docs/methods/rome.md",
      min: 0,
      whole: true,
    },
    ...SEARCH,
    keys: {
      default: "prompt",
      choices: ["prefix", "prompt", "rome"],
      doc: "which key is inserted. prefix: the mean over context templates; prompt: of the question without a template; rome: ROME's mixture of both",
      source: "R-ROME, arXiv:2403.07175",
    },
    ridge: { default: 0.03, doc: "added to the second moments' diagonal, as a share of its mean", source: "docs/methods/rome.md", min: 0 },
    contrast: {
      default: 64,
      doc: "how many substitute subjects are sampled from the model; the direction avoids their keys and those of the model's answers about them; 0: none",
      source: "docs/methods/rome.md",
      min: 0,
      whole: true,
    },
    contrastWeight: {
      default: 1,
      doc: "weight of the second moments of those keys, relative to those of the text",
      source: "docs/methods/rome.md",
      min: 0,
    },
  },
  hparams: {
    ...SEARCH_HPARAMS,
    layers: "layer",
    context_template_length_params: "templates",
    mom2_adjustment: (on) => (on === false ? ["identity-covariance"] : []),
    enable_random_prefix_keys: (on) => (on === true ? { keys: "prefix" } : {}),
    enable_prompt_keys: (on) => (on === true ? { keys: "prompt" } : {}),
    original_implementation: (on) => (on === true ? { keys: "rome" } : {}),
  },
  files: { "R-ROME": { keys: "prefix" } },
  compat: {
    ...SEARCH_COMPAT,
    ...EARLIER_COMPAT,
    "identity-covariance": "use the key itself as the direction, without the second moments (EasyEdit's mom2_adjustment: false)",
    "mean-key": "average the key over templates in the numerator and not in the denominator",
    "no-contrast": "do not keep the direction away from the keys of substitute subjects",
  },
  edit: async (job) => {
    const { model, params, compat, running, ctx } = job;
    const request = job.requests[0] ?? fail("rome", "no request", "one request", "");
    const { layer } = params;
    checkLayer("rome", layer, model.config.layers);
    const { templates, sought } = await soughtOf({ ...job, requests: [request] });
    const { rows } = sought[0]!;
    const { key: keySite, value: valueSite, weight } = model.arch.memory;

    const [found] = await findValues(model, sought, { ...searchAt(job, layer), site: valueSite });
    const seen = await subjectActivations(model, rows, layer, [keySite, valueSite], running);
    const [alone, mean] = [
      { key: rowOf(seen[keySite], 0), value: rowOf(seen[valueSite], 0) },
      { key: meanRow(seen[keySite]), value: meanRow(seen[valueSite]) },
    ];
    const kind = compat.has("mean-key") ? "rome" : params.keys;
    const [direct, inserted] = kind === "prompt" ? [alone, alone] : kind === "rome" ? [mean, alone] : [mean, mean];
    const u = await direction(job, direct.key, rows[0]!);
    const meets = dot(inserted.key, u);
    // the site's value as optimised (h0) plus the shift, less what the matrix gives now
    const right = found!.h0.map((h, i) => (h + found!.shift[i]! - inserted.value[i]!) / meets);
    const name = atLayer(weight, layer);
    const [before, size] = [norm(Float64Array.from(model.weights.get(name)!.data as Float32Array)), norm(right)];
    if (size > before)
      ctx.log({
        kind: "warning",
        who: "rome",
        text: `${request.id}: the change (norm ${size.toFixed(1)}) is larger than its matrix (${before.toFixed(1)}), because k·u is small (${meets.toFixed(2)}); other answers may change too`,
      });
    const array = (x: Float64Array, shape: readonly number[]) =>
      ndarray(running.dtype, shape, running.dtype === "float64" ? x : Float32Array.from(x));
    const last = found!.evaluations.at(-1)!;
    return {
      memory: carriedKeys(new Map([[layer, matrix(u.length, 1, inserted.key)]]), job.previous),
      change: { kind: "delta", weights: { [name]: { outer: [array(right, [right.length, 1]), array(u, [1, u.length])] } } },
      evidence: {
        templates,
        layer,
        keyMeetsDirection: meets,
        changeNorm: size,
        matrixNorm: before,
        statistics: job.statistics?.spec ?? null,
        evaluations: found!.evaluations.length,
        loss: last.total,
        likelihood: last.nll,
        kl: last.kl,
        targetProbability: Math.exp(-last.rows[0]!),
      },
    };
  },
});

/** C⁻¹·k, scaled to length 1: the direction that responds to this key and as little as possible to other keys (ROME eq. 2). */
async function direction(job: Job<RomeParams>, key: Float64Array, alone: TokenizedRequest): Promise<Float64Array> {
  const { model, params, compat, statistics, previous, ctx } = job;
  const gemm = gemmOn(model.sessions);
  let u = key;
  if (!compat.has("identity-covariance")) {
    const c = await statistics!.secondMoment(params.layer, model.arch.memory.key);
    const n = c.shape[0]!;
    const moments = ridged(c, params.ridge);
    const others = compat.has("no-contrast") ? [] : await contrastRows(model, alone, params.contrast, job.seed, ctx);
    if (others.length > 0) {
      const name = siteName(params.layer, model.arch.memory.key);
      const seen = (await activations(model, others, [name], job.running))[name]!;
      const keys = matrix(seen.shape[0]!, n, Float64Array.from(seen.data as Float64Array));
      addTo(moments, await gemm(keys, keys, { transA: true }), params.contrastWeight / others.length);
    }
    const earlier = compat.has("overwrite-earlier") ? undefined : withEarlierKeys(params.layer, matrix(n, 0), previous);
    if (earlier && earlier.shape[1]! > 0) addTo(moments, await gemm(earlier, earlier, { transB: true }));
    u = (await solveSymmetric(moments, matrix(n, 1, key.slice()), gemm, ctx)).data;
  }
  const length = norm(u);
  return u.map((x) => x / length);
}
