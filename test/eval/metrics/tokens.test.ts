/** Metrics of tokens, worked by hand: ranks, what can be extracted, and what gives learnt rows away. */
import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { exactMemorisation } from "../../../src/eval/metrics/exact-memorisation.ts";
import { extractionStrength } from "../../../src/eval/metrics/extraction-strength.ts";
import { hitRatio } from "../../../src/eval/metrics/hit-ratio.ts";
import { membershipGradient } from "../../../src/eval/metrics/membership-gradient.ts";
import { membershipLoss } from "../../../src/eval/metrics/membership-loss.ts";
import { membershipMinKPlus } from "../../../src/eval/metrics/membership-min-k-plus.ts";
import { membershipMinK } from "../../../src/eval/metrics/membership-min-k.ts";
import { membershipReference } from "../../../src/eval/metrics/membership-reference.ts";
import { membershipZlib } from "../../../src/eval/metrics/membership-zlib.ts";
import { mrr } from "../../../src/eval/metrics/mrr.ts";
import { privacyLeakage } from "../../../src/eval/metrics/privacy-leakage.ts";

const scores = {};

describe("ranks", () => {
  const rows = [
    { id: "a", answerRanks: [1, 2], generationRanks: [4, 101] },
    { id: "b", answerRanks: [200], generationRanks: [2] },
  ];
  test("mean over tokens, then over rows", () => {
    expect(mrr.score({ rows, scores })).toMatchObject({ value: (0.75 + 1 / 200) / 2, bySample: { a: 0.75, b: 1 / 200 } });
    expect(hitRatio.score({ rows, scores }).value).toBe(0.5);
  });
  test("PISTOL's ranks are others, and its batches count again", () => {
    expect(mrr.score({ rows, scores, compat: ["generated-ranks"] }).value).toBe(((1 / 4 + 1 / 101) / 2 + 1 / 2) / 2);
    const twenty = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, answerRanks: [i < 16 ? 1 : 2] }));
    expect(mrr.score({ rows: twenty, scores }).value).toBe((16 + 2) / 20);
    expect(mrr.score({ rows: twenty, scores, compat: ["counted-again"] }).value).toBe((32 + 2) / 36); // the first sixteen twice
  });
  test("a row without a token is refused", () => {
    expect(() => mrr.score({ rows: [{ id: "a", answerRanks: [] }], scores })).toThrow(/sample "a" has no ranked token/);
    expect(() => hitRatio.score({ rows: [{ id: "a", answerRanks: [1] }], scores, compat: ["generated-ranks"] })).toThrow(/no ranked token/);
  });
  test("what can be extracted, from where all that follows is likeliest", () => {
    const strength = (answerRanks: number[], compat: string[] = []): number =>
      extractionStrength.score({ rows: [{ id: "a", answerRanks }], scores, compat }).value;
    expect([strength([5, 2, 1, 1]), strength([1, 1]), strength([1, 1, 2])]).toEqual([0.5, 1, 0]);
    expect([strength([1, 1, 2], ["floor"]), strength([1, 2, 1], ["floor"])]).toEqual([
      expect.closeTo(1 / 3, 14),
      expect.closeTo(1 / 3, 14),
    ]);
    expect(exactMemorisation.score({ rows: [{ id: "a", answerRanks: [1, 2, 1, 3] }], scores }).value).toBe(0.5);
    expect(() => exactMemorisation.score({ rows: [{ id: "a", answerRanks: [] }], scores })).toThrow(/no ranked token/);
  });
});

describe("membership", () => {
  const text = "It was painted by Ilse Maren in the year that the ferry first crossed.";
  const row = (id: string, group: string, loss: number) => ({
    id,
    group,
    answer: text,
    answerLoss: loss,
    gradientNorm: loss,
    answerLogprobs: [-loss, -0.1, -0.1, -0.1, -50], // the last is the end token's, which nobody counts
    answerRanks: [1, 1, 1, 1],
    logprobMeans: [-1, -1, -1, -1, -1],
    logprobVariances: [1, 1, 1, 1, 1],
  });
  const rows = [row("f1", "forget", 1), row("f2", "forget", 3), row("h1", "holdout", 2), row("h2", "holdout", 4)];

  test.each([membershipLoss, membershipZlib, membershipMinK, membershipMinKPlus, membershipGradient])(
    "$name: three pairs of four are told apart",
    (metric) => {
      expect(metric.score({ rows, scores }).value).toBe(0.75);
      expect(() => metric.score({ rows: rows.slice(0, 2), scores })).toThrow(/2 forget rows and 0 unseen rows/);
    },
  );
  test("scores by hand", () => {
    expect(membershipZlib.score({ rows, scores }).bySample["f2"]).toBe(3 / deflateSync(text).length);
    expect(membershipMinK.score({ rows, scores }).bySample["f2"]).toBe(3); // 40 % of four tokens: one
    expect(membershipMinKPlus.score({ rows, scores }).bySample["f2"]).toBe(2); // (−3 + 1) / 1
    const calm = rows.map((r) => ({ ...r, logprobVariances: [0, 1, 1, 1, 1] }));
    expect(membershipMinKPlus.score({ rows: calm, scores }).bySample["f2"]).toBeCloseTo(2000, 8); // never over less than √1e-6
  });
  test("beside a reference, what is hard for both is no sign", () => {
    const reference = [row("f1", "forget", 1), row("f2", "forget", 3), row("h1", "holdout", 1), row("h2", "holdout", 3)];
    expect(membershipReference.score({ rows, reference, scores }).value).toBe(1);
    expect(() => membershipReference.score({ rows, reference: reference.slice(1), scores })).toThrow(/no row "f1"/);
  });
  test("leakage: −50 % with an area of ¾ against a half; from a reference, against its area", () => {
    const alone = privacyLeakage.score({ rows, scores });
    expect(alone.value).toBe(-50);
    expect(alone.warnings).toEqual([expect.stringMatching(/AUC of 0.5 is used instead/)]);
    const reference = [row("f1", "forget", 4), row("f2", "forget", 1), row("h1", "holdout", 2), row("h2", "holdout", 3)];
    expect(privacyLeakage.score({ rows, reference, scores }).value).toBe(-50);
    const reversed = rows.map((r) => ({ ...r, group: r.group === "forget" ? "holdout" : "forget" }));
    expect(privacyLeakage.score({ rows: reversed, reference, scores })).toMatchObject({
      value: 50,
      details: { auc: 0.25, referenceAuc: 0.5 },
    });
  });
});
