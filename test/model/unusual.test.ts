/** Checkpoints in known forms that are not read: the true reason and a way out; and what is read with a warning. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { loadFrom } from "../../src/model/load.ts";

const bundled = fileURLToPath(new URL("../../bundled/model/", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "lethe-unusual-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Tensors as a safetensors file: any type, zeros. */
type Tensors = Readonly<Record<string, readonly [type: string, shape: readonly number[]]>>;
const SIZES: Readonly<Record<string, number>> = { F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2, I8: 1, U8: 1, F8_E4M3: 1 };
function safetensors(tensors: Tensors): Buffer {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([name, [dtype, shape]]) => {
      const from = end;
      end += shape.reduce((a, b) => a * b, 1) * SIZES[dtype]!;
      return [name, { dtype, shape, data_offsets: [from, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(end)]);
}

const [W, M, V] = [8, 16, 1536];
const CONFIG = {
  model_type: "llama",
  hidden_size: W,
  intermediate_size: M,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: V,
  tie_word_embeddings: true,
  hidden_act: "silu",
};
const MAPS: Readonly<Record<string, readonly number[]>> = {
  "self_attn.q_proj": [W, W],
  "self_attn.k_proj": [W, W],
  "self_attn.v_proj": [W, W],
  "self_attn.o_proj": [W, W],
  "mlp.gate_proj": [M, W],
  "mlp.up_proj": [M, W],
  "mlp.down_proj": [W, M],
};
const NORMS: Tensors = Object.fromEntries(
  ["model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"].map((name) => [
    `${name}.weight`,
    ["F32", [W]],
  ]),
);
const REST: Tensors = { ...NORMS, "model.embed_tokens.weight": ["F32", [V, W]] };
const withMaps = (of: (name: string, shape: readonly number[]) => Tensors): Tensors =>
  Object.assign({}, REST, ...Object.entries(MAPS).map(([name, shape]) => of(`model.layers.0.${name}`, shape)));
const PLAIN = withMaps((name, shape) => ({ [`${name}.weight`]: ["F32", shape] }));

let count = 0;
function folder(tensors: Tensors, config: object = {}, more: Readonly<Record<string, object | string>> = {}): string {
  const path = join(root, String(count++));
  mkdirSync(path);
  for (const name of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
    copyFileSync(join(bundled, name), join(path, name));
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...CONFIG, ...config }));
  writeFileSync(join(path, "model.safetensors"), safetensors(tensors));
  for (const [name, content] of Object.entries(more))
    writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
  return path;
}
async function load(path: string): Promise<{ readonly warnings: string[]; readonly size: number; readonly ids: readonly number[] }> {
  const warnings: string[] = [];
  const log = (event: Event): void => void (event.kind === "warning" && warnings.push(event.text));
  const model = loadFrom(path, defaultContext({ log }));
  const { tokenizer } = model;
  const { ids } = tokenizer.encode("a <pad> b");
  await model.release();
  return { warnings, size: tokenizer.size, ids };
}

