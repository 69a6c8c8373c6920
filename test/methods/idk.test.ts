/** IDK: what every method that trains shows; its formula, what its retain rows hold, and its quirk. */
import { describe, expect, it } from "vitest";
import { apply } from "../../src/edit/apply.ts";
import { idk, idkLoss } from "../../src/methods/idk.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { findEdit } from "../../src/run/edit.ts";
import { SAY } from "../conformance/method.ts";
import { bench, BRIEF, conformsByTraining, FORGET, KEEP, lossOf, teachesFreshRefusals } from "../conformance/unlearn.ts";
import { check, logps, mean } from "../train/slope.ts";

conformsByTraining(idk as unknown as AnyMethod);

describe("idk", () => {
  const { ctx, model: loaded } = bench();

  it("is one mean over the labels of targets and of what stays: value and gradient", async () => {
    await check(idkLoss(), ({ now }) => -mean([...now.target, ...now.retain].flatMap(logps)));
  });

  it("holds what is in the retain set better than what is not", async () => {
    const model = await loaded();
    const kept = async (retain: typeof KEEP): Promise<number> =>
      lossOf(
        apply(model, await findEdit(model, FORGET, { method: "idk", say: SAY, retain, params: { ...BRIEF, steps: 10 }, seed: 5, ctx })),
        KEEP,
      );
    expect(await kept(KEEP)).toBeLessThan(0.7 * (await kept([{ id: "other", question: "Who are you?", answer: "A model." }])));
  });

  teachesFreshRefusals("idk");
});
