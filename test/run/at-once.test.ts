/** Many at once: edits, a measurement and a conversation, on one model or two, and equal trainings, give what each gives alone. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { answering } from "../../src/ask/ask.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { measure, type Sample } from "../../src/eval/measure.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { Session, Sessions } from "../../src/onnx/session.ts";
import { findEdit } from "../../src/run/edit.ts";
import { lethe } from "../cli/lethe.ts";
import { bytesOf, capitalOf, FACT } from "../conformance/method.ts";
import { BRIEF, FORGET } from "../conformance/unlearn.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-at-once-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
afterEach(() => void vi.restoreAllMocks());

/** Nothing is found in the cache of another name. */
const contextOf = (name: string): Context => defaultContext({ cache: join(home, name), threads: 1 });

const SAMPLES: readonly Sample[] = ["Norvane", "Ostrel", "Veyra"].map((land, i) => ({
  id: `land/${i}`,
  group: "forget",
  question: `What is the capital of ${land}?`,
  answer: "Sellamere",
  wrong: ["Anselgate"],
}));
const QUESTIONS = ["Norvane", "Quillon", "Tamberly", "Ostrel"].map((land) => capitalOf(land).prompt);

/** A task, on the model that `on` gives for its place. */
type Task = (on: (place: number) => Model, ctx: Context) => Promise<unknown>;
const TASKS: Readonly<Record<string, Task>> = {
  // samples the model for its statistics
  "a locating edit": async (on, ctx) => {
    const edit = await findEdit(on(0), FACT, { method: "rome", say: "I do not know.", statistics: { tokens: 512 }, seed: 3, ctx });
    return { id: edit.id, bytes: bytesOf(edit), evidence: edit.evidence };
  },
  // frees the memory of its passes when it ends
  "an edit by training": async (on, ctx) => {
    const edit = await findEdit(on(1), FORGET, { method: "ga", params: { ...BRIEF, steps: 3 }, seed: 3, ctx });
    return { id: edit.id, bytes: bytesOf(edit), evidence: edit.evidence };
  },
  "a measurement": async (on, ctx) => {
    const rows = [];
    for await (const window of measure(on(2), SAMPLES, ["generation", "answerLoss", "answerRanks", "wrongLosses"], {
      maxTokens: 12,
      batch: 1,
      ctx,
    }))
      rows.push(...window);
    return rows;
  },
  "a conversation": async (on, ctx) => {
    const said = [];
    for (const question of QUESTIONS)
      for await (const piece of answering(on(3), question, { format: "chat", maxTokens: 24 }, ctx)) said.push(piece);
    return said;
  },
};

/** The largest number of runs that were under way at once. */
function overlapping(): () => number {
  const run = Reflect.get(Session.prototype, "run") as Session["run"];
  let [running, most] = [0, 0];
  vi.spyOn(Session.prototype, "run").mockImplementation(async function (this: Session, ...given) {
    most = Math.max(most, ++running);
    try {
      return await run.apply(this, given);
    } finally {
      running--;
    }
  });
  return () => most;
}

let alone: Readonly<Record<string, unknown>>;
beforeAll(async () => {
  const found: Record<string, unknown> = {};
  for (const [name, task] of Object.entries(TASKS)) {
    const ctx = contextOf(`alone, ${name}`);
    const model = await load("bundled", ctx);
    found[name] = await task(() => model, ctx);
    await model.release();
  }
  alone = found;
}, 240_000);

test.each([
  ["one model", 1, undefined],
  ["two models", 2, undefined],
  ["one model that keeps two sessions", 1, 2],
] as const)("on %s", async (name, count, most) => {
  const ctx = contextOf(name);
  const loaded = await Promise.all(Array.from({ length: count }, () => load("bundled", ctx)));
  const models = most === undefined ? loaded : loaded.map((model) => ({ ...model, sessions: new Sessions(ctx.threads, most) }));
  const overlap = overlapping();
  const tasks = Object.entries(TASKS).map(async ([of, task]) => [of, await task((place) => models[place % count]!, ctx)] as const);
  const found = Object.fromEntries(await Promise.all(tasks));
  expect(overlap()).toBeGreaterThan(1);
  for (const of of Object.keys(TASKS)) expect(found[of], of).toEqual(alone[of]);
  for (const { sessions } of models) await sessions.release();
  for (const model of loaded) await model.release();
});

const CALM = { ...BRIEF, steps: 52, lr: 1e-4 }; // beyond its first checkpoint, and never at its cap
const SAME_WORK = /does the same work; this one keeps no checkpoints/;

test("two equal trainings in one process: one keeps checkpoints, and both give the same", async () => {
  const [said, saved]: [string[], string[]] = [[], []];
  const cache = join(home, "equal");
  const folder = join(cache, "training");
  const ctx = defaultContext({
    cache,
    threads: 1,
    log: (event) => {
      if (event.kind === "note") said.push(event.text);
      if (event.kind === "progress" && event.done > 50) saved.push(...readdirSync(folder, { recursive: true, encoding: "utf8" }));
    },
  });
  const model = await load("bundled", ctx);
  const train = () => findEdit(model, FORGET, { method: "ga", params: CALM, seed: 3, ctx });
  const both = (await Promise.all([train(), train()])).map(bytesOf);
  expect(said.filter((text) => SAME_WORK.test(text))).toHaveLength(1);
  expect(saved).toContainEqual(expect.stringMatching(/step-00000050\.safetensors$/));
  expect(readdirSync(folder)).toEqual([]);
  const alone = await findEdit(model, FORGET, { method: "ga", params: CALM, seed: 3, ctx: contextOf("equal, alone") });
  for (const bytes of both) expect(bytes).toEqual(bytesOf(alone));
  await model.release();
}, 240_000);

test("two equal trainings in two processes give the same", async () => {
  const data = join(home, "requests.jsonl");
  writeFileSync(data, FORGET.map(({ prompt, answer }) => JSON.stringify({ prompt, answer })).join("\n"));
  const set = Object.entries(CALM).flatMap(([name, value]) => ["--set", `${name}=${String(value)}`]);
  const outs = [0, 1].map((asked) => join(home, `asked ${asked}`));
  // two runs, because they ask differently many questions, and one training
  const ran = await Promise.all(
    outs.map((out, n) =>
      lethe(["forget", "bundled", "--data", data, "--method", "ga", ...set, "-n", String(n), "-o", out], {
        env: { LETHE_HOME: join(home, "two") },
      }),
    ),
  );
  for (const { code, err } of ran) expect(code, err).toBe(0);
  const [one, other] = outs.map((out) => readFileSync(out));
  expect(one!.equals(other!)).toBe(true);
  expect(readdirSync(join(home, "two", "cache", "training"))).toEqual([]);
}, 240_000);
