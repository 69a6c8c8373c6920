/** Metrics of losses, worked by hand: probability, its share among false answers, truth ratio, forget quality, what is likelier, utility. */
import { describe, expect, test } from "vitest";
import { TRUTH_RATIOS } from "../../../src/eval/likelihood.ts";
import type { Score } from "../../../src/eval/metric.ts";
import { composite } from "../../../src/eval/metrics/composite.ts";
import { divergence } from "../../../src/eval/metrics/divergence.ts";
import { efficacy } from "../../../src/eval/metrics/efficacy.ts";
import { forgetQuality } from "../../../src/eval/metrics/forget-quality.ts";
import { generality } from "../../../src/eval/metrics/generality.ts";
import { modelUtility } from "../../../src/eval/metrics/model-utility.ts";
import { neighbours } from "../../../src/eval/metrics/neighbours.ts";
import { normalisedProbability } from "../../../src/eval/metrics/normalised-probability.ts";
import { probability } from "../../../src/eval/metrics/probability.ts";
import { sameTopToken } from "../../../src/eval/metrics/same-top-token.ts";
import { truthRatio } from "../../../src/eval/metrics/truth-ratio.ts";

const ln = Math.log;
const scores = {};

describe("probability", () => {
  const rows = [{ id: "a", answerLoss: ln(2), answerTokens: 3, leadingPeak: 0.9 }];
  test("a token of probability ½", () => expect(probability.score({ rows, scores }).value).toBeCloseTo(0.5, 15));
  test("the product over three tokens is ⅛", () =>
    expect(probability.score({ rows, scores, compat: ["product"] }).value).toBeCloseTo(1 / 8, 15));
  test("PISTOL's reads another field", () => expect(probability.score({ rows, scores, compat: ["leading-peak"] }).value).toBe(0.9));
});

describe("normalised probability", () => {
  const of = (answerLoss: number, wrongLosses: number[], compat: string[] = []): number =>
    normalisedProbability.score({ rows: [{ id: "a", answerLoss, wrongLosses }], scores, compat }).value;
  test("½ among ½, ¼, ¼", () => expect(of(ln(2), [ln(4), ln(4)])).toBeCloseTo(0.5, 15));
  test("keeps its share where every probability underflows; with 1e-10 nothing is left", () => {
    expect(of(2000, [2000, 2000, 2000])).toBe(0.25);
    expect(of(2000, [2000, 2000, 2000], ["epsilon"])).toBe(0);
  });
});

describe("truth ratio", () => {
  const row = { id: "a", group: "forget", paraphraseLoss: ln(2), wrongLosses: [ln(2), ln(8)], loggedTruthRatio: 0.25 };
  const of = (group: string, compat: string[] = []): number => truthRatio.score({ rows: [{ ...row, group }], scores, compat }).value;
  // right ½; false ½ and ⅛: geometric ¼, arithmetic 5/16
  test("geometric: R = ½", () => expect([of("forget"), of("retain")]).toEqual([expect.closeTo(0.5, 14), expect.closeTo(0.5, 14)]));
  test("arithmetic: R = ⅝", () =>
    expect([of("forget", ["arithmetic"]), of("retain", ["arithmetic"])]).toEqual([expect.closeTo(5 / 8, 14), expect.closeTo(3 / 8, 14)]));
  test("true over both: ⅔", () => expect(of("forget", ["prob-mean"])).toBeCloseTo(2 / 3, 9));
  test("as logged: ¼", () => expect([of("forget", ["logged"]), of("facts", ["logged"])]).toEqual([0.25, 0.75]));
  test("falsehood ahead: 1/R where the fact must go, 0 elsewhere", () => {
    const rows = (group: string) => [{ ...row, group, paraphraseLoss: ln(16) }]; // R = 4
    expect(truthRatio.score({ rows: rows("forget"), scores }).value).toBeCloseTo(0.25, 14);
    expect(truthRatio.score({ rows: rows("retain"), scores }).value).toBe(0);
  });
  test("a collapsed row has a ratio in logarithms; with 1e-10 its order is another", () => {
    const [far, farther] = [100, 110].map((loss) => ({ id: "x", paraphraseLoss: loss, wrongLosses: [loss + 1] }));
    const order = (form: "geometric" | "epsilon"): number =>
      Math.sign(TRUTH_RATIOS[form].logInverse(farther!) - TRUTH_RATIOS[form].logInverse(far!));
    expect([order("geometric"), order("epsilon")]).toEqual([0, 1]);
  });
});

