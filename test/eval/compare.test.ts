/** Two runs over the same rows, worked by hand. */
import { describe, expect, test } from "vitest";
import { differencesOf, flipsOf, pairsOf } from "../../src/eval/compare.ts";
import type { SampleRecord } from "../../src/eval/metric.ts";

const row = (i: number, generation: string, answerLoss: number): SampleRecord => ({
  id: `forget/${i}`,
  group: "forget",
  answer: "Ilse Maren",
  generation,
  answerLoss,
});
const COLUMNS = [
  { title: "ROUGE", metric: "rougel", group: "forget" },
  { title: "Prob.", metric: "probability", group: "forget" },
  { title: "Empty", metric: "empty-rate", group: "retain" },
] as const;

describe("compare", () => {
  const a = Array.from({ length: 12 }, (_, i) => row(i, "Ilse Maren", Math.log(4)));
  const b = Array.from({ length: 12 }, (_, i) => row(i, i < 10 ? "I do not know." : "Ilse Maren", Math.log(4)));

  test("what differs is told from what does not; the correction counts the columns that have rows", () => {
    const [rouge, prob, ...rest] = differencesOf(pairsOf(a, b), COLUMNS);
    expect(rest).toEqual([]);
    expect(rouge).toMatchObject({ a: 1, b: expect.closeTo(1 / 6, 12), difference: expect.closeTo(-5 / 6, 12), rows: 12 });
    expect(rouge!.corrected).toBe(2 * rouge!.p);
    expect(rouge!.corrected).toBeLessThan(0.05);
    expect(prob).toMatchObject({ difference: 0, p: 1, corrected: 1 });
  });

  test("rows of one side only are left out, and so are rows without a number", () => {
    const [, prob] = differencesOf(pairsOf([...a, row(99, "", 1)], [...b.slice(0, 11), row(11, "", NaN)]), COLUMNS);
    expect(prob!.rows).toBe(11);
    expect(() => pairsOf(a, [{ id: "other" }])).toThrow(/the 12 rows of one and the 1 rows of the other have no id in common/);
  });

  test("flips by surprise: what was sure and is lost, and what was unlikely and is gained, before the rest", () => {
    const before = [row(0, "Ilse Maren", Math.log(4 / 3)), row(1, "no", Math.log(16)), row(2, "Ilse Maren", Math.log(2)), row(3, "no", 0)];
    const after = [row(0, "no", 9), row(1, "Ilse Maren", 9), row(2, "", 9), row(3, "no", 9)];
    expect(flipsOf(pairsOf(before, after)).map(({ id, kind, surprise }) => [id, kind, surprise])).toEqual([
      ["forget/1", "gained", expect.closeTo(4, 9)],
      ["forget/0", "lost", expect.closeTo(2, 9)],
      ["forget/2", "lost", expect.closeTo(1, 9)],
    ]);
  });
});
