/** Models as GGUF: rows decide the type, divisors of positions are a tensor, windows end the context, and refusals come with a way out. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asFloats } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { openGguf } from "../../src/checkpoint/gguf.ts";
import type { Arch, Config } from "../../src/model/arch/arch.ts";
import { registry } from "../../src/model/arch/registry.ts";
import { load } from "../../src/model/load.ts";
import { frequencies } from "../../src/model/rope.ts";
import { exportGguf, ggufHeader, type GgufDtype } from "../../src/model/save-gguf.ts";
import { writeRandomCheckpoint } from "../../src/testing/random-checkpoint.ts";

let folder: string;
const ctx = defaultContext();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-save-gguf-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const LLAMA = {
  model_type: "llama",
  vocab_size: 1536,
  hidden_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 40,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
let made = 0;

/** A random model of a config, written and read again. */
async function written(arch: Arch, config: Record<string, unknown>, dtype: GgufDtype = "float32") {
  const at = join(folder, String(++made));
  await writeRandomCheckpoint(at, arch, config, ctx);
  const model = await load(at, ctx);
  const path = `${at}.gguf`;
  const { stored } = await exportGguf(model, path, { dtype, ctx });
  const again = await load(path, ctx);
  const { tensors, kv, close } = openGguf(path);
  const types = Object.fromEntries([...tensors].map(([name, tensor]) => [name, tensor.stored]));
  close();
  await Promise.all([model.release(), again.release()]);
  return { model, again, stored, types, kv };
}

test("rows of 32 and 40: Q5_0 in place of Q4_K, F16 where 32 does not divide; norms are F32", async () => {
  const { stored, types, kv } = await written(registry.llama, LLAMA, "q4_k");
  expect(types["blk.0.ffn_up.weight"]).toBe("Q5_0");
  expect(types["blk.0.ffn_down.weight"]).toBe("F16");
  expect(types["blk.0.attn_norm.weight"]).toBe("F32");
  expect(types["output.weight"]).toBeUndefined();
  expect(stored).toEqual({ Q5_0: 7, F16: 1, F32: 3 });
  expect(kv).toMatchObject({ "general.file_type": 14, "general.quantization_version": 2, "llama.rope.dimension_count": 8 });
});

test("queries and keys are stored as pairs, and read as halves", async () => {
  const at = join(folder, "paired");
  await writeRandomCheckpoint(at, registry.llama, LLAMA, ctx);
  const model = await load(at, ctx);
  await exportGguf(model, `${at}.gguf`);
  const { tensors, close } = openGguf(`${at}.gguf`);
  const rows = (data: ArrayLike<number | bigint>, row: number): number[] => Array.from(data, Number).slice(32 * row, 32 * (row + 1));
  const stored = tensors.get("blk.0.attn_q.weight")!.read().data;
  const ours = asFloats(model.weights.get("blocks.0.attn.q")!, "float32").data;
  expect(rows(stored, 1)).toEqual(rows(ours, 4)); // a head of 8: the second row of the file is the fifth of ours
  expect(rows(stored, 1)).not.toEqual(rows(ours, 1));
  close();
  await model.release();
});

test("Llama 3's scaling is a tensor of divisors, which gives the same frequencies", async () => {
  const scaling = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
  const { model, again, types } = await written(registry.llama, { ...LLAMA, rope_parameters: { ...scaling, rope_theta: 500 } });
  expect(types["rope_freqs.weight"]).toBe("F32");
  const [before, after] = [model, again].map(({ config }) => frequencies(config.rope!)) as [Float64Array, Float64Array];
  before.forEach((frequency, i) => expect(after[i]! / frequency).toBeCloseTo(1, 6));
  const plain = frequencies({ theta: 500, size: 8 });
  expect(before.some((frequency, i) => plain[i]! / frequency > 7)).toBe(true);
});

test("LongRoPE's divisors come back with their amplitude", async () => {
  const rope = { rope_type: "longrope", short_factor: [1, 2, 3, 4], long_factor: [9, 9, 9, 9], rope_theta: 100 };
  const config = { ...LLAMA, model_type: "phi3", original_max_position_embeddings: 32, rope_parameters: rope };
  const { model, again } = await written(registry.phi3, config);
  expect(again.config.context).toBe(32);
  expect(again.config.rope).toMatchObject({ scaling: { kind: "longrope", factors: [1, 2, 3, 4] } });
  const amplitude = ({ config: { rope } }: { config: Config }): number => (rope!.scaling as { amplitude: number }).amplitude;
  expect(amplitude(again)).toBe(Math.fround(amplitude(model)));
  expect(amplitude(model)).toBeGreaterThan(1.05);
});

test("a window without a word for it ends the context", async () => {
  const { model, again } = await written(registry.llama, { ...LLAMA, model_type: "mistral", sliding_window: 20 });
  expect([model.config.window, model.config.context]).toEqual([20, 64]);
  expect([again.config.window, again.config.context]).toEqual([undefined, 20]);
});

test("where llama.cpp always wants a head, a tied model gets a copy of its embedding", async () => {
  const { model, again } = await written(registry.stablelm, { ...LLAMA, model_type: "stablelm" });
  expect([model.config.tied, again.config.tied]).toEqual([true, false]);
  expect(again.weights.get("head")!.data).toEqual(model.weights.get("embed")!.data);
});

test("refused with a way out: an architecture and settings that GGUF has no words for", () => {
  const headerOf = (arch: Arch, config: Record<string, unknown>) => () => ggufHeader({ arch, config: arch.config(config) });
  const opt = { ...LLAMA, model_type: "opt", ffn_dim: 40, word_embed_proj_dim: 32 };
  expect(headerOf(registry.opt, opt)).toThrow(/the architecture "opt", which has no names in GGUF.*--format safetensors/);
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16, truncate: false };
  expect(headerOf(registry.llama, { ...LLAMA, rope_parameters: yarn })).toThrow(/not rounded; wanted what GGUF has words for/);
  expect(headerOf(registry.gemma2, { ...LLAMA, hidden_act: undefined, query_pre_attn_scalar: 5 })).toThrow(/query_pre_attn_scalar/);
  const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
  expect(headerOf(registry.qwen2, { ...LLAMA, rope_parameters: llama3 })).toThrow(/positions of the kind llama3 in "qwen2"/);
});