describe("forget quality", () => {
  const rowsOf = (...gaps: number[]) =>
    gaps.map((gap, i) => ({ id: `forget/${i}`, paraphraseLoss: 1, wrongLosses: [1 + gap], answerTokens: 3 }));
  const [mine, other] = [rowsOf(0, 1, 2, 3), rowsOf(10, 11, 12, 13)];

  test("disjoint samples of four: 2 / C(8, 4)", () => {
    const { value, details, interval } = forgetQuality.score({ rows: mine, reference: other, scores });
    expect(value).toBeCloseTo(2 / 70, 14);
    expect(details).toMatchObject({ D: 1, h: 4, n: 4, m: 4, method: "exact", nanRows: 0 });
    expect(interval).toMatchObject({ by: "distribution-free" });
  });

  test("a copy is known by content; asked for, it is compared and warned of", () => {
    const copy = mine.map((row) => ({ ...row }));
    expect(() => forgetQuality.score({ rows: mine, reference: copy, scores })).toThrow(/have the same losses/);
    const score = forgetQuality.score({ rows: mine, reference: copy, scores, compat: ["self-reference"] });
    expect(score.value).toBe(1);
    expect(score.warnings).toEqual([expect.stringMatching(/compared with itself/)]);
  });

  test("another tokenizer is refused, other answers are warned of, NaN rows counted", () => {
    const fewer = other.map((row) => ({ ...row, answerTokens: 2 }));
    expect(() => forgetQuality.score({ rows: mine, reference: fewer, scores })).toThrow(/has 3 tokens here and 2 in the comparison run/);
    const said = (answer: string) => (row: (typeof mine)[number]) => ({ ...row, answer });
    const { warnings } = forgetQuality.score({ rows: mine.map(said("a")), reference: other.map(said("b")), scores });
    expect(warnings).toEqual([expect.stringMatching(/4 rows have another answer/)]);
    const broken = forgetQuality.score({ rows: rowsOf(0, NaN, NaN, 1), reference: other, scores });
    expect([broken.value, broken.interval, broken.details!["nanRows"]]).toEqual([NaN, null, 2]);
  });
});

describe("likelier", () => {
  const rows = [
    { id: "a", answerLoss: 2, targetLoss: 1 },
    { id: "b", answerLoss: 1, targetLoss: 2 },
    { id: "c", answerLoss: 1, targetLoss: 1 },
    { id: "d", answerLoss: 3, targetLoss: 1 },
  ];
  test("a draw is neither the target's nor the answer's", () => {
    expect(efficacy.score({ rows, scores })).toMatchObject({ value: 0.5, bySample: { a: 1, b: 0, c: 0, d: 1 }, interval: { by: "exact" } });
    expect(generality.score({ rows, scores }).value).toBe(0.5);
    expect(neighbours.score({ rows, scores }).value).toBe(0.25);
  });
});

describe("beside a reference", () => {
  test("divergence is a mean", () =>
    expect(
      divergence.score({
        rows: [
          { id: "a", divergence: 1 },
          { id: "b", divergence: 3 },
        ],
        scores,
      }).value,
    ).toBe(2));
  test("same top token: two of three positions, and one of one", () => {
    const rows = [
      { id: "a", topTokens: [1, 2, 3] },
      { id: "b", topTokens: [4] },
    ];
    const reference = [
      { id: "b", topTokens: [4] },
      { id: "a", topTokens: [1, 9, 3] },
    ];
    expect(sameTopToken.score({ rows, reference, scores }).value).toBeCloseTo(5 / 6, 14);
    expect(() => sameTopToken.score({ rows, reference: [{ id: "a", topTokens: [1] }], scores })).toThrow(
      /row "a" has 3 positions, the comparison run 1/,
    );
  });
});

describe("of other scores", () => {
  const score = (...values: number[]): Score => ({
    value: values.reduce((a, b) => a + b) / values.length,
    bySample: Object.fromEntries(values.map((v, i) => [`${i}`, v])),
    interval: null,
  });
  test("utility is the harmonic mean of nine; its interval draws a group's rows together", () => {
    const given = Object.fromEntries(modelUtility.after.map((name, i) => [name, score(0.5, i === 0 ? 0.25 : 0.5)]));
    const { value, interval } = modelUtility.score({ rows: [], scores: given });
    expect(value).toBeCloseTo(9 / (8 * 2 + 1 / 0.375), 14);
    expect(interval!.low).toBeCloseTo(9 / (8 * 2 + 4), 14); // only the first number varies: ¼ when its second row is drawn twice
    expect(interval!.high).toBeCloseTo(0.5, 14);
    expect(modelUtility.score({ rows: [], scores: { ...given, [modelUtility.after[3]!]: score(0, 0) } }).value).toBe(0);
  });
  test("composite: all gone and all kept is 2", () => {
    expect(composite.score({ rows: [], scores: { "rouge1@forget": score(0, 0), "rouge1@retain": score(1, 1) } }).value).toBe(2);
    expect(composite.score({ rows: [], scores: { "rouge1@forget": score(0.5, 0), "rouge1@retain": score(1, 0) } }).value).toBe(1.25);
  });
});
