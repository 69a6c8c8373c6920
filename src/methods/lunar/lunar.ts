/** LUNAR: moves questions to where the model is when it cannot answer, by one direction that one MLP writes. */
import { asFloats, floats } from "../../base/array.ts";
import { fail } from "../../base/fail.ts";
import { UNANSWERABLE } from "../../data/unanswerable.ts";
import { secondMoments } from "../../locate/covariance.ts";
import { dot, norm, rowOf } from "../../locate/keys.ts";
import { atLayer, siteName } from "../../model/names.ts";
import type { AskAs } from "../../model/prompt.ts";
import { addTo, gemmOn, type Matrix, matrix, ridged } from "../../onnx/linalg.ts";
import { defineMethod } from "../method.ts";
import { askedRows, type AskedRow, keysOf, tokensIn } from "./asked.ts";
import { chosen } from "./block.ts";
import type { LunarJob, LunarParams } from "./job.ts";
import { descend, discriminant, shareOf } from "./write.ts";

export const lunar = defineMethod<LunarParams>({
  name: "lunar",
  title: "LUNAR",
  paper: "arXiv:2502.07218",
  doc: "Moves questions to the state in which the model says that it cannot answer, by a change of rank one.",
  takes: "many",
  needs: ["retain", "statistics"],
  params: {
    layer: {
      default: 0,
      doc: "block whose MLP output matrix is rewritten; 0: the one of `layers` whose steered answers begin as refusals most often",
      source: "docs/methods/lunar.md (LUNAR config/forget.yaml layer_modified: 22 of 32)",
      min: 0,
      whole: true,
    },
    layers: {
      default: ({ layers: L }) => {
        const first = Math.min(L - 1, Math.ceil(0.5 * L));
        return Array.from({ length: Math.max(1, Math.min(L - 1, Math.floor(0.8 * L)) - first + 1) }, (_, i) => first + i);
      },
      doc: "blocks that are tried if `layer` is 0",
      source: "docs/methods/lunar.md",
      min: 0,
      whole: true,
    },
    coefficient: { default: 2, doc: "c: the direction is written c times", source: "LUNAR config/forget.yaml coeff_list", min: 0 },
    rho: { default: 1, doc: "weight ρ of a token to retain; a token to forget has 1", source: "LUNAR run_lunar.py (both alike)", min: 0 },
    lambda: {
      default: 2,
      doc: "weight λ of the second moments, for each token to forget (closed form only)",
      source: "docs/methods/lunar.md",
      min: 0,
    },
    ridge: { default: 0.03, doc: "added to the second moments' diagonal, as a share of its mean", source: "docs/methods/rome.md", min: 0 },
  },
  hparams: { layer_modified: "layer", coeff_list: (value) => ({ coefficient: [value].flat()[0] as unknown }) },
  compat: {
    descent: "train the matrix by AdamW on the keys (20 epochs, batches of 64 tokens), without the second moments",
    "every-token": "count the chat template's tokens before the question too, which ask for both outputs at once",
  },
  sets: { lunar: ["descent", "every-token"] },
  edit: async (job) => {
    const { model, requests, retain = [], running, format, system, ctx } = job;
    const ask: AskAs = { format, ...(system !== undefined && { system }) };
    const asRows = (questions: readonly string[]): AskedRow[] =>
      askedRows(model, questions, ask).map((row) => (job.compat.has("every-token") ? { ...row, from: 0 } : row));
    const questions = requests.map(({ prompt }) => prompt);
    const forget = asRows(questions);
    const held = asRows(retain.map(({ question }) => question).filter((question) => !questions.includes(question)));
    if (held.length === 0)
      fail(
        "lunar",
        "the retain set is empty",
        "questions whose answers must not change",
        "Give --retain FILE, or omit it to use questions made by the model.",
      );
    const { layer, direction, ...before } = await chosen(job, forget, asRows(UNANSWERABLE), ask);
    const shift = direction.map((x) => job.params.coefficient * x);
    const name = atLayer(model.arch.memory.weight, layer);
    const { delta, share, ...how } = await (job.compat.has("descent") ? byDescent : inClosedForm)(job, { layer, forget, held, shift });
    const site = siteName(layer, model.arch.memory.key);
    const meets = async (rows: readonly AskedRow[]): Promise<number[]> => {
      const all: number[] = [];
      for await (const keys of keysOf(model, rows, site, running, ctx))
        for (let i = 0; i < keys.shape[0]!; i++) all.push(dot(share, rowOf(keys, i)));
      return all;
    };
    const [moved, kept] = [await meets(forget), (await meets(held)).map(Math.abs)];
    const mean = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length;
    return {
      change: { kind: "delta", weights: { [name]: delta } },
      evidence: {
        layer,
        ...before,
        directionNorm: norm(direction),
        tokens: { forget: moved.length, retain: kept.length },
        written: { forget: mean(moved), retain: mean(kept), furthest: kept.reduce((most, x) => Math.max(most, x), 0) },
        ...how,
      },
    };
  },
});

interface Writing {
  readonly layer: number;
  readonly forget: readonly AskedRow[];
  readonly held: readonly AskedRow[];
  /** c·r [D]. */
  readonly shift: Float64Array;
}

async function inClosedForm({ model, params, statistics, running, ctx }: LunarJob, { layer, forget, held, shift }: Writing) {
  const site = model.arch.memory.key;
  const gemm = gemmOn(model.sessions);
  const text = ridged(await statistics!.secondMoment(layer, site), params.ridge);
  const m = text.shape[0]!;
  const momentOf = async (rows: readonly AskedRow[]): Promise<Matrix> => {
    const mean = (await secondMoments(model, rows, [layer], site, { ...running, ctx })).get(layer)!;
    return addTo(matrix(m, m), mean, tokensIn(rows));
  };
  const sum = new Float64Array(m);
  for await (const keys of keysOf(model, forget, siteName(layer, site), running, ctx))
    for (let i = 0; i < keys.shape[0]!; i++) rowOf(keys, i).forEach((x, j) => (sum[j]! += x));
  const lambda = params.lambda * tokensIn(forget);
  const moments = { forget: await momentOf(forget), retain: await momentOf(held), text };
  const a = await discriminant({ ...moments, sum, rho: params.rho, lambda }, gemm, ctx);
  const outer = [floats(shift, [shift.length, 1], running.dtype), floats(a, [1, m], running.dtype)] as const;
  return { delta: { outer }, share: a, statistics: statistics!.spec, lambda };
}

async function byDescent({ model, params, running, seed, ctx }: LunarJob, { layer, forget, held, shift }: Writing) {
  const weight = asFloats(model.weights.get(atLayer(model.arch.memory.weight, layer))!, "float64") as Matrix;
  const site = siteName(layer, model.arch.memory.key);
  const read = async (rows: readonly AskedRow[]) => {
    const keys = [];
    for await (const part of keysOf(model, rows, site, running, ctx)) keys.push(part);
    return keys;
  };
  const tokens = [
    { keys: await read(forget), isForget: true },
    { keys: await read(held), isForget: false },
  ];
  const { change, losses } = await descend(weight, tokens, { shift, rho: params.rho, seed }, gemmOn(model.sessions), ctx);
  return { delta: { dense: floats(change, weight.shape, running.dtype) }, share: shareOf(change, shift), losses };
}
