/** LoRA adapters: what PEFT will add to each matrix is what the edits add, and the other way; what is no plain LoRA is refused by name. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { openSafetensors, writeSafetensors } from "../../src/base/store.ts";
import { applyAll } from "../../src/edit/apply.ts";
import { type Delta, type Edit, sign } from "../../src/edit/edit.ts";
import { isLora, loadLora, openLora, saveLora } from "../../src/edit/lora.ts";
import type { Model } from "../../src/model/model.ts";
import { tinyModel } from "../train/tiny.ts";

const model = tinyModel();
const dir = mkdtempSync(join(tmpdir(), "lethe-lora-"));
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true });
  await model.release();
});

const drawn = (shape: readonly [number, number], seed: string): NdArray =>
  floats(
    Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => rng(seed).split(i).normal()),
    shape,
  );
const outer = (weight: string, rank: number, seed: string): Delta => {
  const [rows, columns] = model.weights.get(weight)!.shape as [number, number];
  return { outer: [drawn([rows, rank], `${seed} left`), drawn([rank, columns], `${seed} right`)] };
};
const edit = (weights: Record<string, Delta>): Edit =>
  sign(
    { change: { kind: "delta", weights } },
    {
      base: model.id,
      on: [],
      format: "chat",
      by: { method: "noise", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "0" },
    },
  );

test("B · A of every matrix is the sum of the edits' changes; ranks that differ are told", () => {
  const edits = [
    edit({ "blocks.0.mlp.out": outer("blocks.0.mlp.out", 1, "a"), "blocks.1.mlp.out": outer("blocks.1.mlp.out", 1, "b") }),
    edit({ "blocks.1.mlp.out": outer("blocks.1.mlp.out", 2, "c") }),
  ];
  saveLora(dir, model, edits);
  const config = JSON.parse(readFileSync(join(dir, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  expect(config).toMatchObject({
    peft_type: "LORA",
    r: 3,
    lora_alpha: 3,
    target_modules: ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"],
    rank_pattern: { "model.layers.0.mlp.down_proj": 1 },
    alpha_pattern: { "model.layers.0.mlp.down_proj": 1 },
  });
  const edited = applyAll(model, edits, { format: "chat", warn: () => {} });
  const file = openSafetensors(join(dir, "adapter_model.safetensors"));
  expect([...file.tensors.keys()]).toHaveLength(4);
  for (const layer of [0, 1]) {
    const read = (part: string): NdArray =>
      file.tensors.get(`base_model.model.model.layers.${layer}.mlp.down_proj.lora_${part}.weight`)!.read();
    const [a, b] = [read("A"), read("B")];
    const [rows, rank, columns] = [b.shape[0]!, b.shape[1]!, a.shape[1]!];
    const [before, after] = [model, edited].map((m) => m.weights.get(`blocks.${layer}.mlp.out`)!.data as Float32Array) as [
      Float32Array,
      Float32Array,
    ];
    let [off, size] = [0, 0];
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let sum = before[i * columns + j]!;
        for (let k = 0; k < rank; k++) sum += Number(b.data[i * rank + k]) * Number(a.data[k * columns + j]);
        off += (sum - after[i * columns + j]!) ** 2;
        size += after[i * columns + j]! ** 2;
      }
    expect(Math.sqrt(off / size)).toBeLessThan(1e-6);
  }
  file.close();
});

test("a full change is refused, and so is nothing", () => {
  const name = "blocks.0.mlp.out";
  expect(() => saveLora(dir, model, [edit({ [name]: { value: model.weights.get(name)! } })])).toThrow(
    /in full; wanted changes of low rank/,
  );
  expect(() => saveLora(dir, model, [])).toThrow(/no edit/);
});

describe("PEFT's folders", () => {
  type Shape = readonly [number, number];
  const SHAPES: Readonly<Record<string, Shape>> = { "self_attn.q_proj": [32, 32], "mlp.down_proj": [32, 48] };
  /** Factors of rank 2 for two modules of both layers, as PEFT names them. */
  const tensors = (over: Readonly<Record<string, NdArray | undefined>> = {}): [string, NdArray][] => {
    const own = Object.fromEntries(
      [0, 1].flatMap((layer) =>
        Object.entries(SHAPES).flatMap(([module, [rows, columns]]) => {
          const name = `base_model.model.model.layers.${layer}.${module}`;
          return [
            [`${name}.lora_A.weight`, drawn([2, columns], `${name} A`)],
            [`${name}.lora_B.weight`, drawn([rows, 2], `${name} B`)],
          ];
        }),
      ),
    ) as Record<string, NdArray | undefined>;
    return Object.entries({ ...own, ...over }).filter((entry): entry is [string, NdArray] => entry[1] !== undefined);
  };
  // as PEFT 0.21 writes it, with what says nothing of a trained adapter
  const CONFIG = {
    alora_invocation_tokens: null,
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: "org/tiny",
    bias: "none",
    exclude_modules: null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_to_transform: null as unknown,
    loftq_config: {},
    lora_alpha: 6,
    lora_bias: false,
    lora_dropout: 0.05,
    megatron_core: "megatron.core",
    modules_to_save: null,
    peft_type: "LORA",
    peft_version: "0.21.2",
    qalora_group_size: 16,
    r: 2,
    rank_pattern: {},
    target_modules: ["q_proj", "down_proj"] as unknown,
    use_dora: false,
    use_rslora: false,
  };
  function folder(over: Readonly<Record<string, unknown>> = {}, files: readonly [string, NdArray][] = tensors()): string {
    const made = mkdtempSync(join(dir, "peft-"));
    writeFileSync(join(made, "adapter_config.json"), JSON.stringify({ ...CONFIG, ...over }));
    writeSafetensors(join(made, "adapter_model.safetensors"), files, { format: "pt" });
    return made;
  }
  const Q0 = "base_model.model.model.layers.0.self_attn.q_proj";
  const weightsOf = (e: Edit): Readonly<Record<string, Delta>> => (e.change.kind === "delta" ? e.change.weights : {});

  /** The added matrix of a weight, in float64. */
  function addition(e: Edit, weight: string): number[] {
    const delta = weightsOf(e)[weight] as { outer: readonly [NdArray, NdArray] };
    const [{ shape, data: b }, { data: a }] = delta.outer;
    const [rows, rank, columns] = [shape[0]!, shape[1]!, a.length / shape[1]!];
    return Array.from({ length: rows * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      return Array.from({ length: rank }, (_, k) => Number(b[i * rank + k]) * Number(a[k * columns + j])).reduce((x, y) => x + y);
    });
  }
  const farthest = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

  test("become edits: alpha / r · B · A, whatever way the scale and the modules are told", () => {
    const own = loadLora(folder(), model);
    expect(Object.keys(weightsOf(own))).toEqual(["blocks.0.attn.q", "blocks.0.mlp.out", "blocks.1.attn.q", "blocks.1.mlp.out"]);
    expect(own).toMatchObject({
      base: model.id,
      on: [],
      format: "chat",
      by: { method: "peft", code: "0.21.2", params: { r: 2, lora_alpha: 6 } },
    });
    const [a, b] = ["A", "B"].map((part) => tensors().find(([name]) => name === `${Q0}.lora_${part}.weight`)![1].data);
    const wanted = Array.from({ length: 32 * 32 }, (_, at) => {
      const [i, j] = [Math.floor(at / 32), at % 32];
      return 3 * (Number(b![i * 2]) * Number(a![j]) + Number(b![i * 2 + 1]) * Number(a![32 + j]));
    });
    expect(farthest(addition(own, "blocks.0.attn.q"), wanted)).toBeLessThan(1e-5);
    const times = (over: Readonly<Record<string, unknown>>, weight: string): number =>
      addition(loadLora(folder(over), model), weight)[5]! / addition(own, weight)[5]!;
    expect(times({ use_rslora: true }, "blocks.0.attn.q")).toBeCloseTo(Math.sqrt(2), 6);
    expect(times({ alpha_pattern: { down_proj: 12 } }, "blocks.1.mlp.out")).toBeCloseTo(2, 6);
    expect(times({ alpha_pattern: { down_proj: 12 } }, "blocks.1.attn.q")).toBe(1);
    expect(times({ alpha_pattern: { "layers\\.1\\..*": 12 } }, "blocks.1.attn.q")).toBeCloseTo(2, 6);
    expect(times({ r: 8, lora_alpha: 24, rank_pattern: { q_proj: 2, "mlp.down_proj": 2 } }, "blocks.0.attn.q")).toBeCloseTo(4, 6);
    const one = tensors().filter(([name]) => name.includes("layers.1.") && name.includes("down_proj"));
    for (const over of [
      { target_modules: "model\\.layers\\.1\\..*down_proj" },
      { target_modules: ["down_proj"], layers_to_transform: 1 },
      { target_modules: ["down_proj"], layers_to_transform: [1] },
      { target_modules: ["model.layers.1.mlp.down_proj"] },
      { exclude_modules: ["q_proj", "model.layers.0.mlp.down_proj"] },
      { exclude_modules: ".*(q_proj|0.mlp.down_proj)" },
    ])
      expect(Object.keys(weightsOf(loadLora(folder(over, one), model))), JSON.stringify(over)).toEqual(["blocks.1.mlp.out"]);
  });

  test("are the same edit wherever they lie and however the model is asked; half precision is read", () => {
    const [first, second] = [loadLora(folder(), model), loadLora(folder(), model, "plain")];
    expect(second.id).toBe(first.id);
    expect(second.format).toBe("plain");
    expect(loadLora(folder({ lora_alpha: 7 }), model).id).not.toBe(first.id);
    const name = `${Q0}.lora_A.weight`;
    const half = { dtype: "bfloat16", shape: [2, 32], data: new Uint16Array(64).fill(0x3fc0) } satisfies NdArray;
    const read = weightsOf(loadLora(folder({}, tensors({ [name]: half })), model))["blocks.0.attn.q"] as { outer: readonly NdArray[] };
    expect(read.outer[1]).toEqual(floats(new Float32Array(64).fill(1.5), [2, 32]));
  });

  test("come back as they were saved, and stack", () => {
    const own = edit({ "blocks.0.mlp.out": outer("blocks.0.mlp.out", 2, "x"), "blocks.1.attn.k": outer("blocks.1.attn.k", 1, "y") });
    const made = mkdtempSync(join(dir, "saved-"));
    saveLora(made, model, [own]);
    const back = loadLora(made, model);
    expect(weightsOf(back)).toEqual(weightsOf(own));
    const both = applyAll(model, [own, back], { warn: () => {} });
    const twice = applyAll(model, [own, own], { warn: () => {} });
    expect([...both.weights]).toEqual([...twice.weights]);
  });

  test("are told from other paths", () => {
    expect(isLora(folder())).toBe(true);
    expect(isLora(dir.concat("/nothing"))).toBe(false);
    expect(() => openLora(join(dir, "nothing"))).toThrow(/has no adapter_config\.json; wanted a folder/);
  });

  test.each([
    [{ use_dora: true }, /use_dora: true; wanted a plain LoRA adapter without it.*merge_and_unload/],
    [{ bias: "lora_only" }, /bias: "lora_only"; wanted "none"/],
    [{ lora_bias: true }, /lora_bias: true/],
    [{ modules_to_save: ["lm_head"] }, /modules_to_save: \["lm_head"\]/],
    [{ trainable_token_indices: [3] }, /trainable_token_indices/],
    [{ target_parameters: ["x"] }, /target_parameters/],
    [{ layer_replication: [[0, 1]] }, /layer_replication/],
    [{ init_lora_weights: "pissa_niter_4" }, /init_lora_weights: "pissa_niter_4"; wanted true or false/],
    [{ peft_type: "LOHA" }, /peft_type: "LOHA"; wanted "LORA"/],
    [{ a_setting_of_tomorrow: 1 }, /a_setting_of_tomorrow: 1/],
    [{ r: "8" }, /adapter_config\.json: r is not what was expected/],
    [{ r: 0 }, /: r is/],
    [{ lora_alpha: null }, /: lora_alpha is/],
    [{ target_modules: null }, /: target_modules is .*a pattern or a list of names/],
    [{ rank_pattern: { q_proj: "x" } }, /: rank_pattern\.q_proj is/],
  ])("with %j are refused before a model is needed", (over, complaint) => {
    expect(() => openLora(folder(over))).toThrow(complaint);
  });

  const gone = (suffix: string): Record<string, undefined> => ({ [`${Q0}.${suffix}`]: undefined });
  test.each<[string, Readonly<Record<string, unknown>>, Readonly<Record<string, NdArray | undefined>>, RegExp]>([
    ["without a factor", {}, gone("lora_B.weight"), /not both lora_A and lora_B for "model\.layers\.0\.self_attn\.q_proj"/],
    [
      "without a module",
      { target_modules: ["q_proj", "down_proj", "v_proj"] },
      {},
      /not both .* for "model\.layers\.0\.self_attn\.v_proj"/,
    ],
    ["with a module too many", { target_modules: ["q_proj"] }, {}, /tensors for "model\.layers\.0\.mlp\.down_proj"; wanted the modules/],
    ["of another rank", { r: 4 }, {}, /lora_A of shape \[2, 32\] for ".*q_proj"; wanted \[4, 32\]/],
    ["of another width", {}, { [`${Q0}.lora_A.weight`]: drawn([2, 64], "w") }, /\[2, 64\].*wanted \[2, 32\]\. It was made for "org\/tiny"/],
    ["turned", {}, { [`${Q0}.lora_B.weight`]: drawn([2, 32], "w") }, /lora_B of shape \[2, 32\] .*wanted \[32, 2\]/],
    [
      "of a deeper model",
      {},
      { "base_model.model.model.layers.2.mlp.down_proj.lora_A.weight": drawn([2, 48], "d") },
      /adapts "model\.layers\.2\.mlp\.down_proj"; wanted matrices of this model, such as model\.layers\.0.*open that one/,
    ],
    ["of another family", {}, { "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight": drawn([2, 48], "d") }, /adapts "transformer/],
    ["with a tied head", {}, { "base_model.model.lm_head.lora_A.weight": drawn([2, 32], "d") }, /adapts "lm_head"/],
    [
      "with an embedding",
      {},
      { "base_model.model.model.embed_tokens.lora_embedding_A": drawn([2, 48], "d") },
      /holds ".*lora_embedding_A"/,
    ],
    ["with a bias", {}, { [`${Q0}.lora_B.bias`]: floats([1]) }, /holds ".*lora_B\.bias".*wanted lora_A and lora_B/],
    ["with a magnitude", {}, { [`${Q0}.lora_magnitude_vector`]: floats([1]) }, /holds ".*lora_magnitude_vector"/],
    ["that is not finite", {}, { [`${Q0}.lora_A.weight`]: floats(new Float32Array(64).fill(NaN), [2, 32]) }, /holds NaN/],
    ["with a broken pattern", { rank_pattern: { "(?P<x>q)": 2 } }, {}, /the pattern .* JavaScript/],
    ["with a broken target", { target_modules: "(q" }, {}, /the pattern .* JavaScript/],
  ])("%s are refused", (_, over, changed, complaint) => {
    expect(() => loadLora(folder(over, tensors(changed)), model)).toThrow(complaint);
  });

  test("without tensors, or with none that fits, are refused", () => {
    const bare = folder();
    rmSync(join(bare, "adapter_model.safetensors"));
    expect(() => loadLora(bare, model)).toThrow(/has no adapter_model\.safetensors.*save_pretrained/);
    expect(() => loadLora(folder({ target_modules: [] }, [["x", floats([1])]]), model)).toThrow(/holds "x"/);
    const broken = folder();
    writeFileSync(join(broken, "adapter_config.json"), "{");
    expect(() => openLora(broken)).toThrow(/is not JSON/);
    writeFileSync(join(broken, "adapter_config.json"), "[]");
    expect(() => openLora(broken)).toThrow(/is no object/);
  });

  test("fit a model by names and shapes, not by its id", async () => {
    const other: Model = tinyModel(5);
    const own = loadLora(folder(), other);
    expect(own.base).toBe(other.id);
    expect(own.id).not.toBe(loadLora(folder(), model).id);
    await other.release();
  });
});
