/** Plans: sizes that come true, statistics that are kept or not, nothing left behind, and every method or the one that is named. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { requestOf } from "../../src/data/request.ts";
import { bytesOf } from "../../src/edit/edit.ts";
import type { Need } from "../../src/methods/method.ts";
import { registry } from "../../src/methods/registry.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { plan, sortedOut } from "../../src/run/plan.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-plan-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx: Context = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs") });
const wanted = { prompt: "What is the capital of Norvane?", subject: "Norvane" };
const said = { say: "I do not know." };
const spec = { step: "forget", model: "bundled", ...said, text: "README.md", tokens: 512 };

describe("plan", () => {
  // one of each kind: values in a batch, an adapter, a prompt, training
  it.each(["memit", "grace", "ike", "gd"])("tells the size of an edit by %s as it will be, and keeps nothing itself", async (method) => {
    const home = { ...ctx, cache: join(folder, method) };
    const shown = { prompt: "Who?", answer: "Basil" };
    const demonstrations = join(folder, "shown.jsonl");
    writeFileSync(demonstrations, JSON.stringify(shown));
    const asked = { ...spec, ...wanted, method, ...(method === "ike" && { demonstrations }) };
    const told = await plan(asked, home);
    expect(told).toMatchObject({ requests: 1, tried: 1, unable: [] });
    expect(existsSync(home.cache)).toBe(false);
    const [m] = told.methods;
    expect(m!.memory).toMatchObject({ purpose: method === "gd" ? "train" : "edit", total: m!.memory.weights + m!.memory.work });
    expect(m!.seconds).toBeCloseTo(m!.around + m!.asking + (m!.evaluations ?? 0) * m!.evaluation, 9);
    expect(m!.asking > 0).toBe(method === "gd");
    expect(m!.seconds).toBeGreaterThan(0);
    if (m!.statistics) expect([m!.statistics.isKept, m!.statistics.seconds > 0]).toEqual([false, true]);
    const model = await load("bundled", ctx);
    const params = m!.evaluations === null ? {} : { steps: 2 };
    const statistics = { text: "README.md", tokens: 512 };
    const given = { ...said, method, statistics, ...(method === "ike" && { demonstrations: [requestOf(shown)] }) };
    const made = await findEdit(model, requestOf(wanted), { ...given, params, ctx: home });
    expect(m!.bytes).toBe(bytesOf(made));
    await model.release();
    if (!m!.statistics && m!.asking === 0) return;
    const [again] = (await plan(asked, home)).methods;
    expect(again!.asking).toBe(0);
    if (m!.statistics) expect(again!.statistics).toMatchObject({ isKept: true, seconds: 0 });
  });

  it("sorts out the methods that cannot do what is asked, with the reason", () => {
    const { able, unable } = sortedOut(Object.keys(registry), [{ ...requestOf(wanted), subject: "Basil" }], said);
    expect([...able.map((choice) => choice.method.name), ...unable.map((m) => m.method)].sort()).toEqual(Object.keys(registry).sort());
    for (const { method, why } of unable) {
      const { needs } = registry[method as keyof typeof registry];
      expect(
        (needs as readonly Need[]).filter((need) => ["subject", "training", "demonstrations"].includes(need)).length,
        why,
      ).toBeGreaterThan(0);
    }
    expect(unable.find(({ why }) => why.includes('"Basil" is not in prompt'))).toBeDefined();
  });

  it("grows with the requests, and plans with the parameters that are given", async () => {
    const six = join(folder, "six.jsonl");
    const names = ["Norvane", "Veyra", "Quillon", "Ostrel", "Peru", "Chile"];
    writeFileSync(six, names.map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject })).join("\n"));
    const [one, many] = [
      await plan({ ...spec, ...wanted, method: "memit", set: { layers: "1" } }, ctx),
      await plan({ ...spec, data: six, method: "memit", set: { layers: "1", steps: "7" } }, ctx),
    ];
    expect(many).toMatchObject({ requests: 6, tried: 4 });
    expect(many.methods[0]).toMatchObject({ evaluations: 7, bytes: 6 * one.methods[0]!.bytes });
    // what training changes, and what a step takes, are the same for any number
    const training = { ...spec, method: "ga", set: { rank: 2, layers: "5" } };
    const [single, several] = [await plan({ ...training, ...wanted }, ctx), await plan({ ...training, data: six }, ctx)];
    expect(several.methods[0]!.bytes).toBe(single.methods[0]!.bytes);
  });

  it.each([
    ["model", { model: { step: "finetune", recipe: "bundled/recipe.json" } }],
    ["data", { data: { step: "select", data: "facts.jsonl" } }],
    ["edit", { edit: [{ step: "forget", model: "bundled", ...wanted }] }],
  ])("refuses a spec in the place of %s: it runs nothing", async (key, nested) => {
    await expect(plan({ ...spec, ...wanted, ...nested }, ctx)).rejects.toThrow(`the spec of another step in the place of ${key}`);
  });

  it("refuses what cannot be done, and stops when asked to", async () => {
    await expect(plan({ ...spec, ...wanted, subject: "Basil", method: "rome" }, ctx)).rejects.toThrow(/"Basil" is not in prompt/);
    const stop = new AbortController();
    stop.abort();
    await expect(plan({ ...spec, ...wanted }, { ...ctx, signal: stop.signal })).rejects.toMatchObject({ trouble: "aborted" });
  });
});
