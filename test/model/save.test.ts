/** Models written and read back: the same weights, tokens and settings; rounding to halves; folders whole or absent. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asFloats, halfTable, toBytes } from "../../src/base/array.ts";
import { openSafetensors } from "../../src/base/store.ts";
import { toHalf } from "../../src/checkpoint/half.ts";
import { loadFrom } from "../../src/model/load.ts";
import { type Model, withWeights } from "../../src/model/model.ts";
import { configJson, exportModel, saveCheckpoint } from "../../src/model/save.ts";
import { score } from "../../src/model/decode/score.ts";
import { tinyModel, tinyRows } from "../train/tiny.ts";

const model = tinyModel(3);
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-save-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await model.release();
});
const json = (...path: string[]): Record<string, unknown> =>
  JSON.parse(readFileSync(join(folder, ...path), "utf8")) as Record<string, unknown>;
const scores = async (m: Model): Promise<number[]> =>
  (
    await score(
      m,
      tinyRows(m).map(({ ids }) => ({ ids, from: 1 })),
    )
  ).flat();

describe("a folder", () => {
  test("holds the whole model: read back, every weight and every score is the same", async () => {
    exportModel(model, join(folder, "plain"));
    expect(readdirSync(join(folder, "plain")).sort()).toEqual([
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const again = loadFrom(join(folder, "plain"));
    expect(again.config).toEqual(model.config);
    expect(again.tokenizer.hash).toBe(model.tokenizer.hash);
    expect(again.tokenizer.eos).toEqual(model.tokenizer.eos);
    expect(again.chatTemplate).toBe(model.chatTemplate);
    for (const [name, array] of model.weights)
      expect(Buffer.from(toBytes(again.weights.get(name)!)).equals(Buffer.from(toBytes(array))), name).toBe(true);
    expect(await scores(again)).toEqual(await scores(model));
    exportModel(again, join(folder, "again"));
    for (const name of readdirSync(join(folder, "plain")))
      expect(readFileSync(join(folder, "again", name), "utf8") === readFileSync(join(folder, "plain", name), "utf8"), name).toBe(true);
    await again.release();
  });

  test("holds what was edited, not what was loaded", async () => {
    const old = model.weights.get("blocks.1.mlp.out")!;
    const data = (old.data as Float32Array).map((x) => x + 1);
    exportModel(withWeights(model, new Map([["blocks.1.mlp.out", { ...old, data }]])), join(folder, "edited"));
    const file = openSafetensors(join(folder, "edited/model.safetensors"));
    expect(file.tensors.get("model.layers.1.mlp.down_proj.weight")!.read().data).toEqual(data);
    expect(file.tensors.get("model.layers.0.mlp.down_proj.weight")!.read().data).toEqual(model.weights.get("blocks.0.mlp.out")!.data);
    expect(file.metadata).toEqual({ format: "pt" });
    file.close();
  });

  test("is sharded under an index when it is large", async () => {
    exportModel(model, join(folder, "sharded"), { shardBytes: 60_000 });
    const { weight_map: map, metadata } = json("sharded", "model.safetensors.index.json") as {
      weight_map: Record<string, string>;
      metadata: { total_size: number };
    };
    const shards = [...new Set(Object.values(map))];
    expect(shards.length).toBeGreaterThan(1);
    expect(shards[0]).toBe(`model-00001-of-0000${shards.length}.safetensors`);
    expect(metadata.total_size).toBe([...model.weights.values()].reduce((sum, a) => sum + a.data.byteLength, 0));
    const again = loadFrom(join(folder, "sharded"));
    expect(await scores(again)).toEqual(await scores(model));
    await again.release();
  });

  test.each(["float16", "bfloat16"] as const)("in %s: each weight rounded once", async (dtype) => {
    exportModel(model, join(folder, dtype), { dtype });
    const file = openSafetensors(join(folder, dtype, "model.safetensors"));
    const stored = file.tensors.get("model.embed_tokens.weight")!.read();
    file.close();
    expect(stored.dtype).toBe(dtype);
    const [ours, wide] = [model.weights.get("embed")!.data as Float32Array, asFloats(stored, "float32").data];
    const bound = dtype === "float16" ? 2 ** -11 : 2 ** -8;
    expect(ours.every((x, i) => Math.abs(x - wide[i]!) <= bound * Math.max(Math.abs(x), 2 ** -14))).toBe(true);
    expect(json(dtype, "config.json")).toMatchObject({ dtype, torch_dtype: dtype });
  });

  test("a value that half precision cannot hold is refused, and nothing is left", () => {
    const old = model.weights.get("final_norm")!;
    const large = withWeights(model, new Map([["final_norm", { ...old, data: (old.data as Float32Array).map(() => 1e5) }]]));
    expect(() => exportModel(large, join(folder, "large"), { dtype: "float16" })).toThrow(
      /"model.norm.weight" holds 100000.*--dtype bfloat16/,
    );
    expect(readdirSync(folder).filter((name) => name.includes("large"))).toEqual([]);
  });

  test("that is not empty is refused unless forced, and then replaced whole", () => {
    const taken = join(folder, "taken");
    mkdirSync(taken);
    exportModel(model, taken); // empty: fine
    writeFileSync(join(taken, "note.txt"), "mine");
    expect(() => exportModel(model, taken)).toThrow(/is not empty/);
    expect(existsSync(join(taken, "note.txt"))).toBe(true);
    exportModel(model, taken, { force: true });
    expect(existsSync(join(taken, "note.txt"))).toBe(false);
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
    writeFileSync(join(folder, "file"), "");
    expect(() => exportModel(model, join(folder, "file"), { force: true })).toThrow(/is a file/);
  });
});

describe("config.json", () => {
  const files = model.files;
  const of = (over: Partial<Model["config"]>, source?: Record<string, unknown>): Record<string, unknown> =>
    configJson({ ...model.config, ...over }, model.arch, { ...files, config: source }, "float32");

  test("without a source says all that the architecture reads", () => {
    expect(model.arch.config(of({}))).toEqual(model.config);
    expect(of({})).toMatchObject({
      architectures: ["LlamaForCausalLM"],
      eos_token_id: 2,
      rope_theta: 10000,
      rope_parameters: { rope_type: "default", rope_theta: 10000 },
    });
  });
  test("keeps the source's own keys", () => {
    expect(
      of(
        {},
        { ...files.config, architectures: ["MistralForCausalLM"], model_type: "mistral", pretraining_tp: 1, transformers_version: "4.1" },
      ),
    ).toMatchObject({ model_type: "mistral", pretraining_tp: 1 });
  });
  test("writes real numbers as real numbers, which transformers 5 insists on", () => {
    const dir = join(folder, "reals");
    const source = { ...files.config, final_logit_softcapping: 30, time_step_limit: [0, 1], logits_scaling: 2.5, num_hidden_layers: 6 };
    saveCheckpoint(dir, { ...model, files: { ...files, config: source } });
    const text = readFileSync(join(dir, "config.json"), "utf8");
    expect(text).toMatch(/"final_logit_softcapping": 30\.0,/);
    expect(text).toMatch(/"time_step_limit": \[\s*0\.0,\s*1\.0\s*\]/);
    expect(text).toMatch(/"logits_scaling": 2\.5,/);
    expect(text).toMatch(/"rope_theta": 10000\.0,/);
    expect(text).toMatch(/"num_hidden_layers": 6,/);
    expect(JSON.parse(text)).toMatchObject({
      final_logit_softcapping: 30,
      time_step_limit: [0, 1],
      logits_scaling: 2.5,
      num_hidden_layers: 6,
    });
  });
  test("says rope scaling in both layouts", () => {
    const scaling = { kind: "llama3", factor: 8, low: 1, high: 4, original: 8192 } as const;
    const written = of({ rope: { theta: 5e5, size: 64, scaling }, headSize: 64 });
    expect(written["rope_parameters"]).toEqual({
      rope_type: "llama3",
      rope_theta: 5e5,
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
    expect(model.arch.config(written).rope).toEqual({ theta: 5e5, size: 64, scaling });
    const { rope_parameters: _, ...legacy } = written;
    expect(model.arch.config(legacy).rope).toEqual({ theta: 5e5, size: 64, scaling });
  });
  test("finds the published scaling behind GGUF's divisors, and refuses others", () => {
    const scaling = { kind: "llama3", factor: 32, low: 1, high: 4, original: 8192 } as const;
    const factors = Array.from({ length: 32 }, (_, i) => {
      const wave = 2 * Math.PI * 5e5 ** (i / 32);
      if (wave < 8192 / 4) return 1;
      if (wave > 8192) return 32;
      const mix = (8192 / wave - 1) / 3;
      return 1 / ((1 - mix) / 32 + mix);
    });
    expect(
      model.arch.config(of({ rope: { theta: 5e5, size: 64, scaling: { kind: "factors", factors } }, headSize: 64 })).rope!.scaling,
    ).toEqual(scaling);
    expect(() => of({ rope: { theta: 5e5, size: 64, scaling: { kind: "factors", factors: factors.map((f) => Math.sqrt(f)) } } })).toThrow(
      /a scaling that config.json can say/,
    );
  });
});

describe("rounding to halves", () => {
  test("every half is its own image, and what lies between goes to the nearer, ties to even", () => {
    const table = halfTable();
    const finite = Array.from({ length: 0x7c00 }, (_, bits) => bits);
    expect([
      ...toHalf(
        Float32Array.from(finite, (bits) => table[bits]!),
        "float16",
      ),
    ]).toEqual(finite);
    expect([
      ...toHalf(
        Float32Array.from(finite, (bits) => -table[bits]!),
        "float16",
      ),
    ]).toEqual(finite.map((bits) => bits | 0x8000));
    const between = finite.slice(0, -1);
    const middle = (bits: number): number => (table[bits]! + table[bits + 1]!) / 2;
    expect([...toHalf(Float32Array.from(between, middle), "float16")]).toEqual(between.map((bits) => bits + (bits & 1)));
    expect([
      ...toHalf(
        Float32Array.from(between, (bits) => middle(bits) * (1 + 1e-6)),
        "float16",
      ),
    ]).toEqual(between.map((bits) => bits + 1));
    expect([
      ...toHalf(
        Float32Array.from(between, (bits) => middle(bits) * (1 - 1e-6)),
        "float16",
      ),
    ]).toEqual(between);
  });
  test("bfloat16 likewise", () => {
    const value = (bits: number): number => new Float32Array(new Uint32Array([bits << 16]).buffer)[0]!;
    const finite = Array.from({ length: 0x7f7f }, (_, bits) => bits);
    expect([...toHalf(Float32Array.from(finite, value), "bfloat16")]).toEqual(finite);
    expect([
      ...toHalf(
        Float32Array.from(finite, (bits) => (value(bits) + value(bits + 1)) / 2),
        "bfloat16",
      ),
    ]).toEqual(finite.map((bits) => bits + (bits & 1)));
  });
  test("infinities and NaN stay what they are", () => {
    expect([...toHalf(Float32Array.of(Infinity, -Infinity, 1e6, 65519, 65520), "float16")]).toEqual([
      0x7c00, 0xfc00, 0x7c00, 0x7bff, 0x7c00,
    ]);
    expect(asFloats({ dtype: "bfloat16", shape: [1], data: toHalf(Float32Array.of(NaN), "bfloat16") }, "float32").data[0]).toBeNaN();
    expect(halfTable()[toHalf(Float32Array.of(NaN), "float16")[0]!]).toBeNaN();
  });
});
