/** GD: what every method that trains shows; its formula, and a retain set of the model's own. */
import { describe, expect, it } from "vitest";
import { gd, gdLoss } from "../../src/methods/gd.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { findEdit } from "../../src/run/edit.ts";
import { bench, BRIEF, conformsByTraining, FORGET, KEEP, reported } from "../conformance/unlearn.ts";
import { check, nllOf } from "../train/slope.ts";

conformsByTraining(gd as unknown as AnyMethod);

describe("gd", () => {
  const own = bench();
  const { ctx, model: loaded } = own;

  it("is ascent beside descent: value and gradient", async () => {
    await check(gdLoss({ gamma: 0.7, alpha: 1.3 }), ({ now }) => -0.7 * nllOf(now.forget) + 1.3 * nllOf(now.retain));
  });

  it("draws another row that stays each time a request is taken", async () => {
    const retain = KEEP.map((qa, i) => ({ ...qa, answer: KEEP[(i + 1) % KEEP.length]!.answer }));
    expect(new Set(await reported(own, "retain", { method: "gd", retain })).size).toBeGreaterThan(2);
    expect(new Set(await reported(own, "forget", { method: "gd", retain })).size).toBe(1);
  });

  it("holds the model's own answers to its own questions where no retain set is given", async () => {
    const edit = await findEdit(await loaded(), FORGET, { method: "gd", params: { ...BRIEF, steps: 1 }, ctx });
    expect(edit.evidence!["retain"]).toBeGreaterThan(16);
    expect((edit.evidence!["last"] as { retain: number }).retain).toBeLessThan(1);
  });
});
