/** What every architecture must show on a checkpoint of its own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asFloats, type NdArray } from "../base/array.ts";
import { type Context, defaultContext } from "../base/context.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { type Arch, type Config, declaredWeights } from "../model/arch/arch.ts";
import { theirName } from "../model/check-stored.ts";
import { type Generated, generate } from "../model/decode/generate.ts";
import type { Taps } from "../model/forward.ts";
import { identify, load } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import { atLayer, SITES, siteName } from "../model/names.ts";
import { ropeTables } from "../model/rope.ts";
import { exportGguf } from "../model/save-gguf.ts";
import { exportModel } from "../model/save.ts";
import { runTraced } from "../model/run-traced.ts";
import type { Running } from "../onnx/program.ts";
import { withPlugin } from "../run/plugins.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { writeRandomCheckpoint } from "./random-checkpoint.ts";
import { once, type Runner, suite, type Test } from "./runner.ts";

/** What the architecture is tested on. */
export type ArchCase = (
  | {
      /** A checkpoint of the architecture, small: a folder, a .gguf file, or a hub id. */
      readonly model: string;
    }
  | {
      /** A config.json. A checkpoint with random weights and the bundled model's tokenizer is made of it, so its vocabulary must be as large. */
      readonly config: Readonly<Record<string, unknown>>;
    }
) & {
  /** A row of token ids; by default five that most vocabularies have. */
  readonly ids?: readonly number[];
  /** Entries of the config in values that GGUF has words for, in place of those that it has none for. */
  readonly gguf?: Readonly<Record<string, unknown>>;
};

const IDS = [5, 9, 20, 31, 7];
/** How far float32 may be from float64, as a share of the largest number. */
const SINGLE = 1e-4;
const DOUBLE = 1e-11;

/** Tests that an architecture claims a checkpoint whole, says truly where its memory is, and computes the same however it is run. */
export function archConforms(arch: Arch, { ids = IDS, ...of }: ArchCase, runner: Runner): void {
  suite(runner, `${arch.name} conforms`, (test, after) => {
    const ctx = withPlugin(defaultContext(), [arch], { id: "conformance", name: arch.name });
    const work = mkdtempSync(join(tmpdir(), "lethe-arch-"));
    const spec = once(async () => {
      if ("model" in of) return of.model;
      await writeRandomCheckpoint(join(work, "random"), arch, of.config, ctx);
      return join(work, "random");
    });
    const loaded = once(async () => load(await spec(), ctx));
    after(async () => {
      await (await loaded()).release();
      rmSync(work, { recursive: true, force: true });
    });
    claims(test, arch, spec, ctx);
    computes(test, loaded, ids);
    isTappedAt(test, loaded, ids);
    isSaved(test, loaded, ids, { ctx, folder: join(work, "saved") });
    if (!arch.gguf?.metadata) return;
    const sayable = async (): Promise<Model> => {
      if (!("config" in of) || !of.gguf) return loaded();
      await writeRandomCheckpoint(join(work, "sayable"), arch, { ...of.config, ...of.gguf }, ctx);
      return load(join(work, "sayable"), ctx);
    };
    isWrittenAsGguf(test, { loaded, sayable }, ids, { ctx, path: join(work, "model.gguf") });
  });
}

function isWrittenAsGguf(
  test: Test,
  { loaded, sayable }: { loaded: () => Promise<Model>; sayable: () => Promise<Model> },
  ids: readonly number[],
  { ctx, path }: { ctx: Context; path: string },
): void {
  test("written as GGUF and read again it has the same config, the same weights and the same logits", async () => {
    const model = await sayable();
    await exportGguf(model, path);
    const again = await load(path, ctx);
    try {
      const { needsHead = false } = model.arch.gguf!;
      assert.deepEqual(inGguf(again.config), inGguf({ ...model.config, tied: model.config.tied && !needsHead }), "the config");
      const tablesOf = ({ rope, ropes = {} }: Config): number[] =>
        [...(rope ? [rope] : []), ...Object.values(ropes)].flatMap((table) => numbers(ropeTables(table, 8, "float64").cos));
      assert.ok(apart(tablesOf(again.config), tablesOf(model.config)) < 1e-6, "the rotary tables");
      for (const [name, weight] of model.weights) {
        const off = apart(numbers(again.weights.get(name)!), numbers(asFloats(weight, "float32")));
        assert.ok(off <= (weight.shape.length > 1 ? 0 : 2 ** -22), `${name} is off by ${off}`); // a norm may be stored with 1 added
      }
      const off = apart(numbers(await logitsOf(again, [ids])), numbers(await logitsOf(model, [ids])));
      assert.ok(off < 1e-6, `the logits are off by ${off}`);
      assert.deepEqual(again.tokenizer.encode("It's 12 o'clock, naïve  one.\n"), model.tokenizer.encode("It's 12 o'clock, naïve  one.\n"));
    } finally {
      await again.release();
      if (model !== (await loaded())) await model.release();
    }
  });
}

