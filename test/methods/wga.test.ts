/** WGA: what every method that trains shows; its formula, and that without its weight it is GD. */
import { describe, expect, it } from "vitest";
import { gdLoss } from "../../src/methods/gd.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { wga, wgaLoss } from "../../src/methods/wga.ts";
import { conformsByTraining } from "../conformance/unlearn.ts";
import { check, checkSameSlope, logps, mean, nllOf, type Plain } from "../train/slope.ts";

conformsByTraining(wga as unknown as AnyMethod);

describe("wga", () => {
  const [gamma, alpha, beta] = [0.7, 1.3, 0.4];
  const plain =
    (weighs: "still" | "now"): Plain =>
    ({ now, still }) => {
      const weights = (weighs === "still" ? still : now).forget.flatMap(logps).map((logp) => Math.exp(beta * logp));
      return gamma * mean(now.forget.flatMap(logps).map((logp, i) => weights[i]! * logp)) + alpha * nllOf(now.retain);
    };

  it("is ascent weighted by what is still expected: value and gradient, the weight without one", async () => {
    await check(wgaLoss({ gamma, alpha, beta }), plain("still"));
    await expect(check(wgaLoss({ gamma, alpha, beta }), plain("now"))).rejects.toThrow(/to be less than/);
  });

  it("with β = 0 is GD", async () => {
    const [one, other] = await checkSameSlope(wgaLoss({ gamma, alpha, beta: 0 }), gdLoss({ gamma, alpha }));
    expect(one!["loss"]).toBeCloseTo(other!["loss"]!, 9);
  });
});
