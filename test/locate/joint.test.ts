/** Joint sequences: request by request they give the batch of the same facts, on the base, from wherever they were stopped. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import type { ForgetRequest } from "../../src/data/request.ts";
import { apply } from "../../src/edit/apply.ts";
import { deltasOf, type Edit } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { load } from "../../src/model/load.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { bytesOf, capitalOf, SAY } from "../conformance/method.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-joint-"));
const ctx = defaultContext({ cache: join(folder, "cache") });
const loaded = load("bundled", ctx);
afterAll(async () => {
  await (await loaded).release();
  rmSync(folder, { recursive: true, force: true });
});

/** Ten facts, two more than are searched together. */
const FACTS = ["Norvane", "Veyra", "Quillon", "Ostrel", "Basil", "Tarn", "Melk", "Orrin", "Pell", "Quay"].map(capitalOf);
const KEPT = [
  { id: "a", question: "What is the capital of Sarn?", answer: "Ilve." },
  { id: "b", question: "Who wrote the song of Sarn?", answer: "Nobody knows." },
];
const EXACT = { dtype: "float64" } as const;

async function found(facts: readonly ForgetRequest[], options: FindOptions, params: object = {}): Promise<Edit> {
  return findEdit(await loaded, facts, {
    say: SAY,
    prove: "none",
    statistics: { tokens: 1024 },
    running: EXACT,
    seed: 3,
    ctx,
    ...options,
    params: { steps: 5, templates: ["5x2"], ...params },
  });
}

/** ΔW of each weight, row by row. */
function changesOf(edit: Edit): Record<string, Float64Array> {
  const full = Object.entries(deltasOf(edit)).map(([name, delta]) => {
    if (!("outer" in delta)) throw new Error("outer products");
    const [left, right] = delta.outer;
    const [rows, rank] = left.shape as [number, number];
    const columns = right.shape[1]!;
    const out = new Float64Array(rows * columns);
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < rank; k++)
        for (let j = 0; j < columns; j++) out[i * columns + j]! += Number(left.data[i * rank + k]) * Number(right.data[k * columns + j]);
    return [name, out] as const;
  });
  return Object.fromEntries(full);
}

/** The largest difference of two edits' changes, relative to the largest number of the second. */
function apartBy(a: Edit, b: Edit): number {
  const [ours, theirs] = [changesOf(a), changesOf(b)];
  expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
  return Math.max(
    ...Object.entries(ours).map(([name, x]) => {
      const y = theirs[name]!;
      const largest = y.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      return x.reduce((most, v, i) => Math.max(most, Math.abs(v - y[i]!)), 0) / largest;
    }),
  );
}

const BRAKES = { anchor: 2, retainWeight: 1, apart: 0.5, stopAt: "top", topTokens: 1 };

describe.each(["memit", "alphaedit"])("%s", (method) => {
  it("request by request gives the batch, to 1e-9; on top does not", { timeout: 240_000 }, async () => {
    const batch = await found(FACTS, { method });
    const joint = await found(FACTS, { method, mode: "sequential" }, { sequence: "joint" });
    expect(apartBy(joint, batch)).toBeLessThan(1e-9);
    const three = FACTS.slice(0, 3);
    const onTop = await found(three, { method, mode: "sequential" });
    expect(apartBy(onTop, await found(three, { method }))).toBeGreaterThan(1e-3);
    // later searches began where the batch's did: all ten of the batch, one by one
    expect(joint.evidence!["sequence"]).toHaveLength(FACTS.length);
  });

  it("the same with every parameter that brakes", { timeout: 240_000 }, async () => {
    const options = { method, retain: KEPT };
    const batch = await found(FACTS, options, BRAKES);
    const joint = await found(FACTS, { ...options, mode: "sequential" }, { ...BRAKES, sequence: "joint" });
    expect(apartBy(joint, batch)).toBeLessThan(1e-9);
    expect(apartBy(joint, await found(FACTS, { method }))).toBeGreaterThan(1e-2);
  });

  it("written anew at every second request: the batch there, on top of it in between", { timeout: 240_000 }, async () => {
    const sequential = { method, mode: "sequential" } as const;
    const [three, four] = [FACTS.slice(0, 3), FACTS.slice(0, 4)];
    const params = { sequence: "joint", every: 2 };
    expect(apartBy(await found(four, sequential, params), await found(four, { method }))).toBeLessThan(1e-9);
    const between = apartBy(await found(three, sequential, params), await found(three, { method }));
    expect(between).toBeGreaterThan(1e-6);
    expect(between).toBeLessThan(apartBy(await found(three, sequential), await found(three, { method })));
  });
});

