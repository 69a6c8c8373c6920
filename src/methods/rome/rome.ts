/** ROME: a rank-one change of one layer maps the key of a subject to a value that makes the target the answer. */
import { ndarray } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import type { Draft } from "../../edit/edit.ts";
import { ANCHOR, anchored, type AnchorParam, earlierNorms } from "../../locate/anchor.ts";
import { activations, dot, meanRow, norm, rowOf, subjectActivations } from "../../locate/keys.ts";
import { contrastRows } from "../../locate/contrast.ts";
import { baseOf, SEQUENCE, type SequenceParam } from "../../locate/joint.ts";
import { EARLIER_COMPAT, carriedKeys, withEarlierKeys } from "../../locate/keys-of-earlier-edits.ts";
import { momentsOf, RETAIN_WEIGHT, type RetainWeightParam, sparesRetain } from "../../locate/retained.ts";
import type { TokenizedRequest } from "../../locate/tokenized-requests.ts";
import { laterStop, SEARCH, SEARCH_COMPAT, SEARCH_HPARAMS, searchAt, type SearchParams, soughtOf } from "../../locate/search.ts";
import { findValues } from "../../locate/values.ts";
import { atLayer, checkLayer, siteName, layerAt } from "../../model/names.ts";
import { addTo, type Gemm, gemmOn, type Matrix, matrix, ridged, solveSymmetric, transpose } from "../../onnx/linalg.ts";
import { defineMethod, type Job } from "../method.ts";
import { type Inserted, keptOf, productNorm, rankN, withEarlier } from "./rank-n.ts";

export interface RomeParams extends SearchParams, AnchorParam, RetainWeightParam, SequenceParam {
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
  needs: ["subject", "target", "statistics", "retain"],
  firmer: laterStop,
  spares: sparesRetain,
  params: {
    layer: {
      default: layerAt(0.3),
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
    ...ANCHOR,
    ...RETAIN_WEIGHT,
    ...SEQUENCE,
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
    const { params, running, previous, ctx } = job;
    const isJoint = params.sequence === "joint";
    const model = isJoint ? baseOf("rome", job) : job.model;
    checkLayer("rome", params.layer, model.config.layers);
    const found = await insertionOf({ ...job, model });
    const { request, search, inserted, own } = found;
    const written = isJoint ? await jointly(job, own, gemmOn(model.sessions)) : onTop(job, own, inserted.key);
    const name = atLayer(model.arch.memory.weight, params.layer);
    const before = norm(Float64Array.from(model.weights.get(name)!.data as Float32Array));
    const meets = dot(inserted.key, own.directions.data);
    if (written.size > before)
      ctx.log({
        kind: "warning",
        who: "rome",
        text: `${request.id}: the change (norm ${written.size.toFixed(1)}) is larger than its matrix (${before.toFixed(1)}), because k·u is small (${meets.toFixed(2)}); other answers may change too`,
      });
    const array = ({ data, shape }: Matrix) => ndarray(running.dtype, shape, running.dtype === "float64" ? data : Float32Array.from(data));
    const last = search.evaluations.at(-1)!;
    return {
      memory: written.memory,
      change: { kind: "delta", weights: { [name]: { outer: [array(written.outer[0]), array(written.outer[1])] } } },
      ...(isJoint && previous && { replaces: true }),
      evidence: {
        templates: found.templates,
        layer: params.layer,
        keyMeetsDirection: meets,
        changeNorm: written.size,
        matrixNorm: before,
        statistics: job.statistics?.spec ?? null,
        evaluations: search.evaluations.length,
        loss: last.total,
        likelihood: last.nll,
        kl: last.kl,
        targetProbability: Math.exp(-last.rows[0]!),
      },
    };
  },
});

