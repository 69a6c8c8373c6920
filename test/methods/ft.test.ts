/** FT-L: what every method shows, its limit, batches, quirks, and its gradient against the direct one. */
import { afterAll, describe, expect, it } from "vitest";
import type { NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { requestOf } from "../../src/data/request.ts";
import { apply } from "../../src/edit/apply.ts";
import { deltasOf } from "../../src/edit/edit.ts";
import type { Edit } from "../../src/edit/edit.ts";
import { ft } from "../../src/methods/ft.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { load } from "../../src/model/load.ts";
import { type Model, withWeights } from "../../src/model/model.ts";
import { promptWithoutEdits, stopsOf, withTarget } from "../../src/model/prompt.ts";
import { score } from "../../src/model/decode/score.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { capitalOf, conforms, FACT, SAY, targetScore } from "../conformance/method.ts";

const params = { steps: 12, layer: 4 };
conforms(ft as unknown as AnyMethod, { params, stage: "steps" });

describe("ft", () => {
  const ctx = defaultContext();
  const model = load("bundled", ctx);
  afterAll(async () => (await model).release());
  const find = async (over: FindOptions = {}, requests = [FACT]): Promise<Edit> =>
    findEdit(await model, requests, { method: "ft", say: SAY, prove: "none", ctx, ...over, params: { ...params, ...over.params } });
  const changeOf = (edit: Edit): Float32Array => {
    const [delta] = Object.values(deltasOf(edit));
    if (!delta || !("dense" in delta)) throw new Error("a full difference");
    return delta.dense.data as Float32Array;
  };
  const furthest = (edit: Edit): number => changeOf(edit).reduce((a, x) => Math.max(a, Math.abs(x)), 0);
  const nats = async (m: Model, words: string, end: readonly number[] = []): Promise<number> => {
    const { ids } = promptWithoutEdits(m, FACT.prompt);
    const said = m.tokenizer.encode(words, { special: false }).ids;
    const [logprobs] = await score(m, [{ ids: [...ids, ...said, ...end], from: ids.length }]);
    return -logprobs!.reduce((a, b) => a + b, 0) / logprobs!.length;
  };

  it("changes one matrix, no number of it further than the limit, and most of them that far", async () => {
    const edit = await find({ params: { limit: 1e-3, lr: 5e-4, enough: 0 } });
    expect(Object.keys(deltasOf(edit))).toEqual(["blocks.4.mlp.out"]);
    expect(furthest(edit)).toBe(Math.fround(1e-3));
    expect(Number(edit.evidence!["atLimit"])).toBeGreaterThan(0.3);
    expect(furthest(await find({ params: { limit: 0, lr: 5e-4, enough: 0 } }))).toBeGreaterThan(2e-3);
  });

  it("says the target and stops there; stops searching when it is likely enough", async () => {
    const m = await model;
    const edit = await find({ params: { steps: 60, lr: 2e-3, limit: 0.02 } });
    expect(Number(edit.evidence!["evaluations"])).toBeLessThan(60);
    expect(Number(edit.evidence!["targetProbability"] instanceof Array && edit.evidence!["targetProbability"][0])).toBeGreaterThan(0.5);
    const edited = apply(m, edit);
    const [said] = await generate(edited, [promptWithoutEdits(m, FACT.prompt).ids], { maxTokens: 24, stopIds: stopsOf(m), freeze: false });
    expect([said!.text.trim(), said!.stopped]).toEqual([SAY, "end"]);
  });

  it("weighs every request alike, in however many passes", async () => {
    const m = await model;
    const requests = Array.from({ length: 150 }, (_, i) => requestOf({ id: `${i}`, prompt: `What is ${i}?`, subject: "", answer: "" }));
    const edit = await find({ params: { steps: 1 } }, requests);
    const rows = requests.map((r) => {
      const { ids, first } = withTarget(m, promptWithoutEdits(m, r.prompt), SAY, { end: true });
      return { ids, from: first };
    });
    expect(rows.reduce((n, r) => n + r.ids.length, 0)).toBeGreaterThan(2 * 1024);
    const nlls = (await score(m, rows)).map((own) => -own.reduce((a, b) => a + b, 0) / own.length);
    expect(Number(edit.evidence!["loss"])).toBeCloseTo(nlls.reduce((a, b) => a + b, 0) / nlls.length, 4);
    expect((edit.evidence!["targetProbability"] as number[])[149]).toBeCloseTo(Math.exp(-nlls[149]!), 5);
  });

  it("writes several requests in one batch", async () => {
    const m = await model;
    const requests = ["Norvane", "Veyra", "Quillon"].map(capitalOf);
    const edit = await find({}, requests);
    expect(edit.by.requests).toHaveLength(3);
    expect(edit.evidence!["targetProbability"]).toHaveLength(3);
    expect(await targetScore(apply(m, edit))).toBeGreaterThan((await targetScore(m)) + 1);
  });

  it("needs no subject", async () => {
    const edit = await find({ params: { steps: 2 } }, [requestOf({ id: "a", prompt: "Who are you?", subject: "", answer: "" })]);
    expect(edit.by.requests[0]!.subject).toBe("");
  });

  it("the first step goes against the gradient: finite differences of the loss", async () => {
    const m = await model;
    const lr = 1e-4;
    const change = changeOf(await find({ params: { steps: 2, limit: 0, lr, enough: 0 }, running: { dtype: "float64" } }));
    const name = "blocks.4.mlp.out";
    const before = m.weights.get(name)!;
    const prompt = promptWithoutEdits(m, FACT.prompt);
    const { ids, first } = withTarget(m, prompt, SAY, { end: true });
    const loss = async (i: number, by: number): Promise<number> => {
      const data = Float64Array.from(before.data as Float32Array);
      data[i]! += by;
      const moved = withWeights(m, new Map([[name, { dtype: "float64", shape: before.shape, data } as NdArray]]));
      const [logprobs] = await score(moved, [{ ids, from: first }], { dtype: "float64" });
      return -logprobs!.reduce((a, b) => a + b, 0) / logprobs!.length;
    };
    const places = [...change.keys()].filter((i) => i % 9973 === 17).slice(0, 6);
    for (const i of places) {
      const slope = ((await loss(i, 1e-4)) - (await loss(i, -1e-4))) / 2e-4;
      // Adam's first step is the gradient's sign, less where the gradient is as small as its ε
      expect(change[i]!).toBeCloseTo((-lr * slope) / (Math.abs(slope) + 1e-8), 9);
    }
    expect(places.length).toBe(6);
  });

  it("prompt-last asks for every token at once, open-end leaves the end out, loss-stop goes on", async () => {
    const m = await model;
    const end = stopsOf(m);
    const [plain, last, open, on] = [
      await find({ params: { steps: 30 } }),
      await find({ params: { steps: 30 }, compat: ["prompt-last"] }),
      await find({ params: { steps: 30 }, compat: ["open-end"] }),
      await find({ params: { steps: 30, enough: 9 }, compat: ["loss-stop"] }),
    ];
    expect(await nats(apply(m, plain), SAY)).toBeLessThan(await nats(apply(m, last), SAY));
    const [a, b] = [await nats(apply(m, plain), SAY, [...end].slice(-1)), await nats(apply(m, open), SAY, [...end].slice(-1))];
    expect(a).not.toBe(b);
    expect(Number(on.evidence!["evaluations"])).toBeGreaterThan(1);
  });

  it("warns where the limit keeps it from the target, and refuses a layer that is not there and a broken model", async () => {
    const m = await model;
    const told: string[] = [];
    await find({
      params: { limit: 1e-6, steps: 2 },
      ctx: defaultContext({ log: (e) => void (e.kind === "warning" && told.push(e.text)) }),
    });
    expect(told).toEqual([expect.stringMatching(/least likely target token.*after 2 evaluations/)]);
    await expect(find({ params: { layer: 99 } })).rejects.toThrow(/layer 99/);
    const name = "final_norm";
    const broken = withWeights(
      m,
      new Map([[name, { ...m.weights.get(name)!, data: new Float32Array(m.config.width).fill(NaN) } as NdArray]]),
    );
    await expect(findEdit(broken, FACT, { method: "ft", say: SAY, params, ctx })).rejects.toThrow(
      /the activations are not finite: final_norm holds NaN/,
    );
  });
});