describe("a joint sequence", () => {
  const JOINT = { sequence: "joint" };
  const facts = FACTS.slice(0, 4);

  it.each([
    ["memit", JOINT],
    ["memit", { ...JOINT, every: 3 }],
    ["rome", { ...JOINT, contrast: 4 }],
  ])("of %s %j goes on from wherever it was stopped, to the same bytes", { timeout: 240_000 }, async (method, params) => {
    const options: FindOptions = { method, mode: "sequential", running: {}, journal: join(folder, `${method}-${"every" in params}`) };
    const { journal: _, ...unkept } = options;
    const whole = bytesOf(await found(facts, unkept, params));
    for (const at of [2, 3]) {
      const stop = new AbortController();
      const log: typeof ctx.log = (e) => void (e.kind === "progress" && e.stage === "edits" && e.done === at && stop.abort());
      await expect(found(facts, { ...options, ctx: { ...ctx, signal: stop.signal, log } }, params)).rejects.toMatchObject({
        trouble: "aborted",
      });
    }
    const begun: number[] = [];
    const log: typeof ctx.log = (e) => void (e.kind === "progress" && e.stage === "edits" && begun.push(e.done));
    expect(bytesOf(await found(facts, { ...options, ctx: { ...ctx, log } }, params))).toBe(whole);
    expect(begun).toEqual([3]);
  });

  it("does not go on after edits on top, and says what to do", { timeout: 120_000 }, async () => {
    const options: FindOptions = { method: "memit", mode: "sequential", running: {} };
    const kept = join(folder, "on-top");
    await found(facts.slice(0, 2), { ...options, journal: kept });
    const going = { ...options, journal: join(folder, "going"), continued: kept };
    await expect(found(facts, going, JOINT)).rejects.toThrow(/made with other settings.*leave out --continue/s);
    // a caller of the library who passes the state of such edits gets the same error
    const { registry } = await import("../../src/methods/registry.ts");
    const { equip } = await import("../../src/run/equip.ts");
    const { choose } = await import("../../src/run/choose.ts");
    for (const method of ["memit", "rome"] as const) {
      const model = await loaded;
      const asked: FindOptions = { method, say: SAY, statistics: { tokens: 1024 }, params: { steps: 2, ...JOINT }, ctx };
      const { params, brought, aimed } = await equip(model, choose(facts.slice(0, 1), asked, asked), asked);
      const running = { dtype: "float32", executor: "graph" } as const;
      const job = {
        model,
        requests: aimed,
        ...brought,
        params: params as never,
        compat: new Set<string>(),
        format: "chat",
        seed: 3,
      } as const;
      await expect(registry[method].edit({ ...job, running, ctx, previous: { under: model, memory: {} } })).rejects.toThrow(
        /keep no values.*--set sequence=on-top/s,
      );
    }
  });

  it("is saved, loaded and applied like any edit, and its requests say the target", { timeout: 120_000 }, async () => {
    const model = await loaded;
    const path = join(folder, "edit");
    const edit = await found(facts, { method: "memit", mode: "sequential", running: {} }, JOINT);
    saveEdits(path, [edit]);
    const [again] = loadEdits(path);
    expect(bytesOf(again!)).toBe(bytesOf(edit));
    expect(again).not.toHaveProperty("replaces");
    const name = Object.keys(deltasOf(edit))[0]!;
    expect(apply(model, again!).weights.get(name)!.data).toEqual(apply(model, edit).weights.get(name)!.data);
    expect(edit.memory!["joint.z"]!.shape).toEqual([model.config.width, 4]);
    expect(edit.memory).not.toHaveProperty(`keys.${name.split(".")[1]}`);
  });
});
