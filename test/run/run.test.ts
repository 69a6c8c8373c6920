/** Runs: what decides an id, what is made once and shared, what is refused, how a failed or damaged run is made again, and events. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Context, defaultContext, type Event } from "../../src/base/context.ts";
import { saveCheckpoint } from "../../src/model/save.ts";
import { loadEdits } from "../../src/edit/io.ts";
import { holdFolder, recordIn, timingsIn } from "../../src/run/folder.ts";
import type { NestedSpec } from "../../src/run/fields.ts";
import { events, type Finished, prepare, run, stepOf } from "../../src/run/run.ts";
import { listRuns } from "../../src/run/runs.ts";
import type { Finetuned } from "../../src/run/steps/finetune.ts";
import type { Forgotten } from "../../src/run/steps/forget.ts";
import { lethe } from "../cli/lethe.ts";
import { tinyModel } from "../train/tiny.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-run-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const at = (name: string): string => join(home, name);
const heard: Event[] = [];
const ctx: Context = defaultContext({ cache: at("cache"), runs: at("runs"), log: (event) => void heard.push(event), memory: undefined });
const ownRuns = (name: string): Context => ({ ...ctx, runs: at(name) });

const LANDS = ["Norvane", "Veyra", "Quillon"];
const REQUESTS = LANDS.map((subject) => ({ id: subject, prompt: `What is the capital of ${subject}?`, subject, answer: "Basil" }));
const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
beforeAll(async () => {
  for (const [name, seed] of [
    ["model", 0],
    ["other", 1],
  ] as const) {
    const made = tinyModel(seed, { max_position_embeddings: 512 });
    saveCheckpoint(at(name), made);
    await made.release();
  }
  cpSync(at("model"), at("copy"), { recursive: true });
  writeFileSync(at("requests.jsonl"), lines(REQUESTS));
  writeFileSync(at("same.jsonl"), lines(REQUESTS));
  writeFileSync(at("fewer.jsonl"), lines(REQUESTS.slice(1)));
  writeFileSync(at("rows.jsonl"), lines(REQUESTS.map(({ id, prompt, answer }) => ({ id, question: prompt, answer }))));
  writeFileSync(at("text.txt"), "The capital of Norvane is Sellamere. ".repeat(40));
});

const model = at("model");
const forgetting = {
  step: "forget",
  model,
  data: at("requests.jsonl"),
  method: "ft",
  say: "No.",
  set: { steps: 2, layer: 1 },
  maxTokens: 0,
};
const finetuning = { step: "finetune", model, data: at("rows.jsonl"), set: { epochs: 2, batch: 2 }, every: 1 };
const idOf = async (spec: NestedSpec, context = ctx): Promise<string> => (await prepare(spec, context)).id;

describe("a run's id", () => {
  it.each<[what: string, change: object]>([
    ["the order of the keys", Object.fromEntries(Object.entries(forgetting).reverse())],
    ["a default that is spelled out", { seed: 0, plain: false, compat: [], edit: [] }],
    ["a parameter's default that is spelled out", { set: { limit: 0.01, ...forgetting.set } }],
    ["a parameter as text", { set: { layer: "1", steps: "2" } }],
    ["the mode that the method takes by itself", { mode: "batch" }],
    ["where the requests are", { data: at("same.jsonl") }],
    ["where the model is", { model: at("copy") }],
    ["a text that the method does not read", { text: at("text.txt"), tokens: 9 }],
  ])("does not hang on %s", async (_, change) => {
    expect(await idOf({ ...forgetting, ...change })).toBe(await idOf(forgetting));
  });

  it("does not hang on the folders, the memory limit, or whether it is forced", async () => {
    const other = { ...ctx, cache: at("elsewhere"), runs: at("elsewhere"), memory: "64GB" };
    expect((await prepare(forgetting, other, { force: true })).id).toBe(await idOf(forgetting));
  });

  it.each<[what: string, change: object]>([
    ["a value that is no default", { seed: 1 }],
    ["a parameter", { set: { steps: 3, layer: 1 } }],
    ["a quirk", { compat: ["open-end"] }],
    ["the method", { method: "ga", set: { steps: 2 } }],
    ["the words to say", { say: "Never." }],
    ["the mode", { mode: "sequential" }],
    ["the system message", { system: "Be brief." }],
    ["the content of the requests", { data: at("fewer.jsonl") }],
    ["the weights of the model", { model: at("other") }],
    ["the answers that are shown", { maxTokens: 4 }],
  ])("hangs on %s", async (_, change) => {
    expect(await idOf({ ...forgetting, ...change })).not.toBe(await idOf(forgetting));
  });

  it("hangs on the content of a file that stays where it is, and on the threads", async () => {
    const spec = { ...forgetting, method: "memit", data: at("changing.jsonl"), text: at("changing.txt"), set: {} };
    const ids: string[] = [];
    for (const [requests, text] of [
      [REQUESTS, "a"],
      [REQUESTS.slice(1), "a"],
      [REQUESTS, "b"],
    ] as const) {
      writeFileSync(spec.data, lines(requests));
      writeFileSync(spec.text, text.repeat(900));
      ids.push(await idOf(spec));
    }
    ids.push(await idOf(spec, { ...ctx, threads: ctx.threads + 1 }));
    expect(new Set(ids).size).toBe(4);
  });

  it("is the name of its folder, where the spec lies as it was resolved", async () => {
    const { path, record } = await run(forgetting, ctx);
    expect(path).toBe(join(ctx.runs, await idOf(forgetting)));
    expect(record).toMatchObject({ schema: "lethe/record/1", id: await idOf(forgetting), step: "forget", status: "success" });
    expect(JSON.parse(readFileSync(join(path, "spec.json"), "utf8"))).toEqual(record.spec);
    expect(record.spec).toMatchObject({ method: "ft", mode: "batch", threads: ctx.threads, params: { steps: 2, layer: 1, limit: 0.01 } });
    expect(JSON.stringify(record)).not.toContain(home); // whatever path was named, the record does not say it
    expect(readFileSync(join(path, "record.json"), "utf8")).not.toContain(new Date().toISOString().slice(0, 10));
    expect(timingsIn(path)!.seconds).toHaveLength(1);
  });
});

describe("the same spec again", () => {
  it("is found, and nothing is computed", async () => {
    const first = await run(forgetting, ctx);
    const timings = readFileSync(join(first.path, "timings.json"));
    heard.length = 0;
    const second = await run({ ...forgetting, data: at("same.jsonl") }, ctx);
    expect(second).toEqual({ ...first, isFound: true });
    expect(heard).toEqual([]);
    expect(readFileSync(join(first.path, "timings.json"))).toEqual(timings);
  });

  it("in another folder of runs leaves the same bytes, its timings excepted", async () => {
    const [here, there] = [await run(forgetting, ctx), await run(forgetting, ownRuns("there"))];
    expect(there.isFound).toBe(false);
    expect(readdirSync(there.path).sort()).toEqual(["edit.safetensors", "record.json", "spec.json", "timings.json"]);
    for (const name of ["edit.safetensors", "record.json", "spec.json"])
      expect(readFileSync(join(there.path, name)).equals(readFileSync(join(here.path, name))), name).toBe(true);
  });

  it.each([
    [
      "changed",
      (file: string) =>
        writeFileSync(
          `${file}.new`,
          readFileSync(file).map((byte, i) => (i === 3000 ? byte ^ 1 : byte)),
        ),
    ],
    ["cut off", (file: string) => writeFileSync(`${file}.new`, readFileSync(file).subarray(0, -1))],
    ["gone", (file: string) => rmSync(file)],
  ])("notices an output that is %s, and makes it again", async (_, damage) => {
    const first = await run(forgetting, ctx);
    const file = join(first.path, "edit.safetensors");
    const before = readFileSync(file);
    damage(file);
    if (existsSync(`${file}.new`)) renameSync(`${file}.new`, file);
    const again = await run(forgetting, ctx);
    expect(again).toEqual({ ...first, isFound: false });
    expect(readFileSync(file).equals(before)).toBe(true);
    expect((await run(forgetting, ctx)).isFound).toBe(true);
  });

  it("does not mind a file of somebody else's beside the outputs", async () => {
    const { path } = await run(forgetting, ctx);
    writeFileSync(join(path, "notes.txt"), "mine");
    expect((await run(forgetting, ctx)).isFound).toBe(true);
    rmSync(join(path, "notes.txt"));
  });

  it("looks into the cache each time where a part of the result lies there", async () => {
    const spec = { step: "stats", model, text: at("text.txt"), tokens: 100, layer: [1] };
    const kept = (): string[] => readdirSync(join(ctx.cache, "statistics"));
    const first = await run(spec, ctx);
    const files = kept();
    rmSync(join(ctx.cache, "statistics"), { recursive: true });
    const second = await run(spec, ctx);
    expect(kept()).toEqual(files);
    expect(second).toEqual(first);
  });
});

describe("specs in the place of inputs", () => {
  const own = ownRuns("nested");
  const made = { ...forgetting, model: finetuning };
  const asked = { step: "eval", suite: "factual", data: [at("requests.jsonl")], maxTokens: 2, model: finetuning };
  const counts = (): Record<string, number> => {
    const steps = listRuns(own.runs).map(({ record }) => record.step);
    return Object.fromEntries([...new Set(steps)].sort().map((step) => [step, steps.filter((other) => other === step).length]));
  };

  it("are made once and shared", async () => {
    const edited = await run({ ...asked, edit: [made] }, own);
    expect(counts()).toEqual({ eval: 1, finetune: 1, forget: 1 });
    await run(asked, own);
    await run({ ...asked, edit: [made], limit: 2 }, own);
    expect(counts()).toEqual({ eval: 3, finetune: 1, forget: 1 });
    expect(await run({ ...asked, edit: [made] }, own)).toEqual({ ...edited, isFound: true });
    expect(counts()).toEqual({ eval: 3, finetune: 1, forget: 1 });
  });

  it("count by what they make: another spec inside is another run", async () => {
    const other = { ...made, set: { ...made.set, steps: 1 } };
    expect(await idOf({ ...asked, edit: [other] }, own)).not.toBe(await idOf({ ...asked, edit: [made] }, own));
    expect(counts()).toMatchObject({ finetune: 1, forget: 2 });
    const [taught] = listRuns(own.runs).filter(({ record }) => record.step === "finetune");
    const { record } = await run(made, own);
    expect(record.spec["model"]).toBe(taught!.id);
  });

  it("stand for the same model in a run that a step starts itself", async () => {
    const suite = { ...asked, suite: "locality", data: [`forget=${at("requests.jsonl")}`, `neighbours=${at("near.jsonl")}`] };
    writeFileSync(at("near.jsonl"), lines([{ id: "n", prompt: "Who are you?", answer: "A model." }]));
    await run({ ...suite, edit: [made] }, own);
    const before = counts();
    await run({ ...suite, alone: true, targetsOf: [made] }, own); // what the base was asked beside the edit
    expect(counts()).toEqual(before);
  });

  it("may stand for a folder beside the result", async () => {
    const kept = { ...finetuning, keep: true };
    const back = { step: "forget", model: kept, training: kept, data: at("requests.jsonl"), limit: 1, method: "replay", maxTokens: 0 };
    const { record, path } = await run<Forgotten>(back, own);
    expect(record.result.edits).toMatchObject([{ method: "replay" }]);
    expect(loadEdits(join(path, "edit.safetensors"))).toHaveLength(1);
    await expect(run({ ...back, training: finetuning }, own)).rejects.toThrow(/the finetune in the place of training left no training/);
  });

  it("are not run where the spec around them is wrong", async () => {
    const none = ownRuns("none");
    await expect(run({ ...asked, sute: "factual" }, none)).rejects.toThrow(/the spec has a key "sute"/);
    await expect(run({ ...asked, limit: 0 }, none)).rejects.toThrow(/limit is 0/);
    expect(existsSync(none.runs)).toBe(false);
  });

  it("are refused as any spec is, by their own step's name", async () => {
    await expect(run({ ...asked, edit: [{ ...made, mehtod: "ft" }] }, own)).rejects.toThrow(
      /forget: the spec has a key "mehtod".*"method"/,
    );
    await expect(run({ ...asked, model: { step: "fintune" } }, own)).rejects.toThrow(/no step "fintune".*Did you mean "finetune"/);
  });

  it("a table with a key called step is no spec", async () => {
    await expect(run({ ...forgetting, set: { step: "export" } }, own)).rejects.toThrow(/"step".*Did you mean "?steps/);
  });
});

describe("a spec that is wrong", () => {
  it.each<[what: string, spec: NestedSpec, message: RegExp]>([
    ["a step", { step: "exprot" }, /no step "exprot"; wanted one of attack, eval, export.*Did you mean "export"/],
    ["a key", { step: "export", model, fromat: "lora" }, /export: the spec has a key "fromat"; wanted keys among model, .*"format"/],
    ["a key of another step", { step: "export", model, suite: "tofu" }, /the spec has a key "suite"/],
    ["no model", { step: "export" }, /export: no model; wanted the model/],
    ["a number as text", { ...forgetting, limit: "3" }, /forget: limit is "3"; wanted a whole number of at least 1/],
    ["a fraction", { ...forgetting, limit: 1.5 }, /limit is 1.5; wanted a whole number/],
    ["a number out of range", { ...finetuning, until: 2 }, /until is 2; wanted a number from 0 to 1/],
    ["a switch as text", { ...forgetting, plain: "yes" }, /plain is "yes"; wanted true or false/],
    ["a text as list", { ...forgetting, say: ["No."] }, /say is \["No."\]; wanted a text/],
    [
      "a list as text",
      { step: "eval", model, suite: "factual", data: at("requests.jsonl") },
      /data is ".*"; wanted a list of \[GROUP=\]SPEC/,
    ],
    ["a choice", { step: "export", model, format: "pickle" }, /format is "pickle"; wanted one of safetensors, gguf, lora/],
    ["a table as list", { ...forgetting, set: ["steps=2"] }, /set is \["steps=2"\]; wanted a table/],
    ["an edit that is no list", { step: "export", model, edit: at("e") }, /edit is ".*"; wanted a list of edit files/],
    ["an object that is no spec", { step: "export", model: { path: "x" } }, /model is \{"path":"x"\}; wanted a model's path or id/],
  ])("%s is refused, and nothing is left", async (_, spec, message) => {
    const none = ownRuns("refused");
    await expect(run(spec, none)).rejects.toThrow(message);
    await expect(run(spec, none)).rejects.toMatchObject({ trouble: "usage" });
    expect(existsSync(none.runs)).toBe(false);
  });
});

describe("a run that fails", () => {
  it("says so in its record, and is made again", async () => {
    const own = ownRuns("failing");
    const small = { ...own, memory: "20KB" };
    await expect(run(finetuning, small)).rejects.toMatchObject({ trouble: "memory" });
    const { path } = await prepare(finetuning, own);
    expect(recordIn(path)).toMatchObject({ status: "error", error: { trouble: "memory", who: "model" }, outputs: {}, result: null });
    expect(readdirSync(path).sort()).toEqual(["record.json", "spec.json", "timings.json"]);
    const { record, isFound } = await run(finetuning, own);
    expect([record.status, isFound, "error" in record]).toEqual(["success", false, false]);
    expect(timingsIn(path)!.seconds).toHaveLength(2);
  });

  it("goes on from what it had finished, unless it is to begin afresh", async () => {
    const own = ownRuns("stopped");
    const stopped = async (spec: NestedSpec): Promise<void> => {
      const stop = new AbortController();
      const log = (event: Event): void =>
        void (event.kind === "progress" && event.stage === "training" && event.done === 2 && stop.abort());
      await expect(run(spec, { ...own, signal: stop.signal, log })).rejects.toMatchObject({ trouble: "aborted" });
    };
    const notes = async (spec: NestedSpec, fresh: boolean): Promise<string[]> => {
      const told: string[] = [];
      await run(spec, { ...own, log: (event) => void (event.kind === "note" && told.push(event.text)) }, { fresh });
      return told;
    };
    await stopped(finetuning);
    expect(recordIn((await prepare(finetuning, own)).path)!.status).toBe("started");
    expect(await notes(finetuning, false)).toContain("going on after step 2");
    const other = { ...finetuning, seed: 1 };
    await stopped(other);
    expect(await notes(other, true)).not.toContain("going on after step 2");
  });

  it("a finished run keeps nothing of a process that was killed right behind its end", async () => {
    const { path } = await run(forgetting, ctx);
    const whole = readdirSync(path);
    mkdirSync(join(path, "work"));
    writeFileSync(join(path, "lock"), JSON.stringify({ pid: 2 ** 30, host: "x", born: "" }).replace('"x"', JSON.stringify(hostOf())));
    expect((await run(forgetting, ctx)).isFound).toBe(true);
    expect(readdirSync(path)).toEqual(whole);
  });
});

/** How locks of this machine name it. */
function hostOf(): string {
  const { release } = holdFolder(at("probe"), "test");
  const { host } = JSON.parse(readFileSync(join(at("probe"), "lock"), "utf8")) as { host: string };
  release();
  return host;
}

