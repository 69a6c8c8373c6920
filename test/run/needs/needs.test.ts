/** Needs: which a method is brought, what each adds to the identity of a run, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Context, defaultContext } from "../../../src/base/context.ts";
import { requestOf } from "../../../src/data/request.ts";
import { type AnyMethod, defineMethod, type Need } from "../../../src/methods/method.ts";
import { load } from "../../../src/model/load.ts";
import type { Settings } from "../../../src/run/choice.ts";
import { choose } from "../../../src/run/choose.ts";
import { equip } from "../../../src/run/equip.ts";
import { withPlugin } from "../../../src/run/plugins.ts";
import { prepare } from "../../../src/run/run.ts";
import { registry } from "../../../src/run/needs/registry.ts";
import { defineTarget } from "../../../src/targets/target.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-needs-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const home: Context = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs") });
const wanted = { prompt: "What is the capital of Norvane?", subject: "Norvane" };

/** A method that needs this and does nothing. */
const probe = (...needs: Need[]): Context =>
  withPlugin(
    home,
    [
      defineMethod({
        name: "probe",
        title: "Probe",
        paper: "none",
        doc: "does nothing",
        takes: "many",
        needs,
        params: {},
        compat: {},
        edit: () => Promise.resolve({ change: { kind: "delta", weights: {} } }),
      }),
    ],
    { id: "probe", name: "probe" },
  );

const file = (name: string, ...rows: object[]): string => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
};

const identity = async (ctx: Context, spec: object = {}): Promise<Readonly<Record<string, unknown>>> =>
  (await prepare({ step: "forget", model: "bundled", method: "probe", ...wanted, ...spec }, ctx)).spec;

describe("needs", () => {
  test("each is on the shelf by its own name", () => {
    expect(Object.entries(registry).map(([name, need]) => [name, need.name])).toEqual(Object.keys(registry).map((name) => [name, name]));
  });

  test("one that is not there is refused when the method is brought in, with the nearest", () => {
    expect(() => probe("targets" as Need)).toThrow(/--plugin: "probe" needs "targets"; wanted some of answer, .*Did you mean "target"\?/);
  });

  test("a subject is in the prompt", () => {
    const asked = (ctx: Context) => choose([requestOf({ ...wanted, subject: "Basil" })], { method: "probe" }, { ctx });
    expect(() => asked(probe("subject"))).toThrow(/subject "Basil" is not in prompt/);
    expect(asked(probe()).edited).toHaveLength(1);
  });

  test("a training and demonstrations must be given, a retain set may not be empty, an encoder has a name", () => {
    const asked = (need: Need, settings: Settings = {}, given: object = {}) =>
      choose([requestOf(wanted)], { method: "probe", ...settings }, { ...given, ctx: probe(need) });
    expect(() => asked("training")).toThrow(/no training to go back to/);
    expect(() => asked("demonstrations")).toThrow(/no demonstrations/);
    expect(() => asked("retain", {}, { retain: [] })).toThrow(/the retain set is empty/);
    expect(() => asked("encoder", { encoder: " " })).toThrow(/an empty encoder/);
    expect(() => asked("target", { target: "refusals" })).toThrow(/"refusals"; wanted one of .*Did you mean "refusal"\?/);
  });

  test("what decides the edit is in the identity of the run, and nothing else", async () => {
    const none = await identity(probe());
    for (const name of Object.keys(registry)) expect(none[name], name).toBeUndefined();
    const text = file("text.txt", wanted);
    const all = await identity(probe("target", "retain", "statistics", "encoder"), { text, tokens: 512 });
    expect(all).toMatchObject({ target: "refusal", retain: null, encoder: null, statistics: { tokens: 512, seed: 0 } });
    expect(JSON.stringify(all["statistics"])).not.toContain("text.txt");
    expect(await identity(probe("target"), { say: "No." })).toMatchObject({ target: null, say: "No." });
  });

  test("questions and examples that are given count for a method that does not ask for them", async () => {
    const [a, b] = ["A.", "B."].map((answer) => file(`${answer}jsonl`, { question: "Who are you?", answer }));
    const [c, d] = ["C", "D"].map((answer) => file(`${answer}.jsonl`, { ...wanted, answer }));
    const ids = async (key: string, ...paths: string[]) => {
      const ready = paths.map((path) => prepare({ step: "forget", model: "bundled", method: "ike", ...wanted, [key]: path }, home));
      return (await Promise.all(ready)).map(({ id }) => id);
    };
    for (const [key, one, other] of [
      ["retain", a!, b!],
      ["demonstrations", c!, d!],
    ] as const) {
      const [first, again, different] = await ids(key, one, one, other);
      expect(again).toBe(first);
      expect(different).not.toBe(first);
    }
  });

  test("the code of a need counts where it is used", async () => {
    const uses = async (ctx: Context) =>
      (await prepare({ step: "forget", model: "bundled", method: "probe", ...wanted }, ctx)).resolved.uses;
    expect((await uses(probe("statistics", "target"))).filter((path) => /needs|targets/.test(path))).toEqual([
      "run/needs/statistics",
      "run/needs/target",
      "targets/refusal",
    ]);
  });

  test("answers are there before targets are chosen; a method is not brought what it spares", async () => {
    const model = await load("bundled", home);
    try {
      const deny = defineTarget({ name: "deny", doc: "denies the answer", say: ({ answer }) => Promise.resolve(`Not ${answer}.`) });
      const ctx = withPlugin(probe("retain", "target", "answer", "encoder", "demonstrations"), [deny], { id: "deny", name: "deny" });
      const given = { ctx, demonstrations: [requestOf(wanted)] };
      const all = await equip(model, choose([requestOf(wanted)], { method: "probe", target: "deny" }, given), given);
      expect(all.aimed).toMatchObject([{ answer: "Sellamere", target: "Not Sellamere." }]);
      expect(Object.keys(all.brought).sort()).toEqual(["demonstrations", "encoder", "retain"]);
      expect(all.brought.retain!.length).toBeGreaterThan(0);
      const choice = choose([requestOf(wanted)], { method: "probe", say: "No." }, given);
      const spares = (): readonly Need[] => ["retain", "answer"];
      const spared = await equip(model, { ...choice, method: { ...choice.method, spares } as AnyMethod }, given);
      expect(spared.aimed).toMatchObject([{ answer: "", target: "No." }]);
      expect(Object.keys(spared.brought).sort()).toEqual(["demonstrations", "encoder"]);
    } finally {
      await model.release();
    }
  });
});
