/** SatImp: what every method that trains shows; its formula, and that without its powers it is GD. */
import { describe, expect, it } from "vitest";
import { gdLoss } from "../../src/methods/gd.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { satimp, satimpLoss } from "../../src/methods/satimp.ts";
import { conformsByTraining } from "../conformance/unlearn.ts";
import { check, checkSameSlope, logps, mean, nllOf } from "../train/slope.ts";

conformsByTraining(satimp as unknown as AnyMethod, { params: { gamma: 10, saturation: 1 }, alpha: 3 });

describe("satimp", () => {
  const [gamma, alpha] = [0.7, 1.3];

  it("is ascent weighted by saturation and importance: value and gradient, the weight without one", async () => {
    const [saturation, importance] = [0.4, 2];
    await check(satimpLoss({ gamma, alpha, saturation, importance }), ({ now, still }) => {
      const weights = still.forget.flatMap(logps).map((logp) => Math.exp(saturation * logp) * (1 - Math.exp(logp)) ** importance);
      return gamma * mean(now.forget.flatMap(logps).map((logp, i) => weights[i]! * logp)) + alpha * nllOf(now.retain);
    });
  });

  it("with both powers 0 is GD", async () => {
    const [one, other] = await checkSameSlope(satimpLoss({ gamma, alpha, saturation: 0, importance: 0 }), gdLoss({ gamma, alpha }));
    expect(one!["loss"]).toBeCloseTo(other!["loss"]!, 9);
  });
});
