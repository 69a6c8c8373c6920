/** Kept answers: asked once, apart for each state of a model, and none where a question cannot be asked. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { keptAnswers, withAnswers } from "../../src/ask/kept.ts";
import { floats } from "../../src/base/array.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import type { Change, PromptChange } from "../../src/edit/edit.ts";
import { rewriteOf } from "../../src/edit/prompt.ts";
import { load } from "../../src/model/load.ts";
import { type Model, stateOf, withAdapter, withRewrites, withWeights } from "../../src/model/model.ts";
import { trace } from "../../src/tensor/graph.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-kept-answers-"));
const ctx = defaultContext({ cache: folder });
const CAPITALS = ["Norvane", "Ostrel", "Veyra"].map((land) => `What is the capital of ${land}?`);
const WEIGHT = "blocks.1.mlp.out";

/** What only finds what is kept. */
const stopped = (): Context => ({ ...ctx, signal: AbortSignal.abort() });

describe("kept answers", () => {
  const loaded = load("bundled", ctx);
  afterAll(async () => {
    await (await loaded).release();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The model with what an MLP puts out multiplied. */
  function adapted(model: Model, by: number): Model {
    const { width } = model.config;
    const graph = trace((t) => ({
      write: t.input("reads.0", "float32", ["B", "T", width]).mul(t.input("state.by", "float32", [1])),
    }));
    return withAdapter(model, {
      reads: ["blocks.1.mlp_out"],
      writes: "blocks.1.mlp_out",
      route: "every-call",
      state: { by: floats([by], [1]) },
      graph,
    });
  }
  const told = (context: string, over: Partial<PromptChange> = {}): PromptChange => ({
    kind: "prompt" satisfies Change["kind"],
    entries: [{ shown: [], context }],
    frame: "{}",
    encoder: "",
    select: "all",
    ...over,
  });

  test("are asked once, and found by who may not ask", async () => {
    const model = await loaded;
    await expect(keptAnswers(model, CAPITALS, {}, stopped())).rejects.toMatchObject({ trouble: "aborted" });
    const said = await keptAnswers(model, CAPITALS, {}, ctx);
    expect(said.slice(0, 2)).toEqual(["Sellamere", "Brackwater"]);
    expect(await keptAnswers(model, CAPITALS, {}, stopped())).toEqual(said);
    for (const ask of [{ format: "plain" as const }, { system: "Be brief." }])
      await expect(keptAnswers(model, CAPITALS, ask, stopped())).rejects.toMatchObject({ trouble: "aborted" });
    const other = { ...model, id: model.id, chatTemplate: `${model.chatTemplate} ` };
    await expect(keptAnswers(other, CAPITALS, {}, stopped())).rejects.toMatchObject({ trouble: "aborted" });
  });

  test("every edit of a model has a state of its own, whichever kind it is", async () => {
    const model = await loaded;
    const scaled = (by: number): Model => {
      const weight = model.weights.get(WEIGHT)!;
      return withWeights(model, new Map([[WEIGHT, { ...weight, data: (weight.data as Float32Array).map((x) => x * by) }]]));
    };
    const rewritten = (change: PromptChange): Model => withRewrites(model, [rewriteOf(model, change, ctx)]);
    const models = [
      model,
      scaled(0),
      scaled(0.5),
      adapted(model, 0),
      adapted(model, 0.5),
      adapted(adapted(model, 0), 0.5),
      adapted(adapted(model, 0.5), 0),
      rewritten(told("a ")),
      rewritten(told("b ")),
      rewritten(told("a ", { frame: "{}?" })),
      rewritten(told("a ", { entries: [{ shown: [], context: "a ", key: floats([1, 0], [1, 2]), above: 0.5 }] })),
      rewritten(told("a ", { entries: [{ shown: [], context: "a ", key: floats([0, 1], [1, 2]), above: 0.5 }] })),
    ];
    expect(new Set(models.map(stateOf)).size).toBe(models.length);
    expect(stateOf(adapted(model, 0.5))).toBe(stateOf(adapted(model, 0.5)));
  });

  test("an edited model is asked itself, and the unedited one keeps its answers", async () => {
    const model = await loaded;
    const before = await keptAnswers(model, CAPITALS, {}, ctx);
    const louder = adapted(model, 50);
    expect(await keptAnswers(louder, CAPITALS, {}, ctx)).not.toEqual(before);
    const elsewhere = told("", { frame: "{} Who painted The Amber Ferry?" });
    expect(await keptAnswers(withRewrites(model, [rewriteOf(model, elsewhere, ctx)]), CAPITALS, {}, ctx)).not.toEqual(before);
    expect(await keptAnswers(model, CAPITALS, {}, stopped())).toEqual(before);
  });

  test("a question that cannot be asked is named, and nothing is kept for it", async () => {
    const model = await loaded;
    const questions = [CAPITALS[0]!, `Who ${"knows ".repeat(600)}?`];
    for (let time = 0; time < 2; time++)
      await expect(keptAnswers(model, questions, {}, ctx)).rejects.toThrow(/^ask: "Who knows .* …": a prompt of \d+ tokens/);
  });

  test("a run that was stopped goes on behind the last piece that is kept", async () => {
    const model = await loaded;
    const many = Array.from({ length: 70 }, (_, i) => `${CAPITALS[i % 3]!} ${i}`);
    const stop = new AbortController();
    let asked = 0;
    const log: Context["log"] = (event) => {
      if (event.kind === "progress") [asked] = [asked + 1];
      if (event.kind === "progress" && event.done === 64) stop.abort();
    };
    await expect(keptAnswers(model, many, {}, { ...ctx, log, signal: stop.signal })).rejects.toMatchObject({ trouble: "aborted" });
    const dones: number[] = [];
    const whole = await keptAnswers(
      model,
      many,
      {},
      { ...ctx, log: (event) => void (event.kind === "progress" && dones.push(event.done)) },
    );
    expect(whole).toHaveLength(70);
    expect(dones).toEqual([70]);
    expect(asked).toBeGreaterThan(1);
  });

  test("requests without an answer get the model's; an answer that is given stays", async () => {
    const requests = CAPITALS.map((prompt, i) => ({ id: `r${i}`, prompt, answer: i === 1 ? "Rome" : " " }));
    const answered = await withAnswers(await loaded, requests, {}, ctx);
    expect(answered.map(({ id, answer }) => [id, answer]).slice(0, 2)).toEqual([
      ["r0", "Sellamere"],
      ["r1", "Rome"],
    ]);
    expect(answered[2]!.answer).toBe("Anselgate");
  });
});
