/** The kits of `lethe/testing` fail on what breaks a promise: each on an entry that breaks one, by the name of that test. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { asking, type Samples } from "../../src/attack/asking.ts";
import { type Attack, defineAttack } from "../../src/attack/attack.ts";
import { defineMetric, shareOf } from "../../src/eval/metric.ts";
import { llama } from "../../src/model/arch/llama.ts";
import { type Arch, defineArch } from "../../src/model/arch/arch.ts";
import { atLayer } from "../../src/model/names.ts";
import { defineMethod, type Method } from "../../src/methods/method.ts";
import { floats } from "../../src/base/array.ts";
import { archConforms, attackConforms, methodConforms, metricConforms, type Runner, targetConforms } from "../../src/testing/index.ts";
import { defineTarget } from "../../src/targets/target.ts";
import { bundledFolder } from "../train/tiny.ts";

/** The names of the tests of a kit that fail, and of how many. */
async function failing(kit: (runner: Runner) => void): Promise<{ readonly failed: string[]; readonly count: number }> {
  const tests: { readonly name: string; readonly body: () => Promise<void> }[] = [];
  const ends: (() => Promise<void>)[] = [];
  kit({
    describe: (_, body) => body(),
    test: (name, _, body) => tests.push({ name, body }),
    after: (work) => ends.push(work),
  });
  const failed: string[] = [];
  for (const { name, body } of tests) await body().catch(() => failed.push(name));
  for (const end of ends) await end();
  return { failed, count: tests.length };
}

const soundMetric = {
  name: "long",
  doc: "share of long answers",
  better: "higher" as const,
  caveat: "It counts letters.",
  reads: ["generation"] as const,
  after: [],
};

describe("metrics", () => {
  const score = defineMetric({ ...soundMetric, score: ({ rows }) => shareOf("long", rows, (row) => row.generation.length > 3) });
  const rows = [
    { id: "a", generation: "Canberra" },
    { id: "b", generation: "No" },
  ];
  test("a sound one passes", async () => {
    expect(await failing((runner) => metricConforms(score, { worked: { rows, value: 0.5 } }, runner))).toEqual({ failed: [], count: 4 });
  });
  test("a wrong value, a caveat of two sentences, and rows that are not checked fail", async () => {
    const wrong = { worked: { rows, value: 0.75 } };
    expect((await failing((runner) => metricConforms(score, wrong, runner))).failed).toEqual([expect.stringMatching(/worked by hand/)]);
    const loose = { ...score, caveat: "It counts. It lies.", score: () => ({ value: 0.5, bySample: {}, interval: null }) };
    expect((await failing((runner) => metricConforms(loose, {}, runner))).failed).toEqual([
      expect.stringMatching(/one sentence/),
      expect.stringMatching(/without a field/),
      expect.stringMatching(/quirk/),
    ]);
  });
});

describe("targets", () => {
  test("one that counts its calls, one that says nothing, and one that cannot be stopped fail", async () => {
    let calls = 0;
    const counting = defineTarget({ name: "counting", doc: "counts", say: () => Promise.resolve(`${calls++}`) });
    expect((await failing((runner) => targetConforms(counting, {}, runner))).failed).toEqual([expect.stringMatching(/same seed/)]);
    const silent = defineTarget({ name: "silent", doc: "nothing", say: () => Promise.resolve(" ") });
    expect((await failing((runner) => targetConforms(silent, {}, runner))).failed).toEqual([expect.stringMatching(/says something/)]);
    const first = defineTarget({ name: "first", doc: "the first", say: (_, pool) => Promise.resolve(pool[0]!.id) });
    expect((await failing((runner) => targetConforms(first, {}, runner))).failed).toEqual([expect.stringMatching(/order/)]);
  });
});

describe("attacks", () => {
  const sound: Attack<Samples> = defineAttack({
    name: "twice",
    title: "Twice",
    doc: "asks twice",
    paper: "none",
    access: "text",
    knows: ["question"],
    changes: ["delta", "adapter", "prompt"],
    needs: [],
    ...asking({ sources: { twice: "twice" }, ask: ({ prompt }) => [`${prompt} ${prompt}`] }),
  });
  const failed = async (over: Partial<Attack<Samples>>): Promise<string[]> =>
    (await failing((runner) => attackConforms({ ...sound, ...over }, { params: { samples: 1 } }, runner))).failed;

  test("a sound one passes", async () => expect(await failed({})).toEqual([]));

  test("one that knows more than it says, or says more than it reads, fails", async () => {
    expect(await failed({ ...asking({ sources: { twice: "" }, ask: ({ prompt, answer = "" }) => [`${prompt} ${answer}?!x`] }) })).toEqual([
      expect.stringMatching(/says that it knows/),
    ]);
    expect(await failed({ knows: ["question", "answer"] })).toEqual([expect.stringMatching(/says that it knows/)]);
  });

  test("one that draws without a seed, exceeds its bound, or leaves a parameter unread fails", async () => {
    let calls = 0;
    const fresh = asking({ sources: { twice: "" }, ask: ({ prompt }) => [`${prompt} ${"please ".repeat(++calls)}`] });
    expect(await failed(fresh)).toEqual([expect.stringMatching(/same attempts/)]);
    expect(await failed({ most: () => 0 })).toEqual([expect.stringMatching(/no more often/)]);
    const params = { ...sound.params, unread: { default: 1, doc: "nothing", source: "none" } };
    expect(await failed({ params })).toEqual([expect.stringMatching(/every parameter/)]);
  });

  test("one that scores what could not be asked, or cannot be stopped, fails", async () => {
    expect(
      await failed({
        async *attempts({ requests, from, ask, params: { samples } }) {
          for (const { id, prompt } of requests) {
            const [reply] = await ask([{ messages: `${prompt} `.repeat(samples + 1) }]);
            const said = reply && "answer" in reply ? reply.answer : "";
            yield { request: id, source: from[0]!, order: "pool", said, guesses: [said], cost: { queries: 1, steps: 0, seconds: 0 } };
          }
        },
      }),
    ).toEqual([expect.stringMatching(/could not be asked/)]);
    expect(
      await failed({
        async *attempts({ requests, from, params: { samples } }) {
          const cost = { queries: samples, steps: 0, seconds: 0 };
          for (const { id, prompt } of requests) yield { request: id, source: from[0]!, order: "pool", guesses: [prompt], cost };
        },
      }),
    ).toEqual([expect.stringMatching(/stops within a step/)]);
  });
});

