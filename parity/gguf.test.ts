/** GGUF against gguf-py: every block format to the bit, a file it wrote, and the whole shared model. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Dtype, asFloats, fromBytes, toBytes } from "../src/base/array.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { BLOCKS } from "../src/checkpoint/dequantise.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import dequant from "./fixtures/dequant.json" with { type: "json" };
import golden from "./fixtures/gguf.json" with { type: "json" };

const shared = new URL("../../shared/models/smollm2-135m-instruct", import.meta.url).pathname;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const decode = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

/** Values as text, the sign of zero left out. */
const shown = (values: ArrayLike<number>): number[] => Array.from(values, (value) => value + 0);

const cases = Object.entries(dequant.types).flatMap(([type, { bytes, cases: all }]) => all.map((entry) => ({ type, bytes, ...entry })));
test.each(cases)("$type, $kind blocks: gguf-py's values to the bit", ({ type, bytes, raw, values }) => {
  const from = new Uint8Array(Buffer.from(raw, "hex"));
  const expected = new Float32Array(new Uint8Array(Buffer.from(values, "hex")).buffer);
  const block = BLOCKS[type];
  if (block) {
    expect(block.bytes).toBe(bytes);
    const to = new Float32Array(expected.length);
    block.decode(from, to, from.length / bytes);
    expect(shown(to)).toEqual(shown(expected));
  } else {
    const dtype = { F32: "float32", F16: "float16", BF16: "bfloat16" }[type] as Dtype;
    expect(shown(asFloats(fromBytes(dtype, [expected.length], from), "float32").data)).toEqual(shown(expected));
  }
});

test("every format has its golden blocks", () => {
  expect(Object.keys(dequant.types).sort()).toEqual([...Object.keys(BLOCKS), "F32", "F16", "BF16"].sort());
});

test("a file written by gguf-py", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-gguf-"));
  try {
    writeFileSync(join(folder, "small.gguf"), decode(golden.file));
    const { tensors, kv, close } = openGguf(join(folder, "small.gguf"));
    expect(kv).toMatchObject({
      "general.architecture": "small",
      "test.text": "naïve ☂",
      "test.big": 2 ** 40,
      "test.negative": -5,
      "test.third": Math.fround(1 / 3),
      "test.yes": true,
      "test.words": ["a", "", "ü"],
      "test.numbers": [1, -2, 3],
      "test.scores": [0.5, -1.25],
    });
    expect(Object.fromEntries([...tensors].map(([name, { shape, dtype }]) => [name, [dtype, ...shape]]))).toEqual({
      f32: ["float32", 3, 5],
      f16: ["float16", 2, 3, 2],
      vector: ["float32", 7],
      "matrix.Q8_0": ["float32", 4, 64],
      "matrix.Q4_1": ["float32", 4, 64],
      "matrix.BF16": ["bfloat16", 4, 64],
    });
    for (const [name, expected] of Object.entries(golden.expected))
      expect(hex(toBytes(asFloats(tensors.get(name)!.read(), "float32"))), name).toBe(hex(decode(expected)));
    close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe.skipIf(!existsSync(shared))("the shared model (skipped where ../shared is absent)", () => {
  test("dequantises to gguf-py's bits, whole", () => {
    const { tensors, close } = openGguf(join(shared, "model.gguf"));
    const sha = createHash("sha256");
    for (const name of [...tensors.keys()].sort()) sha.update(toBytes(tensors.get(name)!.read()));
    expect(sha.digest("hex")).toBe(golden.model);
    close();
  });

  test("the folder and its bare file have the same weights; side files come first", () => {
    const folder = openCheckpoint(shared);
    const bare = openCheckpoint(join(shared, "model.gguf"));
    expect(folder.hashWeights()).toBe(bare.hashWeights());
    expect(folder.config).toMatchObject({ hidden_size: 576 });
    expect(bare.config).toBeUndefined();
    expect(bare.kv).toEqual(folder.kv);
    expect(folder.chatTemplate).toBe(bare.chatTemplate);
    expect(folder.files).toHaveLength(6);
    folder.close();
    bare.close();
  });
});
