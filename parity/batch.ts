/** What the parity tests of MEMIT and AlphaEdit share: the reference's requests, its statistics, and a value's trajectory. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { NdArray } from "../src/base/array.ts";
import { defaultContext } from "../src/base/context.ts";
import { readSafetensors, writeSafetensors } from "../src/base/store.ts";
import { secondMoments, type Statistics } from "../src/locate/covariance.ts";
import type { Running } from "../src/onnx/program.ts";
import { tokenizeRequest } from "../src/locate/tokenized-requests.ts";
import { findValues, type Sought, type Value } from "../src/locate/values.ts";
import type { Model } from "../src/model/model.ts";
import type { Site } from "../src/model/names.ts";
import { gemmOn, type Matrix, matrix } from "../src/onnx/linalg.ts";
import { largest, readJson, readTensors, relative, shared } from "./shared.ts";

export interface Request {
  id: number;
  prompt: string;
  subject: string;
  target: string;
  prompt_ids: number[];
}

interface Trajectory {
  row_ids: number[][];
  lookup_idx: number[];
  losses: number[][];
  delta_step_idx: number[];
}

export const LAYERS = [10, 11, 12, 13, 14];
export const COMPAT = new Set(["even-rows", "loss-stop", "open-end", "bare-kl", "cold-start"]);
export const ctx = defaultContext();

export const requests = (): Request[] => readJson<{ requests: Request[] }>("golden/editing/requests.json").requests;
export const templates = (): string[] =>
  readJson<{ memit_context_templates: string[][] }>("golden/editing/requests.json").memit_context_templates.flat();

/** A request as a method takes it. */
export const forget = ({ id, prompt, subject, target }: Request) => ({
  id: String(id),
  subject,
  prompt,
  answer: "",
  target,
  paraphrases: [],
  neighbours: [],
  wrong: [],
});

export function soughtFor(model: Model, r: Request): Sought {
  const ask = { format: "plain", end: false } as const;
  return {
    rows: tokenizeRequest(model, r, templates(), ask),
    klRow: tokenizeRequest(model, { prompt: `${r.subject} is a`, subject: r.subject }, ["{}"], ask)[0]!,
  };
}

export const valueOf = (model: Model, r: Request, running: Running, over: { steps?: number; lr?: number } = {}): Promise<Value> =>
  referenceValue(model, soughtFor(model, r), { layer: LAYERS.at(-1)!, site: "resid_post" }, running, over);

/** A value sought as the reference does: its step size, bounds and stop. */
export const referenceValue = async (
  model: Model,
  sought: Sought,
  at: { readonly layer: number; readonly site: Site },
  running: Running,
  over: { steps?: number; lr?: number },
): Promise<Value> => {
  const [found] = await findValues(model, [sought], {
    ...running,
    ...at,
    steps: over.steps ?? 25,
    lr: over.lr ?? 0.5,
    decay: 1e-3,
    clamp: 4,
    kl: 0.0625,
    done: (at) => at.total < 0.05,
    ctx,
  });
  return found!;
};

/** Tests of one request's value against the reference's trajectory. */
export function valueTests(
  model: () => Model,
  request: Request,
  golden: Trajectory,
  tensors: Map<string, NdArray>,
  allowed: (key: string) => number,
): void {
  const prefix = `z.r${request.id}`;
  it(`${prefix}: rows and subject places are the reference's`, () => {
    const { rows, klRow } = soughtFor(model(), request);
    expect([...rows.map((r) => r.ids.slice(0, -1)), klRow!.ids]).toEqual([...golden.row_ids.slice(0, rows.length), klRow!.ids]);
    expect(rows.map((r) => r.subject)).toEqual(golden.lookup_idx.slice(0, rows.length));
  });
  const check = async (running: Running): Promise<void> => {
    const isExact = running.dtype === "float64";
    const found = await valueOf(model(), request, running);
    const near = (ours: ArrayLike<number>, name: string): void => {
      const key = `${prefix}.${name}`;
      expect(relative(ours, tensors.get(key)!), key).toBeLessThan(isExact ? 1e-9 : allowed(key));
    };
    near(found.h0, "h0");
    near(found.firstGradient, "grad0");
    expect(found.evaluations.length).toBe(golden.losses.length);
    found.evaluations.forEach((at, i) => {
      const off = largest([at.total, at.nll, at.kl, at.decay], golden.losses[i]!);
      expect(off, `evaluation ${i}`).toBeLessThan((isExact ? 1e-9 : 2e-3) * Math.max(1, golden.losses[i]![0]!));
    });
    near(found.shift, "delta");
    near(
      found.h0.map((h, i) => h + found.shift[i]!),
      "z",
    );
  };
  it(`${prefix} in float64, one graph`, () => check({ dtype: "float64", executor: "graph" }));
  it(`${prefix} in float32, one graph`, () => check({ dtype: "float32", executor: "graph" }));
  it(`${prefix} in float32, block by block`, () => check({ dtype: "float32", executor: "blocks" }));
}

/** C of layer 12 as the reference stores it. */
export const storedMoment = (): Matrix =>
  matrix(1536, 1536, Float64Array.from(readTensors("golden/editing/cov.safetensors").get("C_12")!.data as Float32Array));

/** C of every layer by the reference's recipe, in float64, rounded to float32 as the reference has it; kept in the build folder. */
export async function recipeStatistics(model: Model): Promise<Statistics> {
  const file = fileURLToPath(new URL("../cache/parity-moments.safetensors", import.meta.url));
  if (!existsSync(file)) {
    const { ids } = model.tokenizer.encode(readFileSync(shared("data/wikitext-2/valid.txt"), "utf8"), { special: false });
    const rows = Array.from({ length: 150 }, (_, i) => ({ ids: ids.slice(i * 512, (i + 1) * 512), from: 0 }));
    const moments = await secondMoments(model, rows, LAYERS, "mlp_post", { dtype: "float64", executor: "graph", ctx });
    mkdirSync(new URL("../cache/", import.meta.url), { recursive: true });
    writeSafetensors(
      file,
      LAYERS.map((l) => [`${l}`, moments.get(l)!]),
    );
  }
  const { tensors } = readSafetensors(file);
  const read = new Map(LAYERS.map((l) => [l, Float64Array.from(Float32Array.from(tensors.get(`${l}`)!.data as Float64Array))]));
  return {
    spec: { text: "wikitext-2", tokens: 76_800, length: 512, seed: 0 },
    prepare: async () => {},
    secondMoment: async (layer) => matrix(1536, 1536, read.get(layer)!.slice()),
  };
}

/** ΔW·probesᵀ [out, 4] of an outer product. */
export async function probed(model: Model, left: NdArray, right: NdArray): Promise<Matrix> {
  const gemm = gemmOn(model.sessions);
  const wide = (a: NdArray): Matrix => matrix(a.shape[0]!, a.shape[1]!, Float64Array.from(a.data as Float64Array));
  const probes = readTensors("golden/editing/cov.safetensors").get("probes") as Matrix;
  return gemm(wide(left), await gemm(wide(right), probes, { transB: true }));
}