/** A config as a GGUF file can say it: numbers are float32, and rotary tables are compared as numbers. */
function inGguf({ rope: _, ropes: __, ...config }: Config): unknown {
  return JSON.parse(JSON.stringify(config, (_key, value: unknown) => (typeof value === "number" ? Math.fround(value) : value)));
}

function isSaved(
  test: Test,
  loaded: () => Promise<Model>,
  ids: readonly number[],
  { ctx, folder }: { ctx: Context; folder: string },
): void {
  test("saved and loaded again it has the same config, the same weights and the same logits", async () => {
    const model = await loaded();
    exportModel(model, folder, { dtype: "float32" });
    const again = await load(folder, ctx);
    try {
      assert.deepEqual(again.config, model.config, "the config");
      assert.deepEqual([...again.weights.keys()], [...model.weights.keys()], "the names of the weights");
      for (const [name, weight] of model.weights)
        assert.ok(apart(numbers(again.weights.get(name)!), numbers(asFloats(weight, "float32"))) === 0, `${name} is another one`);
      assert.deepEqual(numbers(await logitsOf(again, [ids])), numbers(await logitsOf(model, [ids])), "the logits");
    } finally {
      await again.release();
    }
  });
}

/** The checkpoint's name of every weight that the architecture asks for. */
function namesIn(checkpoint: Checkpoint, arch: Arch, config: Config): string[] {
  const ours = declaredWeights({ arch, config }).map((weight) => theirName(checkpoint, arch, weight));
  const ropeFactors = checkpoint.source === "gguf" ? arch.gguf?.ropeFactors : undefined;
  return ropeFactors === undefined ? ours : [...ours, ropeFactors];
}

function claims(test: Test, arch: Arch, spec: () => Promise<string>, ctx: Context): void {
  test("claims the checkpoint, and each of its tensors once", async () => {
    const checkpoint = openCheckpoint(await resolveModel(await spec(), ctx));
    try {
      const found = identify(checkpoint, ctx);
      assert.equal(found.arch.name, arch.name);
      assert.equal(found.config.arch, arch.name, "config.arch is the architecture's name");
      const names = namesIn(checkpoint, arch, found.config);
      assert.equal(new Set(names).size, names.length, "a tensor is claimed twice");
      const ignored = [/rotary_emb|rope_f|lm_head\.weight$/, ...(arch.ignored ?? []), ...(arch.gguf?.ignored ?? [])];
      const isSpare = (name: string): boolean => ignored.some((pattern) => pattern.test(name));
      const unclaimed = [...checkpoint.tensors.keys()].filter((name) => !names.includes(name) && !isSpare(name));
      assert.deepEqual(unclaimed, [], "tensors that nothing claims");
      const absent = names.filter((name) => !checkpoint.tensors.has(name) && !isSpare(name));
      assert.deepEqual(absent, [], "tensors that are claimed and not there");
    } finally {
      checkpoint.close();
    }
  });
}

const logitsOf = async (
  model: Model,
  rows: readonly (readonly number[])[],
  running?: Partial<Running>,
  taps: Taps = {},
): Promise<NdArray> =>
  (
    await runTraced(
      model,
      rows,
      (lm, tokens, given) => ({ logits: lm.logits(lm.normed(lm.forward(tokens, { ...given, taps }).hidden)) }),
      running,
    )
  ).logits;

const numbers = ({ data }: NdArray): number[] => Array.from(data as Float32Array, Number);
const largest = (xs: readonly number[]): number => xs.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
/** The largest difference, as a share of the largest number. */
const apart = (a: readonly number[], b: readonly number[]): number => largest(a.map((x, i) => x - b[i]!)) / Math.max(1, largest(b));

