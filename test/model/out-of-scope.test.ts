/** Architectures that are out of scope are refused by what they are, from config.json and from GGUF's word; unknown ones are called unknown. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { registry } from "../../src/model/arch/registry.ts";
import { identifyConfig } from "../../src/model/load.ts";
import { outOfScope } from "../../src/model/out-of-scope.ts";

const identified = (type: string) => (): unknown => identifyConfig({ model_type: type }, { path: "folder/model" }, defaultContext());

describe("an architecture", () => {
  test.each([
    ["qwen3_5", /folder\/model is a hybrid of attention and gated delta net \("qwen3_5"\)/],
    ["lfm2", /a hybrid of attention and short convolutions/],
    ["mixtral", /a mixture of experts/],
    ["mamba2", /a state-space model/],
    ["bert", /an encoder \("bert"\)/],
    ["t5", /an encoder with a decoder/],
  ])("%s is refused by what it is", (type, reason) => {
    expect(identified(type)).toThrow(reason);
  });

  test("that nobody knows is called unknown, with those that are known", () => {
    expect(identified("newest")).toThrow(/architecture "newest"; wanted one of .*llama.*docs\/extend\.md/s);
  });

  test("that is read is not out of scope", () => {
    for (const { claims, gguf } of Object.values(registry) as { claims: readonly string[]; gguf?: { architecture: string } }[])
      for (const name of [...claims, ...(gguf ? [gguf.architecture] : [])]) expect(outOfScope(name)).toBeUndefined();
  });
});

describe("Granite 4", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-granite-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const config = {
    model_type: "granitemoehybrid",
    vocab_size: 64,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    shared_intermediate_size: 48,
    max_position_embeddings: 64,
    num_local_experts: 0,
    layer_types: ["attention", "attention"],
  };
  const of = (over: object) => (): unknown => identifyConfig({ ...config, ...over }, { path: folder }, defaultContext());

  test("without experts and state-space blocks is read; with them it is refused", () => {
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    expect(of({})).not.toThrow();
    expect(of({ num_local_experts: 8 })).toThrow(/"num_local_experts" is 8/);
    expect(of({ layer_types: ["mamba", "attention"] })).toThrow(/a layer of type "mamba"/);
  });
});
