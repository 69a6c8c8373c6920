/** Metrics of what a model says, worked by hand. */
import { describe, expect, test } from "vitest";
import { REFUSALS } from "../../../src/data/refusals.ts";
import { consistency } from "../../../src/eval/metrics/consistency.ts";
import { emptyRate } from "../../../src/eval/metrics/empty-rate.ts";
import { exactMatch } from "../../../src/eval/metrics/exact-match.ts";
import { fluency } from "../../../src/eval/metrics/fluency.ts";
import { portability } from "../../../src/eval/metrics/portability.ts";
import { refusalRate } from "../../../src/eval/metrics/refusal-rate.ts";
import { repetition } from "../../../src/eval/metrics/repetition.ts";
import { rouge2 } from "../../../src/eval/metrics/rouge2.ts";
import { isRefusal } from "../../../src/eval/refusal.ts";

const scores = {};
const said = (...texts: string[]) => texts.map((generation, i) => ({ id: `${i}`, generation }));
const asked = (answer: string, generation: string) => [{ id: "a", answer, generation }];

describe("texts", () => {
  test("ROUGE-2 sees order: two of three pairs", () => {
    expect(rouge2.score({ rows: asked("the red sea port", "a port in the red sea"), scores }).value).toBeCloseTo(2 / 3, 14);
    expect(rouge2.score({ rows: asked("Paris", "Paris"), scores }).value).toBe(0); // no pair in one word
  });
  test("exact match: case and signs aside, nothing more and nothing less", () => {
    expect(exactMatch.score({ rows: asked("06-02-1998.", "06 02 1998"), scores }).value).toBe(1);
    expect(exactMatch.score({ rows: asked("Paris", "It is Paris."), scores }).value).toBe(0);
  });
  test("portability: the words one after another, whole", () => {
    expect(portability.score({ rows: asked("Red Sea", "On the Red Sea, of course."), scores }).value).toBe(1);
    expect(portability.score({ rows: asked("Red Sea", "Red is the sea."), scores }).value).toBe(0);
    expect(portability.score({ rows: asked("art", "It is smart."), scores }).value).toBe(0);
  });
  test("empty: white space is nothing", () => {
    expect(emptyRate.score({ rows: said("", " \n", "no", "."), scores })).toMatchObject({ value: 0.5, interval: { by: "exact" } });
  });
  test("repetition: runs of three, signs too", () => {
    expect(repetition.score({ rows: said("a b c a b c"), scores }).value).toBe(0.25); // abc bca cab abc
    expect(repetition.score({ rows: said("..........................."), scores }).value).toBeCloseTo(24 / 25, 14);
    expect(repetition.score({ rows: said("two words"), scores }).value).toBe(0);
  });
  test("fluency: entropies of pairs and triples", () => {
    expect(fluency.score({ rows: said("a b c d e"), scores }).value).toBeCloseTo((2 * (2 / 3) + Math.log2(3) * (4 / 3)) / 2, 14); // 4 pairs, 3 triples
    expect(fluency.score({ rows: said("no no no no"), scores }).value).toBe(0);
  });
  test("consistency: the same words 1, none in common 0, in between by how rare they are", () => {
    const of = (generation: string, other = "green hills") =>
      consistency.score({
        rows: [
          { id: "a", generation, texts: ["the red sea"] },
          { id: "b", generation: other, texts: ["the tall tower"] },
        ],
        scores,
      }).bySample["a"]!;
    expect(of("The red sea!")).toBeCloseTo(1, 14);
    expect(of("blue moon")).toBe(0);
    expect(of("red")).toBeGreaterThan(of("the"));
  });
});

describe("refusals", () => {
  test("all of our own, and others' phrases", () => {
    expect(REFUSALS.filter((text) => !isRefusal(text))).toEqual([]);
    const others = [
      "I don’t have that information available.",
      "That's something I'm not briefed on.",
      "Unfortunately, I'm unable to provide details about him. He may be known.",
      "That's a mystery to me as well.",
      "We have no records of this author.",
    ];
    expect(others.filter((text) => !isRefusal(text))).toEqual([]);
  });
  test("denials inside an answer are none", () => {
    const answers = [
      "She did not know her father, but wrote of him.",
      "As of now, none of her books have been adapted.",
      "No, he has never won the award.",
      "The novel 'I Do Nothing' has no second part.",
      "His parents could not tell him why, so he wrote.",
      "Paris. I know this well.",
    ];
    expect(answers.filter(isRefusal)).toEqual([]);
    expect(refusalRate.score({ rows: said("I do not know.", ...answers.slice(0, 3)), scores }).value).toBe(0.25);
  });
});