function computes(test: Test, loaded: () => Promise<Model>, ids: readonly number[]): void {
  test("computes the same in both executors and both precisions", async () => {
    const model = await loaded();
    const all = async (running: Partial<Running>): Promise<number[]> => numbers(await logitsOf(model, [ids], running));
    const reference = await all({ dtype: "float64", executor: "graph" });
    assert.ok(reference.every(Number.isFinite), "the logits are finite");
    const near = async (running: Partial<Running>, most: number): Promise<void> => {
      const off = apart(await all(running), reference);
      assert.ok(off < most, `${JSON.stringify(running)} is off by ${off}`);
    };
    await near({ dtype: "float64", executor: "blocks" }, DOUBLE);
    await near({ dtype: "float32", executor: "graph" }, SINGLE);
    await near({ dtype: "float32", executor: "blocks" }, SINGLE);
  });

  test("a row says the same alone, padded beside a longer one, and whatever comes behind it", async () => {
    const model = await loaded();
    const width = model.config.vocab;
    const short = ids.slice(0, -2);
    const alone = numbers(await logitsOf(model, [short], { dtype: "float64" })).slice(-width);
    const both = numbers(await logitsOf(model, [short, ids], { dtype: "float64" }));
    assert.ok(apart(both.slice((ids.length - 1) * width, ids.length * width), alone) < DOUBLE, "padding changes it");
    const at = (ids.length + short.length - 1) * width;
    assert.ok(apart(both.slice(at, at + width), alone) < DOUBLE, "later tokens change it");
  });

  test("token by token over a cache it says what it says in one pass", async () => {
    const model = await loaded();
    const [{ ids: said, logprobs }] = (await generate(model, [ids], { maxTokens: 4, freeze: false, dtype: "float64" })) as [Generated];
    const width = model.config.vocab;
    const all = numbers(await logitsOf(model, [[...ids, ...said]], { dtype: "float64" }));
    const inOnePass = said.map((id, i) => {
      const row = all.slice((ids.length - 1 + i) * width, (ids.length + i) * width);
      const most = Math.max(...row);
      return row[id]! - most - Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
    });
    const off = apart(logprobs, inOnePass);
    assert.ok(off < 1e-6, `log-probabilities over a cache are off by ${off}`);
  });
}

function isTappedAt(test: Test, loaded: () => Promise<Model>, ids: readonly number[]): void {
  test("can be read and rewritten at every site of every block", async () => {
    const model = await loaded();
    const { layers } = model.config;
    const passed: string[] = [];
    const names = Array.from({ length: layers }, (_, layer) => SITES.map((site) => siteName(layer, site))).flat();
    const noting = (name: string) => (h: Tensor) => {
      passed.push(name);
      return h;
    };
    const taps: Taps = Object.fromEntries(names.map((name) => [name, noting(name)]));
    const plain = numbers(await logitsOf(model, [ids], {}, taps));
    assert.deepEqual(passed, names, "sites that are passed, in their order");
    const ends = names.filter((_, i) => i < SITES.length || i >= (layers - 1) * SITES.length); // blocks between are the same function
    for (const name of ends) {
      // no constant: a LayerNorm takes it away again
      const moved = apart(numbers(await logitsOf(model, [ids], {}, { [name]: (h: Tensor) => h.add(h.square()) })), plain);
      assert.ok(moved > 1e-5, `what is written at ${name} changes nothing`);
    }
  });

  test("its memory's matrix makes the value of the key", async () => {
    const model = await loaded();
    const { weight, key, value } = model.arch.memory;
    const layer = model.config.layers - 1;
    const read = await runTraced(
      model,
      [ids],
      (lm, tokens, given) => {
        const seen: Partial<Record<"key" | "value", Tensor>> = {};
        const note = (name: "key" | "value") => (h: Tensor) => (seen[name] = h);
        lm.forward(tokens, { ...given, taps: { [siteName(layer, key)]: note("key"), [siteName(layer, value)]: note("value") } });
        const name = atLayer(weight, layer);
        const made = seen.key!.matmul(lm.weight(name), { transB: true });
        const bias = `${name}.bias`;
        return { made: model.weights.has(bias) ? made.add(lm.weight(bias)) : made, value: seen.value! };
      },
      { dtype: "float64" },
    );
    assert.ok(apart(numbers(read.made), numbers(read.value)) < DOUBLE, `${value} is not ${weight} times ${key}`);
  });
}
