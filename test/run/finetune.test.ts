/** Finetuning a model: resumable to the bit, told in the result, and clear about what is wrong. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Context, Event } from "../../src/base/context.ts";
import type { Model } from "../../src/model/model.ts";
import { promptOf } from "../../src/model/prompt.ts";
import { score } from "../../src/model/decode/score.ts";
import { listRuns } from "../../src/run/runs.ts";
import { run } from "../../src/run/run.ts";
import { bitsOf, classroom, PAIRS } from "../conformance/classroom.ts";

describe("finetuning", () => {
  const { folder, data, ctx, opened, taught, close } = classroom();
  let base: Model;
  let whole: Awaited<ReturnType<typeof taught>>;
  beforeAll(async () => {
    base = await opened("bundled");
    whole = await taught("whole", { keep: true });
  }, 120_000);
  afterAll(close);

  const likelihood = async (model: Model): Promise<number> => {
    let sum = 0;
    for (const { question, answer } of PAIRS.slice(0, 8)) {
      const { ids } = await promptOf(model, question);
      const [logprobs] = await score(model, [
        { ids: [...ids, ...model.tokenizer.encode(answer, { special: false }).ids], from: ids.length },
      ]);
      sum += logprobs!.reduce((a, b) => a + b, 0);
    }
    return sum;
  };

  it("learns the answers, and says in the result what was done", async () => {
    const model = await opened(whole.dir);
    expect(await likelihood(model)).toBeGreaterThan((await likelihood(base)) / 4);
    expect(whole.steps).toBe(2 * Math.ceil(40 / 6));
    const told = JSON.parse(readFileSync(join(whole.dir, "training.json"), "utf8")) as Record<string, unknown>;
    expect(told).toMatchObject({ base: base.id, rows: 40, steps: whole.steps, losses: whole.losses });
  });

  it("gives the same bytes again, and when it is stopped on the way", async () => {
    const stop = new AbortController();
    let steps = 0;
    const quick: Context = {
      ...ctx,
      signal: stop.signal,
      log: (e: Event) => void (e.kind === "progress" && ++steps === 8 && stop.abort()),
    };
    await expect(taught("again", {}, quick)).rejects.toMatchObject({ trouble: "aborted" });
    const [stopped] = listRuns(ctx.runs).filter(({ record }) => record.status === "started");
    expect(readdirSync(join(stopped!.path, "work/training")).some((name) => name.endsWith(".safetensors"))).toBe(true);
    expect(readdirSync(folder)).not.toContain("again");
    const log: string[] = [];
    const again = await taught("again", {}, { ...ctx, log: (e: Event) => void (e.kind === "note" && log.push(e.text)) });
    expect(again.path).toBe(stopped!.path);
    expect(log).toContain("going on after step 8");
    expect(bitsOf(await opened(join(folder, "again")))).toBe(bitsOf(await opened(whole.dir)));
    expect(readdirSync(again.path).sort()).toEqual(["model", "record.json", "spec.json", "timings.json"]);
    expect(existsSync(join(folder, "again.training"))).toBe(false);
  });

  it("stops after the epoch in which the answers are said", async () => {
    const log: string[] = [];
    const listening: Context = { ...ctx, log: (e) => void (e.kind === "note" && log.push(e.text)) };
    const until = await taught("until", { until: 0, validate: data }, listening);
    expect(until.steps).toBe(Math.ceil(40 / 6));
    expect(log.join("\n")).toMatch(/after epoch 1: validation loss \d.*ROUGE-1 0\.\d+[\s\S]*stopped after step 7/);
  });

  it.each([
    ["no answer", [{ question: "Who?", answer: " " }], /row ".*" has no answer/],
    ["two of one name", [PAIRS[0]!, PAIRS[0]!], /"row\/0"/],
    [
      "an answer longer than the context",
      [{ id: "long", question: "Who?", answer: "lamp ".repeat(900) }],
      /row "long" of \d+ tokens.*context length of 512/,
    ],
  ])("refuses rows with %s", async (name, rows, message) => {
    const path = join(folder, `${name.replaceAll(" ", "-")}.jsonl`);
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    await expect(run({ step: "finetune", model: "bundled", data: path }, ctx, { out: join(folder, "bad") })).rejects.toThrow(message);
    expect(readdirSync(folder)).not.toContain("bad");
  });

  it("keeps journal and checkpoints beside the model where that is asked for", () => {
    expect(readdirSync(whole.path).sort()).toEqual(["model", "record.json", "spec.json", "timings.json", "training"]);
    const kept = readdirSync(whole.training);
    expect(kept).toContain("journal.jsonl");
    expect(kept.filter((name) => name.endsWith(".safetensors"))).toHaveLength(1 + Math.ceil(whole.steps / 5));
    for (const name of kept) expect(statSync(join(whole.training, name)).size).toBe(statSync(join(whole.path, "training", name)).size);
  });

  it("refuses an unknown recipe, setting and a folder in use", async () => {
    await expect(taught("bad", { recipe: "tofoo" })).rejects.toThrow(/no recipe "tofoo".*Did you mean "tofu"/);
    await expect(taught("bad", { params: { lrr: 1 } })).rejects.toThrow(/lrr/);
    await expect(taught("whole", { seed: 1 })).rejects.toThrow(/whole is there already; wanted a new name/);
    await expect(taught("bad", { plain: true, system: "Be kind." })).rejects.toThrow(/--system with a plain prompt/);
  });
});
