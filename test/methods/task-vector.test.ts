/** Task vectors: what every method that trains shows; finetuning turned round, and its scale. */
import { describe, expect, it } from "vitest";
import { resolveParams } from "../../src/base/schema.ts";
import { deltasOf } from "../../src/edit/edit.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { taskLoss, taskVector } from "../../src/methods/task-vector.ts";
import { findEdit } from "../../src/run/edit.ts";
import { labelled } from "../../src/train/batches.ts";
import { train, type Trained } from "../../src/train/loop.ts";
import { bench, BRIEF, conformsByTraining, FORGET } from "../conformance/unlearn.ts";
import { check, nllOf } from "../train/slope.ts";
import { chat } from "../train/tiny.ts";

conformsByTraining(taskVector as unknown as AnyMethod);

describe("task-vector", () => {
  const { ctx, model: loaded } = bench();
  const changes = async (scale: number): Promise<Record<string, Float32Array>> => {
    const edit = await findEdit(await loaded(), FORGET, { method: "task-vector", params: { ...BRIEF, scale }, seed: 3, ctx });
    return Object.fromEntries(
      Object.entries(deltasOf(edit)).map(([name, delta]) => {
        if (!("dense" in delta)) throw new Error("a full difference");
        return [name, delta.dense.data as Float32Array];
      }),
    );
  };

  it("learns the answers to forget: value and gradient", async () => {
    await check(taskLoss(), ({ now }) => nllOf(now.forget));
  });

  it("takes away what finetuning on the same rows would add; as many times as its scale says", async () => {
    const model = await loaded();
    const rows = FORGET.map(({ id, prompt, answer }) => labelled(model, chat(id, prompt, answer)));
    const { decay, clip } = resolveParams("task-vector", taskVector.params, {}, model.config);
    const events = train(
      model,
      rows,
      {
        steps: BRIEF.steps,
        batch: BRIEF.batch,
        budget: 4096,
        together: 1,
        seed: 3,
        executor: "graph",
        clip,
        optimizer: { name: "adamw", betas: [0.9, 0.999], eps: 1e-8, decay },
        schedule: { lr: BRIEF.lr, warmup: 0, shape: "constant", floor: 0 },
        only: ["blocks.4.mlp.out", "blocks.5.mlp.out"],
      },
      ctx,
    );
    let learnt: Trained | undefined;
    while (!learnt) {
      const { value, done } = await events.next();
      if (done) learnt = value;
    }
    const [once, twice] = [await changes(1), await changes(2)];
    expect(Object.keys(once)).toEqual([...learnt.weights.keys()]);
    for (const [name, after] of learnt.weights) {
      const before = model.weights.get(name)!;
      const added = (after.data as Float32Array).map((x, i) => x - Number(before.data[i]));
      const size = Math.hypot(...added);
      expect(size).toBeGreaterThan(0.1);
      expect(Math.hypot(...once[name]!.map((x, i) => x + added[i]!))).toBeLessThan(1e-3 * size);
      expect(Math.hypot(...twice[name]!.map((x, i) => x - 2 * once[name]![i]!))).toBeLessThan(1e-6 * size);
    }
  });

  it("with a scale of 0 changes nothing", async () => expect(await changes(0)).toEqual({}));
});