describe("methods", () => {
  const sound: Method<{ size: number }> = defineMethod({
    name: "shrink",
    title: "Shrink",
    paper: "none",
    doc: "makes the first MLP's matrix smaller",
    takes: "one",
    needs: [],
    params: { size: { default: 0.1, doc: "what is left", source: "none" } },
    compat: {},
    edit: ({ model, params: { size } }) => {
      const name = atLayer(model.arch.memory.weight, 0);
      const { shape, data } = model.weights.get(name)!;
      const dense = floats(
        Array.from(data as Float32Array, (x) => (size - 1) * x),
        shape,
        "float32",
      );
      return Promise.resolve({ change: { kind: "delta", weights: { [name]: { dense } } } });
    },
  });
  const failed = async (over: Partial<Method<{ size: number }>>): Promise<string[]> =>
    (await failing((runner) => methodConforms(defineMethod({ ...sound, ...over }), { params: {} }, runner))).failed;

  test("a sound one passes", async () => expect(await failed({})).toEqual([]));

  test("one that does nothing, one that writes to the model, and one that ignores its parameter fail", async () => {
    const nothing: typeof sound.edit = (job) => sound.edit({ ...job, params: { size: Math.max(1, job.params.size) } });
    expect(await failed({ edit: nothing })).toEqual([expect.stringMatching(/less likely/)]);
    const rough: typeof sound.edit = (job) => {
      (job.model.weights.get("final_norm")!.data as Float32Array)[0]! += 1e-3 * job.params.size;
      return sound.edit(job);
    };
    const found = await failed({ edit: rough });
    expect(found).toContain("leaves the base as it was, to the bit");
    const deaf: typeof sound.edit = (job) => sound.edit({ ...job, params: { size: 0.1 } });
    expect(await failed({ edit: deaf })).toEqual(["reads every parameter it declares"]);
  });
});

describe("architectures", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-kits-"));
  const model = join(folder, "model");
  cpSync(join(bundledFolder, "model"), model, { recursive: true });
  const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as object;
  writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, model_type: "other" }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const { gguf: _, ...rest } = llama;
  const sound: Arch = { ...rest, name: "other", claims: ["other"], config: (hf) => ({ ...llama.config(hf), arch: "other" }) };
  const failed = async (over: Partial<Arch>): Promise<string[]> =>
    (await failing((runner) => archConforms(defineArch({ ...sound, ...over }), { model }, runner))).failed;

  test("a sound one passes", async () => expect(await failed({})).toEqual([]));

  test("one that passes a tap by, one whose memory is elsewhere, and one that mixes tokens fail", async () => {
    const deaf: Arch["block"] = (x, c, layer, at) =>
      llama.block(x, c, layer, { ...at, tap: (site, h) => (site === "attn_out" ? h : at.tap(site, h)) });
    expect(await failed({ block: deaf })).toEqual([expect.stringMatching(/every site/)]);
    expect(await failed({ memory: { ...llama.memory, value: "resid_post" } })).toEqual([expect.stringMatching(/memory/)]);
    const mixing: Arch["block"] = (x, c, layer, at) => llama.block(x.add(x.mean(1, true)), c, layer, at);
    expect(await failed({ block: mixing })).toEqual([expect.stringMatching(/beside a longer one/), expect.stringMatching(/over a cache/)]);
  });

  test("one that does not say which it is, and one that leaves a tensor out, fail", async () => {
    expect(await failed({ config: llama.config })).toEqual([expect.stringMatching(/claims the checkpoint/)]);
    const norm = "model.layers.{i}.input_layernorm.weight";
    const weights: Arch["weights"] = (c) => ({ ...llama.weights(c), "blocks.{i}.ln2": { name: norm, shape: [c.width] } });
    expect(await failed({ weights })).toContainEqual(expect.stringMatching(/claims the checkpoint/));
  });
});
