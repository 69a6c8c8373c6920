/** GRACE against the reference's runs: rules, radii, losses, values, and what the edited model says. */
import { afterAll, describe, expect, it } from "vitest";
import type { NdArray } from "../src/base/array.ts";
import { defaultContext } from "../src/base/context.ts";
import { resolveParams } from "../src/base/schema.ts";
import { apply } from "../src/edit/apply.ts";
import { sign } from "../src/edit/edit.ts";
import { adapterOf, type Entry } from "../src/locate/codebook.ts";
import { rowOf } from "../src/locate/keys.ts";
import type { Running } from "../src/onnx/program.ts";
import { tokenizeRequest } from "../src/locate/tokenized-requests.ts";
import { grace } from "../src/methods/grace/grace.ts";
import { type GraceParams, teach, type Taught } from "../src/methods/grace/teach.ts";
import { generate } from "../src/model/decode/generate.ts";
import { loadFrom } from "../src/model/load.ts";
import type { Model } from "../src/model/model.ts";
import { absent, all, largest, lastLogits, readJson, readTensors, relative, shared } from "./shared.ts";

interface GoldenEdit {
  prompt: string;
  target: string;
  input_ids: number[];
  key_token_index: number;
  rule: string;
  dist_before: number[] | null;
  epsilons: number[];
  chosen_key: number;
  losses: number[];
  f32_rel_err: Record<string, number>;
}
interface Route {
  dists: number[];
  nearest: number;
  hit: boolean;
  top1: number;
}
interface Run {
  hparams: Record<string, unknown>;
  edits: GoldenEdit[];
  probes?: (Route & { name: string; prompt: string; input_ids: number[]; stale: Route; gen_cache?: Gen; gen_nocache?: Gen })[];
}
interface Gen {
  ids: number[];
}

