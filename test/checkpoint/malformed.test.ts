/** Damaged models: 3,600 seeded mutations of every file a model is made of, each either loaded or refused clearly. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { floats, zeros } from "../../src/base/array.ts";
import { fail } from "../../src/base/fail.ts";
import { openSafetensors, writeSafetensors } from "../../src/base/store.ts";
import { defaultContext } from "../../src/base/context.ts";
import { identifyConfig, loadFrom } from "../../src/model/load.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { tokenizerFromGguf } from "../../src/text/tokenizer-gguf.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { type Entry, KIND, ggufBytes } from "../gguf-file.ts";
import { type Mutation, type Outcome, mutateBytes, mutateJson, survive } from "../mutate.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-malformed-"));
afterAll(() => rmSync(folder, { recursive: true }));
const LIMIT = { seconds: 2, bytes: 4e6 }; // the unmutated files take under 0.5 MB; a trusted count would take gigabytes

const words = ["a", "b", "c", "ab", "abc", "Ġ", "Ġa", "<end>", "ü"];
const METADATA: readonly Entry[] = [
  ["general.architecture", KIND.text, "x"],
  ["x.block_count", KIND.u32, 2],
  ["x.rope.freq_base", KIND.f32, 10000],
  ["x.flag", KIND.bool, 1],
  ["x.wide", KIND.u64, 2 ** 33],
  ["tokenizer.ggml.model", KIND.text, "gpt2"],
  ["tokenizer.ggml.pre", KIND.text, "gpt-2"],
  ["tokenizer.ggml.tokens", KIND.list, { of: KIND.text, items: words }],
  ["tokenizer.ggml.token_type", KIND.list, { of: KIND.i32, items: words.map((word) => (word === "<end>" ? 3 : 1)) }],
  ["tokenizer.ggml.merges", KIND.list, { of: KIND.text, items: ["a b", "ab c", "Ġ a"] }],
  ["tokenizer.ggml.eos_token_id", KIND.u32, 7],
];
const gguf = ggufBytes(METADATA, [
  { name: "a", dims: [32, 2], type: 3, bytes: new Uint8Array(40).fill(3) },
  { name: "b", dims: [256], type: 14, bytes: new Uint8Array(210).fill(5) },
  { name: "c", dims: [3, 2], type: 0, bytes: new Uint8Array(24) },
  { name: "d", dims: [4], type: 30, bytes: new Uint8Array(8) },
]);
const ggufHeader = gguf.length - 64 - 224 - 32 - 32;

writeSafetensors(
  join(folder, "model.safetensors"),
  [
    ["model.a.weight", floats([1, 2, 3, 4, 5, 6], [2, 3])],
    ["model.b.weight", zeros("bfloat16", [4, 2])],
    ["model.c.bias", zeros("int64", [3])],
  ],
  { format: "pt", note: "hello" },
);
const safetensors = new Uint8Array(readFileSync(join(folder, "model.safetensors")));
const safetensorsHeader = safetensors.length - 24 - 16 - 24;
const config = { model_type: "x", hidden_size: 8, layers: [1, 2], rope: { theta: 1e4, kind: null }, tie: true };
writeFileSync(join(folder, "config.json"), JSON.stringify(config));

/** Everything loading does: every tensor read, the hash taken, the tokenizer made and used. */
function loadAll(checkpoint: Checkpoint, tokenize: boolean): void {
  try {
    for (const tensor of checkpoint.tensors.values()) tensor.read();
    checkpoint.hashWeights();
    if (tokenize) useTokenizer(checkpoint.tokenizerJson, checkpoint.tokenizerConfig);
  } finally {
    checkpoint.close();
  }
}

function useTokenizer(json: Record<string, unknown>, settings: Record<string, unknown>): void {
  const tokenizer = createTokenizer(json, settings);
  tokenizer.decode(tokenizer.encode("abc ab üa<end>").ids);
}

/** Damage of both kinds was done: what can be lived with, and what cannot. */
const both = ({ loaded, refused }: Outcome): boolean => loaded > 5 && refused > 50;

test("unmutated, they load, so that a refusal is the mutation's doing", () => {
  writeFileSync(join(folder, "m.gguf"), gguf);
  expect(() => loadAll(openCheckpoint(join(folder, "m.gguf")), true)).not.toThrow();
  expect(() => loadAll(openCheckpoint(folder), false)).not.toThrow();
  expect(() => useTokenizer(tokenizer.json, tokenizer.config)).not.toThrow();
});