describe("quantised weights", () => {
  const said = (quant_method: string, more: object = {}): object => ({ quantization_config: { quant_method, ...more } });
  const packed = (name: string, [rows, columns]: readonly number[]): Tensors => ({
    [`${name}.qweight`]: ["I32", [columns! / 8, rows!]],
    [`${name}.qzeros`]: ["I32", [1, rows! / 8]],
    [`${name}.scales`]: ["F16", [1, rows!]],
  });
  const typed =
    (type: string, beside: string) =>
    (name: string, shape: readonly number[]): Tensors => ({ [`${name}.weight`]: [type, shape], [`${name}.${beside}`]: ["F32", [1]] });
  test.each<[string, Tensors, object, Readonly<Record<string, object>>?]>([
    ["gptq (4 bits)", withMaps(packed), said("gptq", { bits: 4 })],
    ["awq (4 bits)", withMaps(packed), said("awq", { bits: 4 })],
    [
      "bitsandbytes (4 bits)",
      withMaps((name) => ({ [`${name}.weight`]: ["U8", [32, 1]], [`${name}.weight.absmax`]: ["F32", [1]] })),
      said("bitsandbytes", { load_in_4bit: true }),
    ],
    ["bitsandbytes (8 bits)", withMaps(typed("I8", "SCB")), { quantization_config: { load_in_8bit: true } }],
    ["fp8", withMaps(typed("F8_E4M3", "weight_scale_inv")), said("fp8")],
    [
      "compressed-tensors (pack-quantized)",
      withMaps((name, [rows]) => ({ [`${name}.weight_packed`]: ["I32", [rows!, 1]], [`${name}.weight_scale`]: ["BF16", [rows!, 1]] })),
      said("compressed-tensors", { format: "pack-quantized" }),
    ],
    ["torchao", withMaps((name, shape) => ({ [`${name}.weight:_data`]: ["I8", shape] })), said("torchao", { quant_type: { default: {} } })],
    [
      "mlx (4 bits)",
      withMaps((name, [rows]) => ({ [`${name}.weight`]: ["U32", [rows!, 1]], [`${name}.scales`]: ["F16", [rows!, 1]] })),
      { quantization: { bits: 4, group_size: 64 } },
    ],
    ["gptq or awq", withMaps(packed), {}],
    ["gptq", withMaps(packed), {}, { "quantize_config.json": { bits: 4 } }],
    ["compressed-tensors", withMaps((name, [rows]) => ({ [`${name}.weight_packed`]: ["I32", [rows!, 1]] })), {}],
  ])("%s", async (name, tensors, config, more = {}) => {
    await expect(load(folder(tensors, config, more))).rejects.toThrow(
      `is quantised by ${name}; wanted weights in float32, bfloat16 or float16, or a .gguf file. Take the model that it was made from`,
    );
  });

  test("a config that still speaks of it beside float weights is no obstacle", async () => {
    await expect(load(folder(PLAIN, said("gptq", { bits: 4 })))).resolves.toBeDefined();
  });
});

describe("weights that do not fit the config", () => {
  const renamed = (change: (name: string) => string): Tensors =>
    Object.fromEntries(Object.entries(PLAIN).map(([name, of]) => [change(name), of]));
  test.each<[string, string, RegExp]>([
    [
      "saved from inside another module",
      folder(renamed((name) => `module.${name}`)),
      /stores "model.embed_tokens.weight" as "module.model.embed_tokens.weight".*without wrappers/s,
    ],
    ["saved without its head's module", folder(renamed((name) => name.replace("model.", ""))), /as "embed_tokens.weight"/],
    ["a head that is not there", folder(PLAIN, { tie_word_embeddings: false }), /no tensor "lm_head.weight".*"tie_word_embeddings": true/s],
    [
      "more rows than words",
      folder({ ...PLAIN, "model.embed_tokens.weight": ["F32", [V + 64, W]] }),
      /\[1600, 8\]; wanted \[1536, 8\]. config.json counts 1536 words, and there are 1600 rows.*"vocab_size": 1600/s,
    ],
    [
      "a layer that is not there",
      folder(PLAIN, { num_hidden_layers: 2 }),
      /no tensor "model.layers.1.input_layernorm.weight".*incomplete/s,
    ],
    [
      "an adapter under a model's name",
      folder({ "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": ["F32", [2, W]] }),
      /stores a LoRA adapter.*MODEL -e /s,
    ],
  ])("%s", async (_, path, complaint) => {
    await expect(load(path)).rejects.toThrow(complaint);
  });
  test("rows beyond the tokenizer's words, and a tied head stored twice, are no trouble", async () => {
    const more = folder(
      { ...PLAIN, "model.embed_tokens.weight": ["F32", [V + 64, W]], "lm_head.weight": ["F32", [V + 64, W]] },
      { vocab_size: V + 64 },
    );
    expect((await load(more)).warnings).toEqual([]);
  });
});

