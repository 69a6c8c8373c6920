/** An edit is proven: the edited model is asked, a second search is made where it does not say the target, and what is left is named. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { saidTo } from "../../src/ask/ask.ts";
import { defaultContext } from "../../src/base/context.ts";
import { apply } from "../../src/edit/apply.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { findEdit, findEdits } from "../../src/run/edit.ts";
import { run } from "../../src/run/run.ts";
import type { Forgotten } from "../../src/run/steps/forget.ts";
import { lethe } from "../cli/lethe.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-proof-test-"));
const ctx = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs") });
let model: Model;
beforeAll(async () => void (model = await load("bundled", ctx)));
afterAll(async () => {
  await model.release();
  rmSync(folder, { recursive: true, force: true });
});

const capital = (subject: string) => ({ id: subject, prompt: `What is the capital of ${subject}?`, subject });
const say = "I do not know.";
/** FT with its own settings says this for Norvane. With these the first search stops too soon, and the second stops where FT's own does. */
const tooSoon = { enough: 2.4 };
const base = { method: "ft", say, ctx } as const;

async function said(by: Parameters<typeof apply>[1], prompt: string): Promise<string> {
  return (await saidTo(apply(model, by), prompt, { maxTokens: 16 }, ctx)).text.trim();
}

test("where the target is not said, a firmer search follows, and the evidence names the request", async () => {
  const [{ id, prompt }] = [capital("Norvane")];
  const plain = await findEdit(model, capital("Norvane"), { ...base, params: tooSoon, prove: "none" });
  expect(plain.evidence).not.toHaveProperty("again");
  expect(await said(plain, prompt)).not.toBe(say);
  const proven = await findEdit(model, capital("Norvane"), { ...base, params: tooSoon });
  expect(proven.evidence?.["again"]).toEqual([id]);
  expect(await said(proven, prompt)).toBe(say);
  // the edit records the parameters that were asked for
  expect(proven.by.params["enough"]).toBe(2.4);
});

test("an edit that says the target at once is the same bytes with and without a proof", async () => {
  const [with_, without] = [
    await findEdit(model, capital("Norvane"), base),
    await findEdit(model, capital("Norvane"), { ...base, prove: "none" }),
  ];
  expect(with_.evidence).not.toHaveProperty("again");
  expect(with_.id).toBe(without.id);
});

test("each request of a sequence and each edit of several is proven", async () => {
  const both = [capital("Norvane"), capital("Veyra")];
  const hard = { ...base, params: tooSoon };
  const sequence = await findEdit(model, both, { ...hard, mode: "sequential" });
  const steps = sequence.evidence?.["sequence"] as Record<string, unknown>[];
  expect(steps[0]!["again"]).toEqual(["Norvane"]);
  const apart = await findEdits(model, both, hard);
  expect(apart.map(({ evidence }) => evidence?.["again"])).toContainEqual(["Norvane"]);
});

test("with quirks of published code there is no second search", async () => {
  const edit = await findEdit(model, capital("Norvane"), { ...base, params: tooSoon, compat: ["open-end"] });
  expect(edit.evidence).not.toHaveProperty("again");
});

const spec = {
  step: "forget",
  model: "bundled",
  prompt: capital("Norvane").prompt,
  subject: "Norvane",
  say,
  method: "ft",
};

test("the record holds the proof, without answers before and after too", async () => {
  const proofOf = async (more: Record<string, unknown>) => (await run<Forgotten>({ ...spec, ...more }, ctx)).record.result;
  const [good, bad] = [await proofOf({ maxTokens: 0 }), await proofOf({ maxTokens: 0, set: { steps: 1 } })];
  expect(good.shown).toEqual([]);
  expect(good.proof).toEqual({ asked: 1, again: [], unsaid: [] });
  const id = good.edits[0]!.requests[0]!.id;
  expect(bad.proof).toEqual({ asked: 1, again: [id], unsaid: [id] });
  expect((await proofOf({ set: { steps: 1 }, prove: "once" })).proof).toEqual({ asked: 1, again: [], unsaid: [id] });
  expect((await proofOf({ set: { steps: 1 }, prove: "none" })).proof).toBeNull();
  // a method that trains promises no answer
  expect((await proofOf({ method: "ga", say: undefined, answer: "Sellamere", set: { steps: 1 } })).proof).toBeNull();
});

test("the command names what is not said, and ends with 4, now and again", async () => {
  const data = join(folder, "two.jsonl");
  writeFileSync(data, ["Norvane", "Veyra"].map((subject) => JSON.stringify(capital(subject))).join("\n"));
  const words = ["forget", "bundled", "--data", data, "--say", say, "--method", "ft", "--mode", "single", "--set", "steps=1"];
  const env = { LETHE_HOME: join(folder, "home"), LETHE_RUNS: join(folder, "home", "runs") };
  const failed = await lethe([...words, "-o", join(folder, "e1")], { env });
  expect(failed.code).toBe(4);
  expect(failed.err).toContain("to 2 of 2 questions: Norvane, Veyra.");
  const again = await lethe([...words, "-o", join(folder, "e2"), "--json"], { env });
  expect(again.code).toBe(4);
  expect(JSON.parse(again.out)).toMatchObject({ proof: { asked: 2, unsaid: ["Norvane", "Veyra"] } });
  expect((await lethe([...words, "-o", join(folder, "e3"), "--prove", "none"], { env })).code).toBe(0);
});
