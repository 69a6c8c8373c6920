/** NPO: what every method that trains shows; its formula, and that it begins as GA. */
import { describe, expect, it } from "vitest";
import { gaLoss } from "../../src/methods/ga.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { npo, npoLoss } from "../../src/methods/npo.ts";
import { conformsByTraining } from "../conformance/unlearn.ts";
import { check, checkSameSlope, logpOf, logSigmoid, mean, nllOf, tinyUnits, withTwo } from "../train/slope.ts";

conformsByTraining(npo as unknown as AnyMethod, { alpha: 20 });

describe("npo", () => {
  it("is the negative preference by 2/β and what stays: value and gradient", async () => {
    const [gamma, alpha, beta] = [0.7, 1.3, 0.2];
    await check(npoLoss({ gamma, alpha, beta }), ({ now, before }) => {
      const each = now.forget.map((row, r) => logSigmoid(-beta * (logpOf(row) - logpOf(before.forget[r]!))));
      return ((-2 * gamma) / beta) * mean(each) + alpha * nllOf(now.retain);
    });
  });

  it("begins as GA of whole answers: its gradient is GA's by labels a row, whatever β is", async () => {
    const labels = await withTwo(async (model) => mean(tinyUnits(model).map(({ forget }) => forget.labels.length)));
    for (const beta of [0.1, 3]) {
      const [outputs] = await checkSameSlope(npoLoss({ gamma: 1, alpha: 0, beta }), gaLoss(), { isSame: true, scale: labels });
      expect(outputs!["loss"]).toBeCloseTo((2 / beta) * Math.LN2, 9);
    }
  });
});
