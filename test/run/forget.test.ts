/** Forgetting: what is said before and after, and the memory that it and finetuning ask for before a weight is read. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { resolveParams } from "../../src/base/schema.ts";
import { requestOf } from "../../src/data/request.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { resolveModel } from "../../src/hub/hub.ts";
import { identify, type LoadOptions, needOf } from "../../src/model/load.ts";
import type { MemoryNeed } from "../../src/model/memory-estimate.ts";
import { choose } from "../../src/run/choose.ts";
import { plan } from "../../src/run/plan.ts";
import type { NestedSpec } from "../../src/run/fields.ts";
import { run } from "../../src/run/run.ts";
import type { Forgotten } from "../../src/run/steps/forget.ts";
import type { Finetuned } from "../../src/run/steps/finetune.ts";
import { trainingFor } from "../../src/run/training.ts";
import { trainingOf } from "../../src/train/recipe.ts";
import { FINETUNE } from "../../src/train/tune.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-forget-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx: Context = defaultContext({ cache: join(folder, "cache"), runs: join(folder, "runs"), threads: 1 });
const wanted = { prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere" };
const REFUSED = /are needed to train the model.*--set layers=.*--set rank=8/;

const needFor = async (training: LoadOptions["training"]): Promise<MemoryNeed> => {
  const checkpoint = openCheckpoint(await resolveModel("bundled", ctx));
  try {
    return needOf(checkpoint, { purpose: "edit", ...(training && { training }) }, identify(checkpoint, ctx));
  } finally {
    checkpoint.close();
  }
};
const need = (method: string, params: Record<string, unknown> = {}, requests = 1): Promise<MemoryNeed> =>
  needFor(trainingFor(choose(new Array(requests).fill(requestOf(wanted)), { method, params })));

describe("before and after", () => {
  it("a question that cannot be asked has no answer, which the log says; others have theirs", async () => {
    const told: string[] = [];
    const listening: Context = { ...ctx, log: (event) => void (event.kind === "warning" && told.push(event.text)) };
    const one = { step: "forget", model: "bundled", ...wanted, method: "ike", say: "I do not know.", set: { k: 0 } };
    const forget = async (spec: NestedSpec): Promise<Forgotten> => (await run<Forgotten>(spec, listening)).record.result;
    const plain = await forget({ ...one, plain: true, system: "Be kind." });
    expect(plain.shown).toMatchObject([{ before: null, after: null, isGiven: false }]);
    expect(told).toEqual([
      expect.stringMatching(/^2 of 2 questions about the edit could not be asked \(the first: request\/1: ask: --system/),
    ]);
    const chat = await forget(one);
    expect(chat.shown).toMatchObject([{ before: "Sellamere", after: expect.any(String) }]);
    expect(told).toHaveLength(1);
  }, 60_000);
});

describe("memory", () => {
  it("is what is trained, four times, and what the blocks above it compute", async () => {
    const [whole, top, more, most, factors] = [
      await need("ga"),
      await need("ga", { layers: "5", weights: "mlp.out" }),
      await need("ga", { layers: "5", weights: "mlp.out" }, 2),
      await need("ga", { layers: "5", weights: "mlp.out", batch: 2 }, 9),
      await need("ga", { rank: 2, targets: "blocks.5.mlp.out" }),
    ];
    expect(whole).toMatchObject({ purpose: "train", weights: top.weights });
    expect(whole.work).toBeGreaterThan(4 * whole.weights);
    // [192, 640] beside two factors of rank 2
    expect(top.work - factors.work).toBe(4 * 4 * (192 * 640 - 2 * (192 + 640)));
    expect(more.work).toBeGreaterThan(top.work);
    expect(most).toEqual(more);
    expect((await need("gd")).work).toBeGreaterThan(whole.work);
    // a retain set of its own may be longer than what is given
    expect((await need("gd")).work - whole.work).toBeGreaterThan((await need("ceu")).work - whole.work);
    expect((await need("ceu")).work).toBe(whole.work);
    expect((await need("rome")).purpose).toBe("edit");
    await expect(need("ga", { layers: "9" })).rejects.toThrow(/layer 9/);
  });

  it("refuses a training that does not fit and takes the smaller one, or is forced", async () => {
    const small = { ...ctx, memory: String((await need("ga", { rank: 2 })).total) };
    const spec = { step: "forget", model: "bundled", ...wanted, method: "ga", maxTokens: 0 };
    const forget = (set: Record<string, unknown>, force = false) => run({ ...spec, set: { steps: 1, ...set } }, small, { force });
    await expect(forget({})).rejects.toThrow(REFUSED);
    await expect(forget({})).rejects.toMatchObject({ trouble: "memory" });
    await forget({ rank: 2 });
    await forget({}, true);
    await expect(plan(spec, small)).rejects.toThrow(REFUSED);
  });

  it("finetuning asks for its own", async () => {
    const tokens = 64 + Math.ceil((wanted.prompt + wanted.answer).length / 4);
    const factors = await needFor((shape) =>
      trainingOf("finetune", shape, resolveParams("finetune", FINETUNE, { rank: 2 }, shape.config), { units: 1, rows: 1, tokens }),
    );
    const data = join(folder, "facts.jsonl");
    writeFileSync(data, JSON.stringify({ id: "a", question: wanted.prompt, answer: wanted.answer }));
    const small = { ...ctx, memory: String(factors.total) };
    const taught = (set: Record<string, unknown>) =>
      run<Finetuned>({ step: "finetune", model: "bundled", data, set: { epochs: 1, ...set } }, small);
    await expect(taught({})).rejects.toThrow(REFUSED);
    expect((await taught({ rank: 2 })).record.result.steps).toBe(1);
  });
});