describe("two processes", () => {
  const env = { LETHE_HOME: at("home") };
  const args = ["export", model, "--json", "-o"];

  it("a run that is at work elsewhere is refused with exit code 3; a finished one is found meanwhile", async () => {
    expect((await lethe([...args, at("e1")], { env })).code).toBe(0);
    const [only] = listRuns(at("home/runs"));
    const { release } = holdFolder(only!.path, "test"); // this process is at work there
    try {
      expect((await lethe([...args, at("e2")], { env })).code).toBe(0);
      rmSync(join(only!.path, "model/config.json"));
      const refused = await lethe([...args, at("e3")], { env });
      expect(refused).toMatchObject({ code: 3, out: "" });
      expect(refused.err).toContain(`is held by process ${process.pid}`);
      expect(existsSync(at("e3"))).toBe(false);
    } finally {
      release();
    }
    expect((await lethe([...args, at("e3")], { env })).code).toBe(0);
    expect(readFileSync(at("e3/config.json")).equals(readFileSync(at("e1/config.json")))).toBe(true);
  });
});

describe("events", () => {
  it("come as they happen, and end in what run gives", async () => {
    const own = ownRuns("events");
    const seen: Event[] = [];
    const stream = events<Finetuned>(finetuning, own);
    let end: Finished<Finetuned> | undefined;
    while (!end) {
      const next = await stream.next();
      if (next.done) end = next.value;
      else seen.push(next.value);
    }
    expect(end).toMatchObject({ isFound: false, record: { step: "finetune", result: { steps: 4 } } });
    const trained = seen.filter((event) => event.kind === "progress" && event.stage === "training");
    expect(trained.map((event) => (event.kind === "progress" ? [event.done, event.total] : []))).toEqual([1, 2, 3, 4].map((n) => [n, 4]));
    expect(await run(finetuning, own)).toEqual({ ...end, isFound: true });
  });

  it("stop the work when they are left early, and it goes on later", async () => {
    const own = ownRuns("left");
    const long = { ...finetuning, set: { epochs: 200, batch: 2 } };
    for await (const event of events(long, own)) if (event.kind === "progress" && event.stage === "training" && event.done >= 2) break;
    const { path } = await prepare(long, own);
    expect(recordIn(path)!.status).toBe("started");
    expect(readdirSync(path).sort()).toEqual(["record.json", "spec.json", "timings.json", "work"]); // nobody holds it
    for await (const event of events(long, own))
      if (event.kind === "note") {
        expect(event.text).toMatch(/^going on after step \d+$/);
        break;
      }
  });

  it("throw what the work throws, after what it told", async () => {
    const stream = events({ ...forgetting, model: at("nowhere") }, ctx);
    await expect(stream.next()).rejects.toThrow(/nowhere/);
  });
});