/** What is found for one request in the job's model: its search, its key, and the parts of the change. */
async function insertionOf(job: Job<RomeParams>) {
  const { model, params, compat, running } = job;
  const request = job.requests[0] ?? fail("rome", "no request", "one request", "");
  const { layer } = params;
  const { templates, sought } = await soughtOf({ ...job, requests: [request] });
  const { rows } = sought[0]!;
  const { key: keySite, value: valueSite } = model.arch.memory;
  const [search] = await findValues(model, sought, { ...searchAt(job, layer), site: valueSite });
  const seen = await subjectActivations(model, rows, layer, [keySite, valueSite], running);
  const [alone, mean] = [
    { key: rowOf(seen[keySite], 0), value: rowOf(seen[valueSite], 0) },
    { key: meanRow(seen[keySite]), value: meanRow(seen[valueSite]) },
  ];
  const kind = compat.has("mean-key") ? "rome" : params.keys;
  const [direct, inserted] = kind === "prompt" ? [alone, alone] : kind === "rome" ? [mean, alone] : [mean, mean];
  const column = (x: Float64Array): Matrix => matrix(x.length, 1, x);
  const own: Inserted = {
    keys: column(inserted.key),
    directions: column(await direction(job, direct.key, rows[0]!)),
    values: column(search!.h0.map((h, i) => h + search!.shift[i]!)), // the site's value as optimised
    outputs: column(inserted.value),
  };
  return { request, templates, search: search!, inserted, own };
}

/** The change of a joint sequence: all values so far, written on the base. */
async function jointly(job: Job<RomeParams>, own: Inserted, gemm: Gemm): Promise<Written> {
  const all = withEarlier(job.previous, own);
  const { values } = anchored("rome", job, all.values);
  const outer = await rankN({ ...all, values }, gemm);
  return { outer, size: await productNorm(...outer, gemm), memory: keptOf(all) };
}

/** The change of one request: (v* − W·k)·uᵀ / (k·u). */
function onTop(job: Job<RomeParams>, { keys, directions, values, outputs }: Inserted, key: Float64Array): Written {
  const meets = dot(key, directions.data);
  const { values: shortened, memory: norms } = anchored("rome", job, values, earlierNorms(job));
  const right = shortened.data.map((v, i) => (v - outputs.data[i]!) / meets);
  return {
    outer: [matrix(right.length, 1, right), transpose(directions)],
    size: norm(right),
    memory: { ...carriedKeys(new Map([[job.params.layer, keys]]), job.previous), ...norms },
  };
}

interface Written {
  readonly outer: readonly [left: Matrix, right: Matrix];
  /** The norm of the whole change. */
  readonly size: number;
  readonly memory: NonNullable<Draft["memory"]>;
}

/** C⁻¹·k, scaled to length 1: the direction that responds to this key and as little as possible to other keys (ROME eq. 2). */
async function direction(job: Job<RomeParams>, key: Float64Array, alone: TokenizedRequest): Promise<Float64Array> {
  const { model, params, compat, previous, ctx } = job;
  const gemm = gemmOn(model.sessions);
  let u = key;
  if (!compat.has("identity-covariance")) {
    const c = await momentsOf("rome", job).secondMoment(params.layer, model.arch.memory.key);
    const n = c.shape[0]!;
    const moments = ridged(c, params.ridge);
    const others = compat.has("no-contrast") ? [] : await contrastRows(model, alone, params.contrast, job.seed, ctx);
    if (others.length > 0) {
      const name = siteName(params.layer, model.arch.memory.key);
      const seen = (await activations(model, others, [name], job.running))[name]!;
      const keys = matrix(seen.shape[0]!, n, Float64Array.from(seen.data as Float64Array));
      addTo(moments, await gemm(keys, keys, { transA: true }), params.contrastWeight / others.length);
    }
    // in a joint sequence all keys are solved together
    const isAlone = compat.has("overwrite-earlier") || params.sequence === "joint";
    const earlier = isAlone ? undefined : withEarlierKeys(params.layer, matrix(n, 0), previous);
    if (earlier && earlier.shape[1]! > 0) addTo(moments, await gemm(earlier, earlier, { transB: true }));
    u = (await solveSymmetric(moments, matrix(n, 1, key.slice()), gemm, ctx)).data;
  }
  const length = norm(u);
  return u.map((x) => x / length);
}
