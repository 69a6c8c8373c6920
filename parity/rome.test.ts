/** ROME against the reference's tensors: keys, shifts, losses, values, directions, and what the edited model says. */
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../src/base/context.ts";
import { resolveParams } from "../src/base/schema.ts";
import { changed } from "../src/edit/apply.ts";
import { deltasOf } from "../src/edit/edit.ts";
import { secondMoments, type Statistics } from "../src/locate/covariance.ts";
import { subjectActivations } from "../src/locate/keys.ts";
import type { Running } from "../src/onnx/program.ts";
import { tokenizeRequest } from "../src/locate/tokenized-requests.ts";
import type { Value } from "../src/locate/values.ts";
import { rome } from "../src/methods/rome/rome.ts";
import { generate } from "../src/model/decode/generate.ts";
import { loadFrom } from "../src/model/load.ts";
import { type Model, withWeights } from "../src/model/model.ts";
import { type Matrix } from "../src/onnx/linalg.ts";
import { referenceValue } from "./batch.ts";
import { absent, all, largest, lastLogits, readJson, readTensors, relative, shared } from "./shared.ts";

interface Request {
  id: number;
  prompt: string;
  subject: string;
  target: string;
  target_ids: number[];
  prompt_ids: number[];
  subject_last_idx: number;
}
interface Requests {
  requests: Request[];
  rome_context_templates: string[];
}
interface Edited {
  request: number;
  layer: number;
  mom2_adjustment: boolean;
  v_star_shared_with_mom2_false: boolean;
  k0_dot_u: number;
  deltaW_norm: number;
  row_ids: number[][];
  lookup_idx: number[];
  losses: number[][];
  delta_step_idx: number[];
  eval: { prompts: Record<string, { target_logprobs: number[]; greedy_ids: number[]; greedy_margins: number[] }> };
}
interface Golden {
  edits: Record<string, Edited>;
  f32_rel_err: Record<string, number | number[] | { max_abs?: number }>;
}

const FOLDER = "models/smollm2-135m-instruct";
const COMPAT = new Set(["even-rows", "loss-stop", "open-end", "bare-kl", "mean-key", "no-contrast"]);
/** The case with second moments that runs every time. */
const WITH_MOMENTS = "r1.l12.mom2";
const ASK = { format: "plain", end: false } as const;

