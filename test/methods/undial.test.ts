/** UNDIAL: what every method that trains shows; its formula, and its quirk. */
import { describe, expect, it } from "vitest";
import type { AnyMethod } from "../../src/methods/method.ts";
import { undial, undialLoss } from "../../src/methods/undial.ts";
import { conformsByTraining, sparesRetain } from "../conformance/unlearn.ts";
import { check, logSoftmax, mean, nllOf, type Said, type Seen, softmax, sum } from "../train/slope.ts";

conformsByTraining(undial as unknown as AnyMethod, {
  alpha: 20,
});

describe("undial", () => {
  sparesRetain("undial");

  const [gamma, beta] = [0.7, 4];
  /** Cross-entropy to the reference with one word lowered, over the positions named: each with the word. */
  const taught = ({ now, before }: Seen, at: (row: Said) => readonly (readonly [position: number, word: number])[]): number =>
    mean(
      now.forget.flatMap((row, r) =>
        at(row).map(([i, word]) => {
          const wanted = softmax(before.forget[r]!.logits[i]!.map((x, v) => (v === word ? x - beta : x)));
          const said = logSoftmax(row.logits[i]!);
          return -sum(wanted.map((p, v) => p * said[v]!));
        }),
      ),
    );
  const labelled = ({ ids, labels }: Said): [number, number][] => labels.map((i) => [i - 1, ids[i]!]);

  it.each([0, 1.3])("teaches its own distribution without the old words: value and gradient, α = %d", async (alpha) => {
    const formula = undialLoss({ gamma, alpha, beta }, new Set());
    expect(formula.roles).toEqual(alpha > 0 ? ["forget", "retain"] : ["forget"]);
    await check(formula, (seen) => gamma * taught(seen, labelled) + (alpha > 0 ? alpha * nllOf(seen.now.retain) : 0));
  });

  it("every-position: questions too, where the hundredth word from the end is lowered", async () => {
    await check(
      undialLoss({ gamma, alpha: 0, beta }, new Set(["every-position"])),
      (seen) =>
        gamma *
        taught(seen, ({ ids, labels, logits }) =>
          ids.slice(1).map((id, i) => [i, labels.includes(i + 1) ? id : logits[0]!.length - 100] as const),
        ),
      { isEven: true },
    );
  });
});
