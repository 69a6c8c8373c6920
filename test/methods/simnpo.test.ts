/** SimNPO: what every method that trains shows; its formula, and its margin. */
import { describe, expect, it } from "vitest";
import type { AnyMethod } from "../../src/methods/method.ts";
import { simnpo, simnpoLoss } from "../../src/methods/simnpo.ts";
import { conformsByTraining } from "../conformance/unlearn.ts";
import { check, dot, logpOf, logSigmoid, mean, nllOf, type Plain, slopeOf, withTwo } from "../train/slope.ts";

conformsByTraining(simnpo as unknown as AnyMethod, { params: { gamma: 1 }, alpha: 4 });

describe("simnpo", () => {
  const [gamma, alpha, beta] = [0.7, 1.3, 2.5];
  const plain =
    (delta: number): Plain =>
    ({ now }) => {
      const each = now.forget.map((row) => logSigmoid(beta * (-logpOf(row) / row.labels.length - delta)));
      return ((-2 * gamma) / beta) * mean(each) + alpha * nllOf(now.retain);
    };

  it.each([0, 7.5])("is the preference by length and what stays: value and gradient, with a margin of %d", async (delta) => {
    await check(simnpoLoss({ gamma, alpha, beta, delta }), plain(delta));
  });

  it("pushes the harder the further the margin is away", async () => {
    await withTwo(async (model, other) => {
      const lengths: number[] = [];
      for (const delta of [0, 5, 10]) {
        const { gradient } = await slopeOf(simnpoLoss({ gamma, alpha: 0, beta, delta }), {}, model, other);
        lengths.push(Math.sqrt(dot(gradient, gradient)));
      }
      expect(lengths[1]).toBeGreaterThan(2 * lengths[0]!);
      expect(lengths[2]).toBeGreaterThan(1.01 * lengths[1]!);
    });
  });
});
