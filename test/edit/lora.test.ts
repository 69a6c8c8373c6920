/** LoRA adapters: what PEFT will add to each matrix is what the edits add; full changes are refused. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { openSafetensors } from "../../src/base/store.ts";
import { applyAll } from "../../src/edit/apply.ts";
import { type Delta, type Edit, sign } from "../../src/edit/edit.ts";
import { saveLora } from "../../src/edit/lora.ts";
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