describe.skipIf(absent)(`ROME${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared(FOLDER));
  const golden = absent ? undefined! : readJson<Golden>("golden/editing/rome.json");
  const given = absent ? undefined! : readJson<Requests>("golden/editing/requests.json");
  const tensors = absent ? undefined! : readTensors("golden/editing/rome.safetensors");
  const logits = absent ? undefined! : readTensors("golden/editing/rome_logits.safetensors");
  const cov = absent ? undefined! : readTensors("golden/editing/cov.safetensors");
  afterAll(() => model?.release());
  const ctx = defaultContext();

  /** What the f32 run may differ by: ten times the reference's own deviation, at least 1e-5. */
  const allowed = (key: string): number => {
    const own = golden.f32_rel_err[key];
    const size = typeof own === "number" ? own : Array.isArray(own) ? Math.max(...own) : undefined;
    return Math.max(1e-5, 10 * (size ?? 5e-4));
  };
  /**
   * Whether the reference has a float32 run of an edit. Where it has none, what the steps lead to may part from float64 in float32 (r8's key
   * hardly meets its direction, so that rounding grows); by the golden tensors' own rule float64 must then agree, to 1e-6.
   */
  const hasFloat32 = (name: string): boolean => `${name}.losses` in golden.f32_rel_err;
  const C = (): Matrix =>
    ({ dtype: "float64", shape: [1536, 1536], data: Float64Array.from(cov.get("C_12")!.data as Float32Array) }) as Matrix;
  const statistics: Statistics = {
    spec: { text: "wikitext-2", tokens: 76800, length: 512, seed: 0 },
    prepare: async () => {},
    secondMoment: async () => C(),
  };

  const requestOf = (edit: Edited): Request => given.requests.find((r) => r.id === edit.request)!;
  const rowsFor = (m: Model, r: Request) => ({
    rows: tokenizeRequest(m, { prompt: r.prompt, subject: r.subject, target: r.target }, given.rome_context_templates, ASK),
    klRow: tokenizeRequest(m, { prompt: `${r.subject} is a`, subject: r.subject }, ["{}"], ASK)[0]!,
  });
  const valueOf = async (m: Model, edit: Edited, running: Running, over: { steps?: number; lr?: number } = {}): Promise<Value> => {
    return referenceValue(m, rowsFor(m, requestOf(edit)), { layer: edit.layer, site: "mlp_out" }, running, over);
  };

  it("rows, subject places and labels are the reference's", () => {
    for (const [name, edit] of Object.entries(golden.edits)) {
      if (!edit.row_ids) continue;
      const { rows, klRow } = rowsFor(model, requestOf(edit));
      expect([...rows.map((r) => r.ids.slice(0, -1)), klRow.ids], name).toEqual(edit.row_ids);
      expect(
        [...rows, klRow].map((r) => r.subject),
        name,
      ).toEqual(edit.lookup_idx);
      expect(
        rows.map((r) => r.ids.slice(r.first)),
        name,
      ).toEqual(rows.map(() => requestOf(edit).target_ids));
    }
  });

  const own = absent ? [] : Object.entries(golden.edits).filter(([, e]) => e.row_ids);
  const shortest = own
    .filter(([, e]) => e.losses.length > 3)
    .sort(
      (a, b) =>
        a[1].row_ids.length * a[1].losses.length * a[1].row_ids[0]!.length -
        b[1].row_ids.length * b[1].losses.length * b[1].row_ids[0]!.length,
    )
    .slice(0, 1);
  const chosen = all ? own : shortest;

  for (const [name, edit] of chosen) {
    const prefix = `r${edit.request}.l${edit.layer}`;
    /** Compares what no step moves, and gives the comparison of what the steps do. */
    const compare = async (running: Running, tolerance: (key: string) => number, lossTolerance: number): Promise<() => void> => {
      const found = await valueOf(model, edit, running);
      const near = (ours: ArrayLike<number>, key: string): void => {
        expect(relative(ours, tensors.get(`${prefix}.${key}`)!), `${prefix}.${key}`).toBeLessThan(tolerance(`${prefix}.${key}`));
      };
      near(found.h0, "h0");
      near(found.firstGradient, "grad0");
      const nearLoss = (from: number, to?: number): void =>
        edit.losses.slice(from, to).forEach((losses, i) => {
          const at = found.evaluations[from + i]!;
          expect(largest([at.total, at.nll, at.kl, at.decay], losses), `${name} evaluation ${from + i}`).toBeLessThan(
            lossTolerance * Math.max(1, losses[0]!),
          );
        });
      nearLoss(0, 3);
      const { rows } = rowsFor(model, requestOf(edit));
      const seen = await subjectActivations(model, rows, edit.layer, ["mlp_post", "mlp_out"], running);
      const keys = seen.mlp_post.data as Float64Array;
      const mean = Float64Array.from({ length: 1536 }, (_, j) => rows.reduce((s, _r, i) => s + keys[i * 1536 + j]!, 0) / rows.length);
      near(mean, "k_mean");
      near(keys.subarray(0, 1536), "k0");
      near((seen.mlp_out.data as Float64Array).subarray(0, 576), "o0");
      return () => {
        expect(found.evaluations.length).toBe(edit.losses.length);
        nearLoss(3);
        const steps = tensors.get(`${prefix}.delta_steps`)!;
        edit.delta_step_idx.forEach((step, i) => {
          expect(relative(found.shifts[step - 1]!, (steps.data as Float64Array).subarray(i * 576, (i + 1) * 576))).toBeLessThan(
            tolerance(`${prefix}.delta_steps`),
          );
        });
        near(found.shift, "delta");
        near(
          found.h0.map((h, i) => h + found.shift[i]!),
          "v_star",
        );
      };
    };
    const check = async (running: Running): Promise<void> => {
      if (running.dtype === "float64") return (await compare(running, () => 1e-9, 1e-9))();
      const trajectory = await compare(running, allowed, 2e-3);
      if (hasFloat32(name)) return trajectory();
      try {
        trajectory();
      } catch {
        (await compare({ dtype: "float64", executor: "graph" }, () => 1e-6, 1e-6))();
      }
    };
    it(`${name} in float64, one graph`, async () => check({ dtype: "float64", executor: "graph" }));
    it(`${name} in float32, one graph`, async () => check({ dtype: "float32", executor: "graph" }));
    it(`${name} in float32, block by block`, async () => check({ dtype: "float32", executor: "blocks" }));
  }

  it("a float64 step, block by block", async () => {
    const [, edit] = shortest[0]!;
    const found = await valueOf(model, edit, { dtype: "float64", executor: "blocks" }, { steps: 2 });
    expect(relative(found.firstGradient, tensors.get(`r${edit.request}.l${edit.layer}.grad0`)!)).toBeLessThan(1e-9);
    expect(largest([found.evaluations[1]!.total], [edit.losses[1]![0]!])).toBeLessThan(1e-9 * edit.losses[1]![0]!);
  });

  it("goes red when the step size is off by a hundredth", async () => {
    const [, edit] = shortest[0]!;
    const found = await valueOf(model, edit, { dtype: "float32", executor: "graph" }, { steps: 5, lr: 0.505 });
    const off = found.evaluations.map((at, i) => Math.abs(at.total - edit.losses[i]![0]!) / Math.max(1, edit.losses[i]![0]!));
    expect(Math.max(...off)).toBeGreaterThan(2e-3);
  });

  const whole = Object.entries(absent ? {} : golden.edits).filter(([name]) => all || name === shortest[0]![0] || name === WITH_MOMENTS);
  it.each(whole)("%s: the whole method, and what the edited model says", async (name, edit) => {
    const r = requestOf(edit);
    for (const dtype of all || name !== WITH_MOMENTS ? (["float64", "float32"] as const) : (["float32"] as const)) {
      const near = (key: string): number => (dtype === "float64" ? 1e-9 : allowed(key));
      const compat = new Set([...COMPAT, ...(edit.mom2_adjustment ? [] : ["identity-covariance"])]);
      const params = resolveParams("rome", rome.params, { layer: edit.layer, steps: 25, clamp: 4, lr: 0.5, ridge: 0 }, model.config);
      const draft = await rome.edit({
        model,
        requests: [
          {
            id: String(r.id),
            subject: r.subject,
            prompt: r.prompt,
            answer: "",
            target: r.target,
            paraphrases: [],
            neighbours: [],
            wrong: [],
          },
        ],
        retain: [],
        statistics,
        params,
        compat,
        format: "plain",
        seed: 0,
        templates: given.rome_context_templates,
        running: { dtype, executor: "graph" },
        ctx,
      });
      const weight = `blocks.${edit.layer}.mlp.out`;
      const delta = deltasOf(draft)[weight]!;
      if (!("outer" in delta)) throw new Error("ROME gives an outer product");
      const kind = edit.mom2_adjustment ? "mom2" : "id";
      const prefix = `r${edit.request}.l${edit.layer}.${kind}`;
      expect(relative(delta.outer[1], tensors.get(`${prefix}.u`)!), "direction").toBeLessThan(near(`${prefix}.u`));
      const isWitnessed = dtype === "float32" && !hasFloat32(name); // float64 agreed just before
      if (!isWitnessed) expect(relative(delta.outer[0], tensors.get(`${prefix}.right`)!), "right").toBeLessThan(near(`${prefix}.right`));
      const meets = Number(draft.evidence!["keyMeetsDirection"]);
      expect(Math.abs(meets - edit.k0_dot_u) / edit.k0_dot_u).toBeLessThan(near(`${prefix}.u`) * 10);

      const edited = withWeights(model, new Map([[weight, changed(weight, model.weights.get(weight)!, delta)]]));
      for (const prompt of Object.keys(edit.eval.prompts).filter((p) => p.startsWith("r"))) {
        const asked = given.requests.find((q) => `r${q.id}` === prompt)!;
        const golden0 = logits.get(`${name}.logits.${prompt}`);
        if (golden0 && !isWitnessed) {
          const last = await lastLogits(edited, asked.prompt_ids, dtype);
          expect(relative(last, golden0), `${name} logits ${prompt}`).toBeLessThan(
            dtype === "float64" ? 1e-6 : allowed(`${name}.logits.${prompt}`),
          );
        }
      }
      if (dtype === "float32") {
        const { greedy_ids, greedy_margins } = edit.eval.prompts[`r${edit.request}`]!;
        const safe = greedy_margins.findIndex((m) => m < 1e-2);
        const sure = safe < 0 ? greedy_ids.length : safe;
        const [said] = await generate(edited, [r.prompt_ids], { maxTokens: greedy_ids.length });
        expect(said!.ids.slice(0, sure)).toEqual(greedy_ids.slice(0, sure));
      }
    }
  });

  it("second moments of wikitext-2 by the recipe", async () => {
    const { ids } = model.tokenizer.encode((await import("node:fs")).readFileSync(shared("data/wikitext-2/valid.txt"), "utf8"), {
      special: false,
    });
    const info = readJson<{ layers: Record<string, { trace: number }> }>("golden/editing/cov.json");
    expect(info).toBeDefined();
    const count = all ? 150 : 0;
    if (count === 0) return; // the whole recipe runs with --all; a tenth of it has no reference
    const rows = Array.from({ length: count }, (_, i) => ({ ids: ids.slice(i * 512, (i + 1) * 512), from: 0 }));
    const moments = await secondMoments(model, rows, [10, 11, 12, 13, 14], "mlp_post", { dtype: "float32", executor: "graph", ctx });
    expect(relative(moments.get(12)!, cov.get("C_12")!)).toBeLessThan(1e-5);
    for (const layer of [10, 11, 12, 13, 14]) {
      const c = moments.get(layer)!;
      const probes = cov.get("probes")!.data as Float64Array;
      const product = Float64Array.from({ length: 1536 * 4 }, (_, at) => {
        const [i, j] = [Math.floor(at / 4), at % 4];
        let sum = 0;
        for (let k = 0; k < 1536; k++) sum += c.data[i * 1536 + k]! * probes[j * 1536 + k]!;
        return sum;
      });
      expect(relative(product, cov.get(`l${layer}.C_probe`)!), `layer ${layer}`).toBeLessThan(1e-5);
    }
  });
});
