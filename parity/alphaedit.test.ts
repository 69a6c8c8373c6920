/** AlphaEdit against the reference's tensors: projectors, two batches in sequence, and what the edited model says. */
import { afterAll, describe, expect, it } from "vitest";
import type { NdArray } from "../src/base/array.ts";
import { resolveParams } from "../src/base/schema.ts";
import { changed } from "../src/edit/apply.ts";
import { deltasOf, sign } from "../src/edit/edit.ts";
import { nullSpace } from "../src/methods/alphaedit/null-space.ts";
import { spread } from "../src/locate/spread.ts";
import { alphaedit, alphaFactor } from "../src/methods/alphaedit/alphaedit.ts";
import { loadFrom } from "../src/model/load.ts";
import { type Model, withWeights } from "../src/model/model.ts";
import { gemmOn, type Matrix, sideBySide, transpose } from "../src/onnx/linalg.ts";
import { COMPAT, ctx, forget, LAYERS, probed, recipeStatistics, requests, soughtFor, storedMoment, templates } from "./batch.ts";
import { absent, all, lastLogits, readJson, readTensors, relative, shared } from "./shared.ts";

interface Golden {
  P_rank: Record<string, number>;
  hparams: { nullspace_threshold: number; L2: number };
  f32_rel_err_given_f64_projector: Record<string, number>;
}
const LATER = LAYERS.slice(2);

describe.skipIf(absent)(`AlphaEdit${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared("models/smollm2-135m-instruct"));
  const golden = absent ? undefined! : readJson<Golden>("golden/editing/alphaedit.json");
  const tensors: Map<string, NdArray> = absent ? new Map() : readTensors("golden/editing/alphaedit.safetensors");
  const of = (name: string): Matrix => tensors.get(name) as Matrix;
  afterAll(() => model?.release());
  const cut = () => ({ rank: 0, threshold: golden.hparams.nullspace_threshold, relative: 0 });
  const allowed = (key: string): number => Math.max(1e-5, 10 * (golden.f32_rel_err_given_f64_projector[key] ?? 5e-4));
  const given = absent ? [] : requests();
  const batches = [given.slice(0, 4), given.slice(4)];

  it("layer 12: projector, and the changes of both batches from the reference's keys and states", async () => {
    const gemm = gemmOn(model.sessions);
    const { projector, rank } = await nullSpace(storedMoment(), cut(), gemm, ctx);
    expect(rank).toBe(golden.P_rank["12"]);
    const probes = readTensors("golden/editing/cov.safetensors").get("probes") as Matrix;
    expect(relative(await gemm(projector, probes, { transB: true }), of("l12.P_probe"))).toBeLessThan(1e-9);
    for (const b of ["b1", "b2"] as const) {
      const keys = of(`${b}.l12.K`);
      const earlier = b === "b2" ? sideBySide(keys, of("b1.l12.K")) : keys;
      const [z, now] = [of(`${b}.Z`), of(`${b}.l12.Z_cur`)];
      const residual = { ...z, data: z.data.map((x, i) => (x - now.data[i]!) / LATER.length) } as Matrix;
      const change = async (l2: number, all = earlier) => {
        const { factor } = await alphaFactor(projector, keys, all, { l2, share: 1 }, gemm);
        return relative(await probed(model, residual, transpose(factor)), of(`${b}.l12.deltaW_probe`));
      };
      expect(await change(golden.hparams.L2), b).toBeLessThan(1e-9);
      expect(await change(golden.hparams.L2 * 1.01), b).toBeGreaterThan(1e-6);
      if (b === "b2") expect(await change(golden.hparams.L2, keys)).toBeGreaterThan(1e-3); // forgetting the first batch shows
    }
  });

  it("keys and states of the first layer of the first batch", async () => {
    const rows = batches[0]!.map((r) => soughtFor(model, r).rows);
    const solve = async (): Promise<Matrix> => ({ dtype: "float64", shape: [1536, 4], data: new Float64Array(1536 * 4) });
    const made = await spread(model, rows, of("b1.Z"), { dtype: "float64", executor: "graph", layers: [10], ctx, solve });
    expect(relative(made.keys.get(10)!, of("b1.l10.K"))).toBeLessThan(1e-9);
  });

  it.skipIf(!all)(
    `the whole method, two batches in sequence${all ? "" : " (skipped: it runs with --all)"}`,
    { timeout: 3_600_000 },
    async () => {
      const logits = readTensors("golden/editing/alphaedit_logits.safetensors");
      const statistics = await recipeStatistics(model);
      for (const dtype of ["float64", "float32"] as const) {
        const params = resolveParams(
          "alphaedit",
          alphaedit.params,
          { layers: LAYERS, steps: 25, clamp: 4, lr: 0.5, threshold: golden.hparams.nullspace_threshold, l2: golden.hparams.L2 },
          model.config,
        );
        const job = { retain: [], statistics, params, compat: COMPAT, format: "plain" as const, seed: 0, templates: templates(), ctx };
        let edited: Model = model;
        let previous: ReturnType<typeof sign> | undefined;
        for (const [i, batch] of batches.entries()) {
          const b = `b${i + 1}`;
          const draft = await alphaedit.edit({
            ...job,
            model: edited,
            requests: batch.map(forget),
            running: { dtype, executor: "graph" },
            ...(previous && { previous }),
          });
          for (const l of LAYERS) {
            const weight = `blocks.${l}.mlp.out`;
            const delta = deltasOf(draft)[weight]!;
            if (!("outer" in delta)) throw new Error("an outer product");
            // the moments of the other layers are our own run of the recipe, rounded to float32: a last bit may differ
            const tolerance = dtype === "float64" ? 1e-6 : allowed(`${b}.l${l}.deltaW_probe`);
            expect(relative(await probed(model, ...delta.outer), of(`${b}.l${l}.deltaW_probe`)), `${dtype} ${b} ${l}`).toBeLessThan(
              tolerance,
            );
            edited = withWeights(edited, new Map([[weight, changed(weight, edited.weights.get(weight)!, delta)]]));
          }
          const by = { method: "alphaedit", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" };
          previous = sign(draft, { base: model.id, on: [], format: "plain", by });
        }
        for (const r of given) {
          const key = `b2.logits.r${r.id}`;
          expect(relative(await lastLogits(edited, r.prompt_ids, dtype), logits.get(key)!), key).toBeLessThan(
            dtype === "float64" ? 1e-5 : 5e-3,
          );
        }
      }
    },
  );
});
