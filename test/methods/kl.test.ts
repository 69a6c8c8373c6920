/** KL: what every method that trains shows; its formula, and that it begins as GA. */
import { describe, expect, it } from "vitest";
import { gaLoss } from "../../src/methods/ga.ts";
import { kl, klLoss } from "../../src/methods/kl.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { conformsByTraining } from "../conformance/unlearn.ts";
import { check, checkSameSlope, logSoftmax, mean, nllOf, type Seen, sum } from "../train/slope.ts";

conformsByTraining(kl as unknown as AnyMethod, { alpha: 10 });

describe("kl", () => {
  const weights = { gamma: 0.7, alpha: 1.3 };
  /** Σ p·(log p − log q), the mean over the positions named of each retain row. */
  const divergence = ({ now, before }: Seen, at: (row: Seen["now"]["retain"][number]) => readonly number[]): number =>
    mean(
      now.retain.flatMap((row, r) =>
        at(row).map((i) => {
          const [p, q] = [logSoftmax(before.retain[r]!.logits[i]!), logSoftmax(row.logits[i]!)];
          return sum(p.map((x, v) => Math.exp(x) * (x - q[v]!)));
        }),
      ),
    );

  it("is ascent and the divergence where a label is predicted: value and gradient", async () => {
    await check(
      klLoss(weights, new Set()),
      (seen) => -0.7 * nllOf(seen.now.forget) + 1.3 * divergence(seen, ({ labels }) => labels.map((i) => i - 1)),
    );
  });

  it("all-positions: over every position", async () => {
    await check(
      klLoss(weights, new Set(["all-positions"])),
      (seen) => -0.7 * nllOf(seen.now.forget) + 1.3 * divergence(seen, ({ ids }) => ids.map((_, i) => i)),
      { isEven: true },
    );
  });

  it("begins as GA: against the model itself the divergence is 0 and has no gradient", async () => {
    const [outputs] = await checkSameSlope(klLoss({ gamma: 1, alpha: 5 }, new Set()), gaLoss(), { isSame: true });
    expect(Math.abs(outputs!["retain"]!)).toBeLessThan(1e-12);
  });
});