describe("the law that judges them", () => {
  const one: Mutation<number>[] = [{ label: "case", value: 1 }];
  let kept: unknown;
  test.each<[string, () => void, RegExp]>([
    [
      "a raw error",
      () => {
        throw new RangeError("offset is out of bounds");
      },
      /case\nthrew RangeError/,
    ],
    ["an error of ours that blames us", () => fail("model", "something odd happened", "", "", "internal"), /complained badly: internal/],
    ["an error that echoes the file", () => fail("model", "something odd", "", "x".repeat(5000), "unavailable"), /complained badly/],
    [
      "memory",
      () => {
        kept = new Float32Array(2e6);
      },
      /took \d+ bytes of memory/,
    ],
    [
      "time",
      () => {
        for (const end = performance.now() + 30; performance.now() < end;);
      },
      /took \d+\.\d+ s/,
    ],
  ])("fails on %s", (_, load, message) => {
    expect(() => survive(one, load, { seconds: 0.025, bytes: 4e6 })).toThrow(message);
    kept = undefined;
    expect(kept).toBeUndefined();
  });
  test("the same seed, the same damage", () => {
    const twice = [1, 2].map(() =>
      [...mutateBytes(safetensors, "seed", 40)].map(({ label, value }) => [label, Buffer.from(value).toString("hex")]),
    );
    expect(twice[0]).toEqual(twice[1]);
    expect(new Set(twice[0]!.map(([, bytes]) => bytes)).size).toBeGreaterThan(35);
  });
});

test("safetensors, 900 mutations", () => {
  const path = join(folder, "mutated.safetensors");
  const load = (bytes: Uint8Array): void => {
    writeFileSync(path, bytes);
    const file = openSafetensors(path);
    try {
      for (const tensor of file.tensors.values()) tensor.read();
    } finally {
      file.close();
    }
  };
  expect(survive(mutateBytes(safetensors, "safetensors", 900, safetensorsHeader), load, LIMIT)).toSatisfy(both);
});

test("GGUF with its tokenizer, 900 mutations", () => {
  const path = join(folder, "mutated.gguf");
  const load = (bytes: Uint8Array): void => {
    writeFileSync(path, bytes);
    loadAll(openCheckpoint(path), true);
  };
  expect(survive(mutateBytes(gguf, "gguf", 900, ggufHeader), load, LIMIT)).toSatisfy(both);
});

test("config.json, 300 mutations of its bytes and 200 of its values", () => {
  const path = join(folder, "config.json");
  const load = (bytes: Uint8Array): void => {
    writeFileSync(path, bytes);
    loadAll(openCheckpoint(folder), false);
  };
  const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  expect(survive(mutateBytes(encode(config), "config", 300), load, LIMIT)).toSatisfy(both);
  survive(mutateJson(config, "config values", 200), (value) => load(encode(value)), LIMIT);
  writeFileSync(path, encode(config));
});

test("a real model's config.json, 400 mutations of what it says, 60 of them with its weights", async () => {
  const bundled = fileURLToPath(new URL("../../bundled/model", import.meta.url));
  const real = JSON.parse(readFileSync(join(bundled, "config.json"), "utf8")) as Record<string, unknown>;
  const at = mkdtempSync(join(folder, "real-"));
  for (const name of readdirSync(bundled)) if (name !== "config.json") copyFileSync(join(bundled, name), join(at, name));
  expect(() => identifyConfig(real, { path: at }, defaultContext())).not.toThrow();
  const damaged = [...mutateJson(real, "real config", 400)];
  survive(damaged, (value) => identifyConfig(value as Record<string, unknown>, { path: at }, defaultContext()), LIMIT);
  const outcome = survive(
    damaged.filter((_, i) => i % 7 === 0),
    (value) => {
      writeFileSync(join(at, "config.json"), JSON.stringify(value));
      loadFrom(at);
    },
    { seconds: 5, bytes: 60e6 },
  );
  expect(outcome.loaded).toBeGreaterThan(3);
  expect(outcome.refused).toBeGreaterThan(10);
});

test("an index of shards, 200 mutations", () => {
  const shards = mkdtempSync(join(folder, "shards-"));
  writeFileSync(join(shards, "config.json"), "{}");
  for (const name of ["a", "b"]) writeSafetensors(join(shards, `model-${name}.safetensors`), [[name, floats([1, 2])]]);
  const index = new TextEncoder().encode(
    JSON.stringify({ metadata: { total_size: 16 }, weight_map: { a: "model-a.safetensors", b: "model-b.safetensors" } }),
  );
  const load = (bytes: Uint8Array): void => {
    writeFileSync(join(shards, "model.safetensors.index.json"), bytes);
    loadAll(openCheckpoint(shards), false);
  };
  expect(survive(mutateBytes(index, "index", 200), load, LIMIT)).toSatisfy(both);
});

const tokenizer = ((): { json: Record<string, unknown>; config: Record<string, unknown> } => {
  const kv = Object.fromEntries(
    METADATA.map(([key, type, value]) => [key, type === KIND.list ? (value as { items: unknown }).items : value]),
  );
  const made = tokenizerFromGguf(kv);
  return { json: made.tokenizerJson, config: made.tokenizerConfig };
})();

test("tokenizer.json and tokenizer_config.json, 700 mutations", () => {
  expect(
    survive(
      mutateJson(tokenizer, "tokenizer", 700),
      (value) => {
        const { json, config: settings } = value as typeof tokenizer;
        if (typeof json === "object" && json && typeof settings === "object" && settings) useTokenizer(json, settings);
      },
      LIMIT,
    ),
  ).toSatisfy(both);
});