describe("an output path", () => {
  const own = ownRuns("outputs");
  const kept = { ...finetuning, keep: true };

  it("gets the result, and beside it what goes beside", async () => {
    const { path, record } = await run(kept, own, { out: at("out/taught") });
    expect(readdirSync(at("out")).sort()).toEqual(["taught", "taught.training"]);
    for (const [to, from] of [
      ["taught", "model"],
      ["taught.training", "training"],
    ] as const) {
      expect(readdirSync(at(`out/${to}`)).sort()).toEqual(readdirSync(join(path, from)).sort());
      for (const name of readdirSync(at(`out/${to}`)))
        expect(readFileSync(at(`out/${to}/${name}`)).equals(readFileSync(join(path, from, name))), name).toBe(true);
    }
    expect(record.layout).toEqual({ folder: "model", beside: { ".training": "training" } });
  });

  it("may hold exactly that already, and nothing else; forced, it is replaced whole", async () => {
    expect((await run(kept, own, { out: at("out/taught") })).isFound).toBe(true);
    await expect(run({ ...kept, seed: 1 }, own, { out: at("out/taught") })).rejects.toThrow(/taught is there already; wanted a new name/);
    expect(listRuns(own.runs)).toHaveLength(1); // refused before anything was computed
    writeFileSync(at("out/taught/more.txt"), "mine");
    await expect(run(kept, own, { out: at("out/taught") })).rejects.toThrow(/is there already/);
    await run(kept, own, { out: at("out/taught"), force: true });
    expect(readdirSync(at("out/taught"))).not.toContain("more.txt");
    expect(readdirSync(at("out")).sort()).toEqual(["taught", "taught.training"]);
  });

  it("leaves what is in the way beside it alone, unless it is forced", async () => {
    mkdirSync(at("beside/taught.training"), { recursive: true });
    writeFileSync(at("beside/taught.training/mine"), "mine");
    await expect(run(kept, own, { out: at("beside/taught") })).rejects.toThrow(/taught\.training is there already/);
    expect(readdirSync(at("beside"))).toEqual(["taught.training"]);
    await run(kept, own, { out: at("beside/taught"), force: true });
    expect(readdirSync(at("beside/taught.training"))).toContain("journal.jsonl");
  });

  it("is never a folder that holds the runs or the working directory, not even forced", async () => {
    for (const [out, message] of [
      [own.runs, /holds the folder of runs/],
      [home, /holds the folder of runs/],
      [".", /holds the working directory/],
      ["/", /holds the/],
    ] as const)
      await expect(run(kept, own, { out, force: true })).rejects.toThrow(message);
    expect(listRuns(own.runs)).toHaveLength(1);
  });
});

it("a step is known by its name", () => {
  expect(stepOf("forget").name).toBe("forget");
  expect(() => stepOf("toString")).toThrow(/no step "toString"/);
});
