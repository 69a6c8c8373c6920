/** Checkpoints: what is a model folder, what is not, and what to do about it; memory before loading. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type NdArray, floats } from "../../src/base/array.ts";
import { LetheError } from "../../src/base/fail.ts";
import { writeSafetensors } from "../../src/base/store.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { availableMemory, estimateMemory, parseBytes, refuseIfTooLarge, showBytes } from "../../src/model/memory-estimate.ts";
import { KIND, type Entry, ggufBytes } from "../gguf-file.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lethe-checkpoint-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const put = (name: string, content: unknown): void => {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content));
};
const [a, b] = [floats([1, 2, 3, 4, 5, 6], [2, 3]), floats([7, 8])];
const weights = (name: string, ...tensors: [string, NdArray][]): void => writeSafetensors(join(folder, name), tensors, { format: "pt" });
const whole = (): void => {
  put("config.json", { model_type: "x" });
  weights("model.safetensors", ["a", a], ["b", b]);
};
const shards = (map: Record<string, unknown> = { a: "model-1.safetensors", b: "model-2.safetensors" }): void => {
  put("config.json", {});
  put("model.safetensors.index.json", { metadata: {}, weight_map: map });
  weights("model-1.safetensors", ["a", a]);
  weights("model-2.safetensors", ["b", b]);
};
const METADATA: readonly Entry[] = [
  ["general.architecture", KIND.text, "x"],
  ["tokenizer.ggml.model", KIND.text, "gpt2"],
  ["tokenizer.ggml.pre", KIND.text, "gpt-2"],
  ["tokenizer.ggml.tokens", KIND.list, { of: KIND.text, items: ["a", "b", "ab", "<end>"] }],
  ["tokenizer.ggml.token_type", KIND.list, { of: KIND.i32, items: [1, 1, 1, 3] }],
  ["tokenizer.ggml.merges", KIND.list, { of: KIND.text, items: ["a b"] }],
  ["tokenizer.ggml.eos_token_id", KIND.u32, 3],
  ["tokenizer.chat_template", KIND.text, "from the file"],
];
const gguf = (name: string, extra: readonly Entry[] = []): void =>
  put(
    name,
    ggufBytes(
      [...METADATA, ...extra],
      [{ name: "w", dims: [3, 2], type: 0, bytes: new Uint8Array(Float32Array.from([1, 2, 3, 4, 5, 6]).buffer) }],
    ),
  );
const open = (name = "") => {
  const checkpoint = openCheckpoint(join(folder, name));
  checkpoint.close();
  return checkpoint;
};
const refusal = (name = ""): LetheError => {
  try {
    open(name);
  } catch (error) {
    if (error instanceof LetheError) return error;
    throw error;
  }
  return expect.fail("it opened");
};

describe("safetensors", () => {
  test("one file with its side files", () => {
    whole();
    put("tokenizer.json", { model: {} });
    put("tokenizer_config.json", { bos_token: "<s>" });
    put("generation_config.json", { eos_token_id: 2 });
    put("chat_template.jinja", "hello {{ x }}\n");
    const checkpoint = openCheckpoint(folder);
    expect(checkpoint).toMatchObject({
      source: "safetensors",
      config: { model_type: "x" },
      generation: { eos_token_id: 2 },
      tokenizerJson: { model: {} },
      tokenizerConfig: { bos_token: "<s>" },
      chatTemplate: "hello {{ x }}\n",
    });
    expect(checkpoint.files).toHaveLength(6);
    expect(checkpoint.tensors.get("a")!.read()).toEqual(a);
    checkpoint.close();
  });

  test("shards through their index; spread differently, the same hash", () => {
    shards();
    const checkpoint = openCheckpoint(folder);
    expect(Object.fromEntries([...checkpoint.tensors].map(([name, t]) => [name, t.read()]))).toEqual({ a, b });
    const hash = checkpoint.hashWeights();
    checkpoint.close();
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    whole();
    const one = openCheckpoint(folder);
    expect(one.hashWeights()).toBe(hash);
    one.close();
  });

  test.each<[string, [string, NdArray][]]>([
    [
      "a number",
      [
        ["a", floats([1, 2, 3, 4, 5, 6.5], [2, 3])],
        ["b", b],
      ],
    ],
    [
      "a shape",
      [
        ["a", floats([1, 2, 3, 4, 5, 6], [3, 2])],
        ["b", b],
      ],
    ],
    [
      "a name",
      [
        ["a", a],
        ["c", b],
      ],
    ],
    [
      "a type",
      [
        ["a", a],
        ["b", { dtype: "int32", shape: [2], data: new Int32Array(new Float32Array([7, 8]).buffer) }],
      ],
    ],
  ])("another hash for %s", (_, tensors) => {
    whole();
    const one = openCheckpoint(folder);
    const before = one.hashWeights();
    one.close();
    weights("model.safetensors", ...tensors);
    const two = openCheckpoint(folder);
    expect(two.hashWeights()).not.toBe(before);
    two.close();
  });

  test("no tokenizer is an error only when it is asked for", () => {
    whole();
    const checkpoint = open();
    expect(() => checkpoint.tokenizerJson).toThrow(/has no tokenizer\.json.*AutoTokenizer/);
  });
});

describe("the chat template", () => {
  test.each<[string, unknown, string | undefined]>([
    ["text", "one", "one"],
    [
      "a list with a default",
      [
        { name: "tool", template: "t" },
        { name: "default", template: "d" },
      ],
      "d",
    ],
    ["a list of one", [{ name: "tool", template: "t" }], "t"],
    [
      "a list without a default",
      [
        { name: "x", template: "t" },
        { name: "y", template: "t" },
      ],
      undefined,
    ],
    ["nonsense", [1, { template: 2 }], undefined],
    ["nothing", undefined, undefined],
  ])("in tokenizer_config.json: %s", (_, given, expected) => {
    whole();
    put("tokenizer_config.json", { chat_template: given });
    expect(open().chatTemplate).toBe(expected);
  });

  test("its own file comes before tokenizer_config.json, and that before GGUF metadata", () => {
    gguf("m.gguf");
    expect(open().chatTemplate).toBe("from the file");
    put("tokenizer.json", {});
    expect(open().chatTemplate).toBe("from the file");
    put("tokenizer_config.json", { chat_template: "from the config" });
    expect(open().chatTemplate).toBe("from the config");
    put("chat_template.jinja", "its own");
    expect(open().chatTemplate).toBe("its own");
    expect(open("m.gguf").chatTemplate).toBe("from the file");
  });
});

describe("GGUF", () => {
  test("bare: tokenizer and template from its metadata", () => {
    gguf("m.gguf");
    const checkpoint = openCheckpoint(join(folder, "m.gguf"));
    expect(checkpoint).toMatchObject({
      source: "gguf",
      kv: { "general.architecture": "x" },
      tokenizerJson: { model: { vocab: { ab: 2 } } },
    });
    expect(checkpoint.config).toBeUndefined();
    expect(checkpoint.tensors.get("w")!.shape).toEqual([2, 3]);
    checkpoint.close();
  });

  test("in a folder: the same weights; side files come first", () => {
    gguf("m.gguf");
    put("tokenizer.json", { mine: true });
    put("config.json", { model_type: "x" });
    const [inside, bare] = [openCheckpoint(folder), openCheckpoint(join(folder, "m.gguf"))];
    expect(inside.tokenizerJson).toEqual({ mine: true });
    expect(inside.config).toEqual({ model_type: "x" });
    expect(inside.hashWeights()).toBe(bare.hashWeights());
    inside.close();
    bare.close();
  });
});

describe("refuses", () => {
  test.each<[string, () => void, string, RegExp]>([
    ["a path that is not there", () => {}, "none", /none: there is no such file/],
    ["an empty folder", () => {}, "", /is not a model folder; it contains nothing; wanted model\.safetensors/],
    [
      "a folder of other things, naming them",
      () => {
        put("a.txt", "");
        put("b.md", "");
      },
      "",
      /it contains a\.txt, b\.md/,
    ],
    [
      "a folder of pickles",
      () => {
        put("config.json", {});
        put("pytorch_model.bin", "x");
      },
      "",
      /Pickles can run code.*safe_serialization/,
    ],
    ["a pickle", () => put("model.pt", "x"), "model.pt", /is a file, but not a model.*safe_serialization/],
    ["a weight file by itself", () => weights("model.safetensors", ["a", a]), "model.safetensors", /Name the folder that holds it/],
    ["weights without config.json", () => weights("model.safetensors", ["a", a]), "", /no config\.json/],
    [
      "several GGUF files",
      () => {
        gguf("a.gguf");
        gguf("b.gguf");
      },
      "",
      /Name one of its \.gguf files/,
    ],
    [
      "shards without their index",
      () => {
        put("config.json", {});
        weights("model-1.safetensors", ["a", a]);
        weights("model-2.safetensors", ["b", b]);
      },
      "",
      /Several weight files need model\.safetensors\.index\.json/,
    ],
    [
      "missing shards",
      () => {
        shards();
        rmSync(join(folder, "model-2.safetensors"));
      },
      "",
      /1 of 2 shards are missing: model-2\.safetensors/,
    ],
    [
      "an index that names an absent tensor",
      () => shards({ a: "model-1.safetensors", c: "model-2.safetensors" }),
      "",
      /"c" is not in model-2\.safetensors/,
    ],
    ["an index that leaves its folder", () => shards({ a: "../model-1.safetensors" }), "", /it names the file "\.\.\/model-1/],
    ["an index with an absolute path", () => shards({ a: "/etc/x.safetensors" }), "", /it names the file "\/etc/],
    ["an index with a backslash", () => shards({ a: "..\\x.safetensors" }), "", /it names the file/],
    ["an index of pickles", () => shards({ a: "pytorch_model.bin" }), "", /it names the file "pytorch_model\.bin"/],
    ["an index of numbers", () => shards({ a: 1 }), "", /it names the file 1/],
    [
      "an index without a map",
      () => {
        shards();
        put("model.safetensors.index.json", []);
      },
      "",
      /weight_map is missing/,
    ],
    [
      "a config that is a list",
      () => {
        whole();
        put("config.json", []);
      },
      "",
      /config\.json contains a list; wanted a JSON object/,
    ],
    [
      "a config that is broken",
      () => {
        whole();
        put("config.json", '{"a":');
      },
      "",
      /config\.json is not JSON: it ends too early at line 1, column 6/,
    ],
    [
      "a broken tokenizer_config.json",
      () => {
        whole();
        put("tokenizer_config.json", "{]");
      },
      "",
      /tokenizer_config\.json is not JSON/,
    ],
    [
      "a folder named model.safetensors",
      () => {
        put("config.json", {});
        mkdirSync(join(folder, "model.safetensors"));
      },
      "",
      /it is a folder/,
    ],
  ])("%s", (_, make, name, message) => {
    make();
    expect(refusal(name).message).toMatch(message);
  });
});

describe("memory", () => {
  const tensors = new Map<string, { dtype: "float32" | "float16" | "bfloat16"; shape: number[] }>([
    ["a", { dtype: "float32", shape: [1000, 1000] }],
    ["b", { dtype: "bfloat16", shape: [1000, 2000] }],
  ]);
  test("weights as they will be resident", () => {
    expect(estimateMemory({ tensors }, { purpose: "ask" })).toMatchObject({ weights: 8e6, work: 304e6, total: 312e6 });
    expect(estimateMemory({ tensors }, { purpose: "ask", widenUpTo: 12e6 })).toMatchObject({ weights: 12e6, work: 312e6 });
    expect(estimateMemory({ tensors }, { purpose: "ask", widenUpTo: 12e6 - 1 })).toMatchObject({ weights: 8e6 });
    expect(estimateMemory({ tensors }, { purpose: "train" }).work).toBe(4 * 4 * 3e6 + 700e6);
    expect(estimateMemory({ tensors }, { purpose: "train", training: { numbers: 1e6, pass: 1e8 } }).work).toBe(4 * 4 * 1e6 + 400e6);
  });

  test("refusal says need, have and what to do; force goes on", () => {
    const need = { purpose: "edit", weights: 14e9, work: 2e9, total: 16e9 } as const;
    const have = { bytes: 8.04e9, limit: "the control group" } as const;
    expect(() => refuseIfTooLarge("model", need, have)).toThrow(
      /about 16 GB of memory are needed to edit the model \(14 GB of weights and 2\.0 GB to work in\) and 8\.0 GB are left by the control group.*smaller model.*close other programs.*--force/,
    );
    try {
      refuseIfTooLarge("model", need, have);
    } catch (error) {
      expect((error as LetheError).trouble).toBe("memory");
    }
    refuseIfTooLarge("model", need, have, true);
    refuseIfTooLarge("model", need, { ...have, bytes: 16e9 });
  });

  test.each([
    ["8GB", 8e9],
    ["8 GiB", 2 ** 33],
    ["512m", 512e6],
    ["1.5g", 1.5e9],
    ["123", 123],
    ["4kb", 4000],
  ])("%s", (text, bytes) => {
    expect(parseBytes(text, "LETHE_MEMORY")).toBe(bytes);
    expect(availableMemory({ setting: text })).toEqual({ bytes, limit: "the setting" });
  });
  test.each(["", "GB", "-1", "8 PB", "1e9", "8 G i"])("refuses %j", (text) =>
    expect(() => parseBytes(text, "LETHE_MEMORY")).toThrow(/LETHE_MEMORY/),
  );
  test("shown", () => expect([999, 1e6, 98e6, 1.44e9, 16e9].map(showBytes)).toEqual(["1.0 kB", "1.0 MB", "98 MB", "1.4 GB", "16 GB"]));

  const meminfo = (kb: number): void => put("proc/meminfo", `MemTotal: 99999999 kB\nMemAvailable:   ${kb} kB\n`);
  test("no group: what the system has", () => {
    meminfo(1000);
    expect(availableMemory({ root: folder })).toEqual({ bytes: 1024000, limit: "the system" });
  });
  test("version 2: the tightest group on the way up, page cache given back", () => {
    meminfo(10_000_000);
    put("proc/self/cgroup", "0::/outer/inner\n");
    put("sys/fs/cgroup/outer/inner/memory.max", "max\n");
    put("sys/fs/cgroup/outer/memory.max", "1000000\n");
    put("sys/fs/cgroup/outer/memory.current", "700000\n");
    put("sys/fs/cgroup/outer/memory.stat", "anon 5\ninactive_file 100000\n");
    expect(availableMemory({ root: folder })).toEqual({ bytes: 400000, limit: "the control group" });
  });
  test("version 1, with and without a limit", () => {
    meminfo(10_000_000);
    put("proc/self/cgroup", "3:cpu:/x\n7:memory:/box\n0::/\n");
    put("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2000000");
    put("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "500000");
    expect(availableMemory({ root: folder })).toEqual({ bytes: 1500000, limit: "the control group" });
    put("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712");
    expect(availableMemory({ root: folder }).limit).toBe("the system");
  });
  test("here, something is left", () => expect(availableMemory().bytes).toBeGreaterThan(1e6));
});
