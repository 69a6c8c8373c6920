/** DPO: what every method that trains shows; its formula, and its quirks. */
import { describe, expect, it } from "vitest";
import { dpo, dpoLoss } from "../../src/methods/dpo.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { conformsByTraining, sparesRetain, teachesFreshRefusals } from "../conformance/unlearn.ts";
import { check, logpOf, logSigmoid, mean, nllOf, type Seen } from "../train/slope.ts";

conformsByTraining(dpo as unknown as AnyMethod, { alpha: 20 });

describe("dpo", () => {
  const [gamma, alpha, beta] = [0.7, 1.3, 0.2];
  const preference = ({ now, before }: Seen): number =>
    mean(
      now.target.map((row, r) => {
        const [better, worse] = [logpOf(row) - logpOf(before.target[r]!), logpOf(now.forget[r]!) - logpOf(before.forget[r]!)];
        return logSigmoid(beta * (better - worse));
      }),
    );

  it("is the preference by 2/β and what stays: value and gradient", async () => {
    const formula = dpoLoss({ gamma, alpha, beta }, new Set());
    await check(formula, (seen) => ((-2 * gamma) / beta) * preference(seen) + alpha * nllOf(seen.now.retain));
  });

  it("plain-preference: the mean alone, without 2/β and without rows that stay", async () => {
    const formula = dpoLoss({ gamma, alpha, beta }, new Set(["plain-preference"]));
    expect(formula.roles).toEqual(["forget", "target"]);
    await check(formula, (seen) => -preference(seen));
  });

  teachesFreshRefusals("dpo");
  sparesRetain("dpo", ["plain-preference"]);
});
