/** GA: what every method that trains shows; its formula, answers that are asked for, pads, and runs that were stopped. */
import { describe, expect, it } from "vitest";
import { resolveParams } from "../../src/base/schema.ts";
import { requestOf } from "../../src/data/request.ts";
import { ga, gaLoss } from "../../src/methods/ga.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { findEdit } from "../../src/run/edit.ts";
import { differentiated } from "../../src/train/gradient.ts";
import { objectiveOf } from "../../src/train/parts.ts";
import { weightsOf } from "../../src/train/trainable.ts";
import { bytesOf } from "../conformance/method.ts";
import { bench, BRIEF, conformsByTraining, FORGET, lossesOf } from "../conformance/unlearn.ts";
import { check, nllOf, tinyUnits, withTwo } from "../train/slope.ts";

conformsByTraining(ga as unknown as AnyMethod);

describe("ga", () => {
  const { ctx, model: loaded } = bench();
  const options = { method: "ga", params: BRIEF, seed: 3, ctx };

  it("is the loss of the answers to forget, turned round: value and gradient", async () => {
    await check(gaLoss(), ({ now }) => -nllOf(now.forget));
  });

  it("asks the model for answers that nobody gave, and refuses one that says nothing", async () => {
    const model = await loaded();
    const unsaid = FORGET.map((request) => ({ ...request, answer: "" }));
    expect(bytesOf(await findEdit(model, unsaid, options))).toBe(bytesOf(await findEdit(model, FORGET, options)));
    const silent = { ...requestOf({ id: "silent", prompt: "Hello!" }), target: null };
    const job = {
      model,
      requests: [silent],
      retain: [],
      demonstrations: [],
      compat: new Set<string>(),
      format: "chat" as const,
      seed: 0,
      ctx,
    };
    const params = resolveParams("ga", ga.params, BRIEF, model.config);
    await expect(ga.edit({ ...job, params, running: { dtype: "float32", executor: "graph" } })).rejects.toThrow(
      /request silent has no answer/,
    );
  });

  it("a run that was stopped stands in no other's way: not upon another edit, not for other answers", async () => {
    const model = await loaded();
    const under = await findEdit(model, FORGET.slice(2), { ...options, params: { ...BRIEF, steps: 1 } });
    const stop = new AbortController();
    const stopping = { ...ctx, signal: stop.signal, log: () => stop.abort() };
    await expect(findEdit(model, FORGET, { ...options, ctx: stopping })).rejects.toMatchObject({ trouble: "aborted" });
    expect((await findEdit(model, FORGET, { ...options, upon: [under] })).on).toEqual([under.id]);
    const [first, ...others] = FORGET;
    expect(lossesOf(await findEdit(model, [{ ...first!, answer: "Hollin Cross" }, ...others], options))[0]).toBeLessThan(-0.1);
  });

  it("epochs are steps: each request once an epoch, in batches of which the last may be smaller; alone, a request is an epoch", async () => {
    const model = await loaded();
    const { steps: _, ...brief } = BRIEF;
    const batch = FORGET.length - 1;
    const byEpochs = await findEdit(model, FORGET, { ...options, params: { ...brief, batch, epochs: 2 } });
    const bySteps = await findEdit(model, FORGET, { ...options, params: { ...brief, batch, steps: 4 } });
    expect(bytesOf(byEpochs)).toBe(bytesOf(bySteps));
    expect(lossesOf(await findEdit(model, FORGET.slice(0, 1), { ...options, params: { ...brief, batch, epochs: 3 } }))).toHaveLength(3);
    await expect(findEdit(model, FORGET, { ...options, params: { ...brief, epochs: 2, steps: 4 } })).rejects.toThrow(
      /ga: epochs and steps are both given; wanted one of them/,
    );
  });

  it("still-pad: no gradient reaches the pad's embedding through words that are read, and nothing else changes", async () => {
    await withTwo(async (model) => {
      const pad = model.tokenizer.pad;
      const units = tinyUnits(model).map(({ forget }) => ({ forget: { ...forget, ids: forget.ids.map((id, i) => (i === 1 ? pad : id)) } }));
      const slope = async (stillPad: boolean): Promise<Map<string, Float32Array>> => {
        const objective = objectiveOf({ ...gaLoss(), like: { stillPad } });
        const { run } = differentiated(model, {
          objective,
          trainable: weightsOf(model, ["embed", "blocks.0.attn.q"]),
          dtype: "float32",
          executor: "graph",
        });
        const { gradients } = await run({ rows: units, step: units }, model.weights);
        return new Map([...gradients].map(([name, g]) => [name, g.data as Float32Array]));
      };
      const [moving, still] = [await slope(false), await slope(true)];
      const D = model.config.width;
      const off = Array.from(moving.get("embed")!).flatMap((x, i) =>
        Math.abs(x - still.get("embed")![i]!) > 1e-6 ? [Math.floor(i / D)] : [],
      );
      expect([...new Set(off)]).toEqual([pad]);
      expect(still.get("blocks.0.attn.q")).toEqual(moving.get("blocks.0.attn.q"));
    });
  });
});
