/** PDU: what every method that trains shows; its formula, and the weight that adjusts itself. */
import { describe, expect, it } from "vitest";
import type { AnyMethod } from "../../src/methods/method.ts";
import { pdu, pduLoss } from "../../src/methods/pdu.ts";
import { findEdit } from "../../src/run/edit.ts";
import { bench, BRIEF, conformsByTraining, FORGET, KEEP, LONGER, lossesOf } from "../conformance/unlearn.ts";
import { check, mean, nllOf } from "../train/slope.ts";

// the weight moves from the first step, so that a run that goes on without it ends elsewhere
conformsByTraining(pdu as unknown as AnyMethod, {
  params: { gamma: 0.1, dualWarmup: 0, dualStep: 5 },
  alone: { alpha: 0 },
  // what is pushed stands at the answer's words, so that of one word only the end is forgotten
  request: LONGER,
  alpha: 20,
});

describe("pdu", () => {
  const { ctx, model: loaded } = bench();
  const own = { gamma: 0.7, alpha: 1.3, bound: 0.4, dualStep: 2, dualWarmup: 0.5, steps: 4 };

  it("is the logits' height and what stays above its bound: value and gradient at a weight of its own", async () => {
    const weight = 2.5;
    await check(
      pduLoss(own),
      ({ now }) => {
        const heights = now.forget.flatMap(({ labels, logits }) =>
          labels.map((i) => (Math.max(...logits[i]!) - mean(Array.from(logits[i]!))) ** 2),
        );
        return 0.7 * mean(heights) + weight * (nllOf(now.retain) - 0.4);
      },
      { state: [weight] },
    );
  });

  it("the weight begins as α, stands through its warm-up, rises above the bound, falls below it, never under 0", () => {
    const { start, next } = pduLoss(own).state!;
    const after = (weight: number, step: number, retain: number): number => next([weight], { step, outputs: { retain } })[0]!;
    expect(start).toEqual([1.3]);
    expect([after(1.3, 1, 5), after(1.3, 2, 5)]).toEqual([1.3, 1.3]);
    expect(after(1.3, 3, 0.9)).toBeCloseTo(1.3 + 2 * 0.5, 12);
    expect(after(1.3, 3, 0.3)).toBeCloseTo(1.3 - 2 * 0.1, 12);
    expect(after(0.1, 3, 0)).toBe(0);
    expect(after(0, 4, 0.9)).toBeCloseTo(1, 12);
  });

  it("the training's weight is what its losses say", async () => {
    const params = { ...BRIEF, bound: 0, dualStep: 3, dualWarmup: 0, alpha: 1 };
    const find = async (steps: number) =>
      findEdit(await loaded(), FORGET, { method: "pdu", retain: KEEP, params: { ...params, steps }, seed: 3, ctx });
    let weight = 1;
    for (const steps of [1, 2, 3, 4]) {
      const edit = await find(steps);
      const { loss, flat, retain } = edit.evidence!["last"] as Record<"loss" | "flat" | "retain", number>;
      expect(loss).toBeCloseTo(flat + weight * retain, 3);
      expect(lossesOf(edit)).toHaveLength(steps);
      weight += 3 * retain;
    }
    expect(weight).toBeGreaterThan(2);
  });
});
