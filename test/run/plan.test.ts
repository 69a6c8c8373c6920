/** Plans: sizes that come true, statistics that are kept or not, nothing left behind, and every method or the one that is named. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { requestOf } from "../../src/data/request.ts";
import { bytesOf } from "../../src/edit/edit.ts";
import { registry } from "../../src/methods/registry.ts";
import { load } from "../../src/model/load.ts";
import { findEdit } from "../../src/run/edit.ts";
import { plan } from "../../src/run/plan.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-plan-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx: Context = defaultContext({ cache: join(folder, "cache") });
const wanted = { prompt: "What is the capital of Norvane?", subject: "Norvane" };
const options = { say: "I do not know.", statistics: { text: "README.md", tokens: 512 }, edits: [], force: false };

describe("plan", () => {
  it("tells every method's size as it will be, whether its statistics are kept, and keeps nothing itself", async () => {
    const told = await plan("bundled", wanted, options, ctx);
    expect(told).toMatchObject({ requests: 1, tried: 1, unable: [] });
    expect(told.methods.map((m) => m.method)).toEqual(Object.keys(registry));
    expect(told.memory.total).toBe(told.memory.weights + told.memory.work);
    expect(existsSync(ctx.cache)).toBe(false);
    const model = await load("bundled", ctx);
    for (const m of told.methods) {
      expect(m.seconds).toBeCloseTo(m.around + (m.evaluations ?? 0) * m.evaluation, 9);
      expect(m.seconds).toBeGreaterThan(0);
      if (m.statistics) expect([m.statistics.isKept, m.statistics.seconds > 0]).toEqual([false, true]);
      const params = m.evaluations === null ? {} : { steps: 2 };
      const made = await findEdit(model, requestOf(wanted), { ...options, method: m.method, params, ctx });
      expect(m.bytes).toBe(bytesOf(made));
    }
    await model.release();
    const weighing = told.methods.find((m) => m.statistics)!.method;
    const again = await plan("bundled", wanted, { ...options, method: weighing }, ctx);
    expect(again.methods[0]!.statistics).toMatchObject({ isKept: true, seconds: 0 });
  }, 180_000);

  it("grows with the requests, and plans with the parameters that are given", async () => {
    const six = join(folder, "six.jsonl");
    const names = ["Norvane", "Veyra", "Quillon", "Ostrel", "Peru", "Chile"];
    writeFileSync(six, names.map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject })).join("\n"));
    const [one, many] = [
      await plan("bundled", wanted, { ...options, method: "memit", params: { layers: "1" } }, ctx),
      await plan("bundled", { data: six }, { ...options, method: "memit", params: { layers: "1", steps: "7" } }, ctx),
    ];
    expect(many).toMatchObject({ requests: 6, tried: 4 });
    expect(many.methods[0]).toMatchObject({ evaluations: 7, bytes: 6 * one.methods[0]!.bytes });
  }, 60_000);

  it("refuses what cannot be done, names who cannot, and stops when asked to", async () => {
    await expect(plan("bundled", { ...wanted, subject: "Basil" }, { ...options, method: "rome" }, ctx)).rejects.toThrow(
      /"Basil" is not in prompt/,
    );
    const some = await plan("bundled", { ...wanted, subject: "Basil" }, options, ctx);
    expect(some.unable.length).toBeGreaterThan(0);
    expect(some.unable.length + some.methods.length).toBe(Object.keys(registry).length);
    const stop = new AbortController();
    stop.abort();
    await expect(plan("bundled", wanted, options, { ...ctx, signal: stop.signal })).rejects.toMatchObject({ trouble: "aborted" });
  }, 60_000);
});