describe.skipIf(absent)(`grace${absent && ` (skipped: ${absent})`}`, () => {
  const golden = absent ? { runs: {} as Record<string, Run> } : readJson<{ runs: Record<string, Run> }>("golden/memory/grace.json");
  const tensors = absent ? new Map<string, NdArray>() : readTensors("golden/memory/grace.safetensors");
  const ctx = defaultContext();
  const model = absent ? (undefined as unknown as Model) : loadFrom(shared("models/smollm2-135m-instruct"), ctx);
  afterAll(async () => model?.release());
  const compat = new Set(["label-means", "no-stop", "open-end"]);

  const paramsOf = (run: Run, over: Partial<GraceParams> = {}): GraceParams => {
    const h = run.hparams;
    const given = {
      layer: 26,
      steps: h["n_iter"],
      lr: h["edit_lr"],
      init: h["val_init"],
      replace: h["replacement"],
      expand: h["eps_expand"],
      radius: h["eps"],
    };
    return resolveParams("grace", grace.params, { ...given, ...over }, model.config);
  };

  /** Runs a golden run's edits, `until` of them, and hands each to `check`. */
  async function replayed(
    name: string,
    running: Running,
    check: (taught: Taught, edit: GoldenEdit, e: number) => void,
    { over = {}, until = Infinity }: { over?: Partial<GraceParams>; until?: number } = {},
  ): Promise<readonly Entry[]> {
    const run = golden.runs[name]!;
    const params = paramsOf(run, over);
    let book: readonly Entry[] = [];
    for (const [e, edit] of run.edits.slice(0, until).entries()) {
      const [row] = tokenizeRequest(model, { prompt: edit.prompt, target: edit.target }, ["{}"], { format: "plain", end: false });
      expect(row!.ids).toEqual(edit.input_ids);
      expect(row!.subject).toBe(edit.key_token_index);
      const draw = (): Float64Array => rowOf(tensors.get(`${name}.v_init.${e}`)!, 0);
      const taught = await teach(model, book, row!, { params, compat, running, ctx, radius: params.radius, draw });
      book = taught.book;
      check(taught, edit, e);
    }
    return book;
  }

  const sizeOf = (xs: readonly number[]): number => Math.hypot(...xs);
  const lossesOf = (taught: Taught, edit: GoldenEdit): number[] =>
    taught.value?.evaluations.slice(0, edit.losses.length).map((x) => x.total) ?? [];
  /** The reference stops moving a value that no gradient reaches: an edit that no key answers has one loss throughout. */
  const near = (taught: Taught, edit: GoldenEdit, loss: number, values: number, name: string, e: number): void => {
    expect(taught.rule, `rule ${e}`).toBe(edit.rule);
    // a question that was taught before is at no distance from its key: absolute there, relative elsewhere
    const least = Math.min(...(edit.dist_before ?? []));
    if (edit.dist_before) expect(Math.abs(taught.distance! - least) / Math.max(least, 1), `distance ${e}`).toBeLessThan(1e-5);
    expect(
      largest(
        taught.book.map((x) => x.radius),
        edit.epsilons,
      ),
      `radii ${e}`,
    ).toBeLessThan(1e-4);
    expect(relative(taught.query, tensors.get(`${name}.query.${e}`)!), `query ${e}`).toBeLessThan(
      values === 0 ? 0 : Math.min(1e-5, values),
    );
    // what is learnt already has losses of 1e-9, of which rounding leaves seven digits
    const learnt = edit.losses.map((x) => Math.max(x, 1e-6));
    if (taught.value)
      expect(relative(lossesOf(taught, edit), edit.losses) * (sizeOf(edit.losses) / sizeOf(learnt)), `losses ${e}`).toBeLessThan(loss);
    else expect(new Set(edit.losses.map((x) => x.toFixed(9))).size, `losses ${e}`).toBe(1);
    expect(
      relative(
        taught.book.flatMap((x) => [...x.value]),
        tensors.get(`${name}.values.${e}`)!,
      ),
      `values ${e}`,
    ).toBeLessThan(values);
  };

  const names = all ? ["eps1", "eps4", "var_all_warm", "var_prompt_mavg"] : ["eps1", "var_all_warm", "var_prompt_mavg"];
  it.each(names)("%s in float64: rules, radii, losses, values", { timeout: 900_000 }, async (name) => {
    await replayed(name, { dtype: "float64", executor: "graph" }, (t, edit, e) => near(t, edit, 1e-8, 1e-7, name, e), {
      until: all ? Infinity : 3,
    });
  });

  it.each(["graph", "blocks"] as const)("eps1 in float32, %s", { timeout: 900_000 }, async (executor) => {
    await replayed("eps1", { dtype: "float32", executor }, (t, edit, e) => near(t, edit, 3e-4, 1e-3, "eps1", e), {
      until: all && executor === "graph" ? Infinity : 1,
    });
  });

  it("goes red when the step size is off by a hundredth", async () => {
    await replayed(
      "eps1",
      { dtype: "float32", executor: "graph" },
      (t, edit) => expect(relative(lossesOf(t, edit), edit.losses)).toBeGreaterThan(3e-4),
      { over: { lr: 1.01 }, until: 1 },
    );
  });

  /** The reference's book after a whole run. */
  const bookOf = (name: string): Entry[] => {
    const { edits } = golden.runs[name]!;
    const [keys, values] = [tensors.get(`${name}.keys`)!, tensors.get(`${name}.values.${edits.length - 1}`)!];
    return edits.at(-1)!.epsilons.map((radius, i) => ({ radius, key: rowOf(keys, i), value: rowOf(values, i), target: [], prompt: 0 }));
  };
  const edited = (name: string, quirks: readonly string[], dtype: "float32" | "float64", over: Partial<GraceParams> = {}): Model => {
    const last = golden.runs[name]!.edits.at(-1)!.key_token_index;
    const book = bookOf(name);
    const change = adapterOf(model, book, { params: paramsOf(golden.runs[name]!, over), compat: new Set(quirks), dtype, last });
    const by = { method: "grace", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" };
    return apply(model, sign({ change }, { base: model.id, on: [], format: "plain", by }));
  };

  it.each(["eps1", "eps4"])("%s: what the edited model says at every probe", { timeout: 300_000 }, async (name) => {
    const probes = golden.runs[name]!.probes!;
    const stored = tensors.get(`${name}.probe_logits`)!;
    for (const dtype of all ? (["float64", "float32"] as const) : (["float32"] as const)) {
      const [now, stale] = [edited(name, [], dtype), edited(name, ["stale-index", "every-call"], dtype)];
      for (const [i, probe] of probes.entries()) {
        const logits = await lastLogits(now, probe.input_ids, dtype);
        expect(relative(logits, rowOf(stored, i)), `${probe.name} ${dtype}`).toBeLessThan(
          dtype === "float64" ? 1e-6 : probe.hit ? 5e-3 : 1e-5,
        );
        if (i < 3 || all) expect(top(await lastLogits(stale, probe.input_ids, dtype)), `${probe.name} stale`).toBe(probe.stale.top1);
      }
    }
    const off = bookOf(name).map((entry) => ({ ...entry, value: entry.value.map((x) => x * 1.02) }));
    const change = adapterOf(model, off, { params: paramsOf(golden.runs[name]!), compat: new Set(), dtype: "float32", last: 0 });
    const by = { method: "grace", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" };
    const wrong = apply(model, sign({ change }, { base: model.id, on: [], format: "plain", by }));
    const hit = probes.findIndex((p) => p.hit);
    expect(relative(await lastLogits(wrong, probes[hit]!.input_ids, "float32"), rowOf(stored, hit))).toBeGreaterThan(5e-3);
  });

  it.each(["eps1", "eps4"])(
    "%s: answers with a cache as the reference's without, and under every-call as with it",
    { timeout: 300_000 },
    async (name) => {
      const probes = golden.runs[name]!.probes!;
      for (const [quirks, key] of [
        [[], "gen_nocache"],
        [["every-call"], "gen_cache"],
      ] as const) {
        const asked = probes.filter((p) => p[key]);
        const answered = await generate(
          edited(name, quirks, "float32"),
          asked.map((p) => p.input_ids),
          { maxTokens: 16, stopIds: new Set(model.tokenizer.eos) },
        );
        expect(answered.map((g) => g.ids)).toEqual(asked.map((p) => p[key]!.ids));
      }
    },
  );
});

function top(logits: NdArray): number {
  const data = logits.data as Float32Array;
  return data.indexOf(Math.max(...data));
}
