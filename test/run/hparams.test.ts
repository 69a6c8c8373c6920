/** Hyperparameter files of other tools: read as they are, or refused with the key that does not fit. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { registry } from "../../src/methods/registry.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { readHparams } from "../../src/run/hparams.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-hparams-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const read = (text: string, method = "rome") => {
  writeFileSync(join(folder, "h.yaml"), text);
  return readHparams(join(folder, "h.yaml"), registry[method as keyof typeof registry] as unknown as AnyMethod);
};

describe("hyperparameter files", () => {
  it("EasyEdit's YAML: numbers that PyYAML takes for text, one layer as a list, template shapes, plumbing", () => {
    const { params, compat, unread } = read(
      `alg_name: "ROME"
model_name: "./hugging_cache/llama-2-7b"
device: 0, 1, 2
layers: [5]
v_lr: 5e-1
v_num_grad_steps: 25
clamp_norm_factor: 4
context_template_length_params: [[5, 10], [10, 10]]
mom2_adjustment: false
rewrite_module_tmp: "model.layers.{}.mlp.down_proj"
`,
    );
    expect(params).toEqual({ layer: 5, lr: 0.5, steps: 25, clamp: 4, templates: ["5x10", "10x10"] });
    expect(compat).toEqual(["identity-covariance"]);
    expect(unread).toEqual([]);
  });
  it("a number that is switched off is 0", () => {
    expect(read("kl_factor: false").params).toEqual({ kl: 0 });
    expect(read("mom2_adjustment: true").compat).toEqual([]);
  });
  it.each([
    ["grace", "model.layers[27].mlp.down_proj.weight", { layer: "27", radius: 1, replace: "replace_last" }],
    ["wise", "transformer.h.8.mlp.c_fc.weight", { layer: "8", retrieve: true, margins: [5, 20, 10], shard: 500 }],
  ])("a module's name is its block, for %s", (name, module, params) => {
    const lines =
      name === "grace" ? "eps: 1.0\nreplacement: replace_last" : "retrieve: True\nact_margin: [5.0, 20.0, 10.0]\nsave_freq: 500";
    const text = `alg_name: ${name.toUpperCase()}\ninner_params:\n- ${module}\n${lines}\nval_reg: None\n`;
    expect(read(text, name)).toMatchObject({ params, unread: ["val_reg"] });
  });
  it("the original repositories' JSON, and what nothing reads", () => {
    const { params, unread } = read('{"layers": [4, 5], "v_lr": "1e-1", "mom2_update_weight": 15000, "colour": 3}', "memit");
    expect(params).toEqual({ layers: [4, 5], lr: 0.1, weight: 15000 });
    expect(unread).toEqual(["colour"]);
  });
  it.each([
    ["alg_name: MEMIT", "rome", /h\.yaml line 1: it is for MEMIT.*a file for ROME/s],
    ["layers: [4, 5]", "rome", /layers is \[4,5\].*one layer/s],
    ["- 1", "rome", /holds no table/],
    ["a: [1", "rome", /h\.yaml line 1: /],
    ["layers: [5]\nv_lr: quick", "rome", /h\.yaml line 2: lr is "quick"; wanted a number/],
    ["layers: deep", "rome", /h\.yaml line 1: layers is "deep"; wanted numbers/],
    ["x: 1\nv_lr: &a [*a]", "rome", /h\.yaml holds what does not end/],
    ["x: 1\nx: 2", "rome", /h\.yaml line 2: Map keys must be unique/],
  ])("refuses %j for %s", (text, method, message) => {
    expect(() => read(text, method)).toThrow(message);
  });
  it.each(["constructor", "__proto__", "toString"])("%s is a key like any other", (key) => {
    expect(read(`${key}: [1]`)).toEqual({ params: {}, compat: [], unread: [key] });
  });
  it.each([["- 1", "rome", /holds no table/]])("refuses %j for %s", (text, method, message) => {
    expect(() => read(text, method)).toThrow(message);
  });
});