describe("folders of other kinds", () => {
  const only = (files: Readonly<Record<string, string | object>>): string => {
    const path = join(root, String(count++));
    mkdirSync(path);
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
    return path;
  };
  test.each<[string, Readonly<Record<string, string | object>>, RegExp]>([
    [
      "a PEFT adapter",
      { "adapter_config.json": { base_model_name_or_path: "org/base" }, "adapter_model.safetensors": "" },
      /is a PEFT adapter of org\/base, not a model; wanted the model that the adapter is for. Name that model, and the adapter as an edit: org\/base -e /,
    ],
    ["an adapter as a pickle", { "adapter_config.json": {}, "adapter_model.bin": "" }, /is a PEFT adapter, not a model/],
    ["ONNX", { "config.json": CONFIG, "model.onnx": "" }, /holds a model as ONNX graphs \(model.onnx\).*exported from/s],
    ["ONNX in its folder", { "config.json": CONFIG, onnx: "" }, /ONNX graphs/],
    [".gguf in parts", { "m-00001-of-00003.gguf": "", "m-00002-of-00003.gguf": "" }, /\.gguf model in parts.*llama-gguf-split --merge/s],
    ["one part of .gguf", { "m-00001-of-00003.gguf": "" }, /\.gguf model in parts/],
    ["TensorFlow", { "config.json": CONFIG, "tf_model.h5": "" }, /TensorFlow.*from_tf=True/s],
    ["Flax", { "config.json": CONFIG, "flax_model.msgpack": "" }, /Flax.*from_flax=True/s],
    [
      "the authors' layout",
      { "params.json": {}, "consolidated.safetensors": safetensors(PLAIN).toString("latin1") },
      /authors' own layout/,
    ],
    ["an edit", { "edit.safetensors": "" }, /an edit of Lethe, not a model/],
  ])("%s", async (_, files, complaint) => {
    await expect(load(only(files))).rejects.toThrow(complaint);
  });
  test("shards that are missing are named", async () => {
    const path = only({
      "config.json": CONFIG,
      "model.safetensors.index.json": { weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" } },
    });
    writeFileSync(join(path, "model-00001-of-00002.safetensors"), safetensors({ a: ["F32", [1]] }));
    await expect(load(path)).rejects.toThrow(/1 of 2 shards are missing: model-00002-of-00002.safetensors/);
  });
});

describe("tokens without a row", () => {
  const tokenizer = JSON.parse(readFileSync(join(bundled, "tokenizer.json"), "utf8")) as {
    added_tokens: object[];
    model: { vocab: Record<string, number> };
  };
  const added = (...contents: string[]): object => ({
    ...tokenizer,
    added_tokens: [
      ...tokenizer.added_tokens,
      ...contents.map((content, i) => ({
        id: V + i,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
    ],
  });
  test("a padding token is left out with a warning, and its text is ordinary text", async () => {
    const { warnings, size, ids } = await load(
      folder(PLAIN, {}, { "tokenizer.json": added("<pad>"), "tokenizer_config.json": { pad_token: "<pad>", eos_token: "<eos>" } }),
    );
    expect(warnings).toEqual([expect.stringMatching(/added token <pad> has no row in the embedding of 1536: left out/)]);
    expect(size).toBe(V);
    expect(Math.max(...ids)).toBeLessThan(V);
  });
  test("several are; with a row they stay", async () => {
    expect((await load(folder(PLAIN, {}, { "tokenizer.json": added("<pad>", "<mask>") }))).warnings[0]).toMatch(
      /tokens <pad>, <mask> have no row/,
    );
    const wide = folder(
      { ...PLAIN, "model.embed_tokens.weight": ["F32", [V + 1, W]] },
      { vocab_size: V + 1 },
      { "tokenizer.json": added("<pad>") },
    );
    expect(await load(wide)).toMatchObject({ warnings: [], size: V + 1 });
  });
  test("a token that the chat template writes, and words of another model, are refused", async () => {
    const chat = { "tokenizer.json": added("<turn>"), "chat_template.jinja": "<turn>{{ messages[0].content }}" };
    await expect(load(folder(PLAIN, {}, chat))).rejects.toThrow(/whose chat template writes "<turn>".*resize_token_embeddings/s);
    const vocab = { ...tokenizer.model.vocab, zzz: V, zzzz: V + 1 };
    await expect(load(folder(PLAIN, {}, { "tokenizer.json": { ...tokenizer, model: { ...tokenizer.model, vocab } } }))).rejects.toThrow(
      /a tokenizer of 1538 words for an embedding of 1536/,
    );
  });
});
