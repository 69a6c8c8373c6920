/** The memory that forgetting and finetuning ask for, before a weight is read: that of what is to be done. */
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
import { finetuneOn } from "../../src/run/finetune.ts";
import { forget } from "../../src/run/forget.ts";
import { plan } from "../../src/run/plan.ts";
import { trainingFor } from "../../src/run/training.ts";
import { trainingOf } from "../../src/train/recipe.ts";
import { FINETUNE } from "../../src/train/tune.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-forget-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ctx: Context = defaultContext({ cache: join(folder, "cache"), threads: 1 });
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
  needFor(trainingFor(new Array(requests).fill(requestOf(wanted)), { method, params }));

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
    const options = { method: "ga", out: join(folder, "edit"), tokens: 0 };
    const run = (params: Record<string, unknown>, force = false) =>
      forget("bundled", wanted, { ...options, force, params: { steps: 1, ...params } }, small);
    await expect(run({})).rejects.toThrow(REFUSED);
    await expect(run({})).rejects.toMatchObject({ trouble: "memory" });
    await run({ rank: 2 });
    await run({}, true);
    await expect(plan("bundled", wanted, { method: "ga" }, small)).rejects.toThrow(REFUSED);
  });

  it("finetuning asks for its own", async () => {
    const tokens = 64 + Math.ceil((wanted.prompt + wanted.answer).length / 4);
    const factors = await needFor((shape) =>
      trainingOf("finetune", shape, resolveParams("finetune", FINETUNE, { rank: 2 }, shape.config), { units: 1, rows: 1, tokens }),
    );
    const data = join(folder, "facts.jsonl");
    writeFileSync(data, JSON.stringify({ id: "a", question: wanted.prompt, answer: wanted.answer }));
    const small = { ...ctx, memory: String(factors.total) };
    const run = (params: Record<string, unknown>) =>
      finetuneOn("bundled", data, join(folder, "taught"), small, { params: { epochs: 1, ...params } });
    await expect(run({})).rejects.toThrow(REFUSED);
    expect((await run({ rank: 2 })).steps).toBe(1);
  });
});
