/** Hyperparameter files of other tools: read as they are, or refused with the key that does not fit. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { registry } from "../../src/methods/registry.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { defaultContext } from "../../src/base/context.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { identify } from "../../src/model/load.ts";
import { checkOfModel } from "../../src/run/hparams-model.ts";
import { readHparams } from "../../src/run/hparams.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-hparams-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const read = (text: string, method = "rome") => {
  writeFileSync(join(folder, "h.yaml"), text);
  const methods = Object.values(registry) as unknown as AnyMethod[];
  return readHparams(join(folder, "h.yaml"), registry[method as keyof typeof registry] as unknown as AnyMethod, { methods });
};
/** Checks a file against the bundled model, a Llama of six blocks with a tied head. */
function checked(text: string, method = "rome"): void {
  const checkpoint = openCheckpoint(fileURLToPath(new URL("../../bundled/model", import.meta.url)));
  try {
    const asked = read(text, method).ofModel;
    checkOfModel(asked, registry[method as keyof typeof registry] as unknown as AnyMethod, identify(checkpoint, defaultContext()));
  } finally {
    checkpoint.close();
  }
}

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
    expect(read(`${key}: [1]`)).toEqual({ params: {}, compat: [], unread: [key], ofModel: [] });
  });
  it.each([["- 1", "rome", /holds no table/]])("refuses %j for %s", (text, method, message) => {
    expect(() => read(text, method)).toThrow(message);
  });
});

describe("keys that nothing follows", () => {
  it("are named, with what to do instead; plumbing and values that change nothing are not", () => {
    const text =
      "mom2_dataset: own\nmom2_n_samples: 7\nmom2_dtype: float16\nbatch_size: 10\nfp16: true\nuse_chat_template: false\ncolour: 3";
    expect(read(text).unread.map((line) => line.split(" ")[0])).toEqual(text.split("\n").map((line) => line.split(":")[0]));
    expect(read(text).unread[0]).toBe("mom2_dataset (--text names the text of the second moments)");
    const quiet =
      "alg_name: ROME\nmodel_name: x\nstats_dir: x\ndevice: 0\nmodel_parallel: true\nmax_length: 40\nmom2_dtype: float32\nbatch_size: 1\nfp16: false\nuse_chat_template: true\nfact_token: subject_last\nlayer_selection: all";
    expect(read(quiet)).toEqual({ params: {}, compat: [], unread: [], ofModel: [] });
  });
  it.each([
    ["fact_token: subject_first", "rome", /line 1: fact_token is "subject_first"; wanted "subject_last" for ROME.*leave it out/s],
    ["layer_selection: random", "memit", /layer_selection is "random"; wanted "all" for MEMIT/],
    ["objective_optimization: next", "ft", /objective_optimization is "next"; wanted "target_new" or "prompt_last"/],
    ["dist_fn: cos", "grace", /dist_fn is "cos"; wanted "euc"/],
  ])("another value of what has one here is refused: %s", (text, method, complaint) => {
    expect(() => read(text, method)).toThrow(complaint);
  });
});

describe("what only a model can tell", () => {
  it.each([
    [
      'rewrite_module_tmp: "model.layers.{}.self_attn.o_proj"',
      "rome",
      /rewrite_module_tmp is model.layers.{}.self_attn.o_proj; wanted layers.{}.mlp.down_proj of this model/,
    ],
    ['rewrite_module_tmp: "transformer.h.{}.mlp.c_proj"', "memit", /transformer.h.{}.mlp.c_proj/],
    ['layer_module_tmp: "model.blocks.{}"', "alphaedit", /layer_module_tmp is model.blocks.{}; wanted layers.{}/],
    ['mlp_module_tmp: "model.layers.{}.self_attn"', "rome", /wanted layers.{}.mlp of/],
    ["ln_f_module: transformer.ln_f", "memit", /ln_f_module is transformer.ln_f; wanted norm of/],
    ["lm_head_module: transformer.wte", "memit", /wanted embed_tokens or lm_head/],
    ["inner_params: ['model.layers[3].mlp.up_proj.weight']", "grace", /inner_params is model.layers\[3\].mlp.up_proj.weight/],
    ["v_loss_layer: 3", "rome", /v_loss_layer is 3; wanted 5, the last layer of this model/],
  ])("%s is refused for %s", (text, method, complaint) => {
    expect(() => checked(text, method)).toThrow(complaint);
  });
  it.each([
    [
      'rewrite_module_tmp: "model.layers.{}.mlp.down_proj"\nlayer_module_tmp: "model.layers.{}"\nmlp_module_tmp: "model.layers.{}.mlp"\nattn_module_tmp: "model.layers.{}.self_attn"\nln_f_module: model.norm\nlm_head_module: lm_head\nv_loss_layer: 5',
      "memit",
    ],
    ['rewrite_module_tmp: "language_model.model.layers.{}.mlp.down_proj"', "rome"],
    ["inner_params: ['model.layers[3].mlp.down_proj.weight']", "wise"],
    ["inner_params: ['model.layers.3.self_attn.q_proj']", "ga"],
  ])("%s is taken for %s", (text, method) => {
    expect(() => checked(text, method)).not.toThrow();
  });
});

describe("files of other methods", () => {
  it.each([
    ["alg_name: R-ROME\nlayers: [2]", "rome", { layer: 2, keys: "prefix" }],
    ["alg_name: R-ROME\nenable_random_prefix_keys: false\nenable_prompt_keys: true", "rome", { keys: "prompt" }],
    ["alg_name: r_rome\noriginal_implementation: true", "rome", { keys: "rome" }],
    ["alg_name: EMMET\nlayers: [2, 3]\nmom2_update_weight: 15000", "memit", { layers: [2, 3], share: 1, weight: 0 }],
    [
      "forget_loss: grad_ascent\nlr: 1e-5\nnum_epochs: 5\nweight_decay: 0.01\nbatch_size: 16",
      "ga",
      { lr: 1e-5, epochs: 5, decay: 0.01, batch: 16 },
    ],
    [
      "alg_name: GradDiff\nlearning_rate: 1e-5\nnum_train_epochs: 10\nper_device_train_batch_size: 4",
      "gd",
      { lr: 1e-5, epochs: 10, batch: 4 },
    ],
    ["alg_name: NPO\ninner_params: ['model.layers[3].mlp.down_proj.weight', 'model.layers.4.mlp.down_proj']", "npo", { layers: [3, 4] }],
    ["alg_name: FT\nnum_epochs: 5\ninner_params: ['model.layers.4.mlp.down_proj']", "ft", { layer: "4", steps: 5 }],
  ])("%j is read by %s", (text, method, params) => {
    expect(read(text, method).params).toEqual(params);
  });
  it.each([
    ["alg_name: R-ROME", "memit", /it is for R-ROME; wanted a file for MEMIT. Use --method rome, or another file/],
    ["alg_name: EMMET", "rome", /Use --method memit/],
    ["alg_name: PMET", "memit", /Lethe has no PMET; it has alphaedit, .*wise/],
    ["alg_name: MEND", "rome", /Lethe has no MEND; it has/],
    ["forget_loss: KL", "ga", /Use --method kl/],
  ])("%j by %s: a way out that exists", (text, method, complaint) => {
    expect(() => read(text, method)).toThrow(complaint);
  });
});
