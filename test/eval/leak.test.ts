/** What attempts bring back: sweeps worked by hand, and how one attempt is scored. */
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { type AttackedRequest, recallOf, scored, sweep } from "../../src/eval/leak.ts";

describe("sweep", () => {
  const asked = (id: string, recall: number, ...variants: readonly number[]): AttackedRequest => ({
    id,
    prompt: id,
    answer: "",
    said: "",
    recall,
    variants: variants.map((value) => ({ source: "s", question: "", said: "", recall: value })),
  });

  test("worked by hand where all are taken", () => {
    const [none, all] = sweep([asked("a", 0.5, 0, 1, 0.2), asked("b", 0.25), asked("c", 0, 0.5)], [0, 3]);
    expect(none).toMatchObject({ size: 0, mean: 0.25, worst: 0.25, short: 0 });
    expect(all!.mean).toBeCloseTo((0.4 + 0.25 + 0.5) / 3, 12);
    expect(all!.worst).toBeCloseTo((1 + 0.25 + 0.5) / 3, 12);
    // deviations 5/12, -4/12, -1/12 from 7/12: variance 42/144/2
    expect(all!.error).toBeCloseTo(Math.sqrt(42 / 144 / 2 / 3), 12);
    expect(all!.short).toBe(2);
  });

  test("smaller draws are among larger ones, so that the worst never falls; another seed draws others", () => {
    const many = Array.from({ length: 12 }, (_, i) =>
      asked(`${i}`, 0, ...Array.from({ length: 9 }, () => rng(`v${i}`).split(i).uniform() * 0.5), rng(i).uniform()),
    );
    const rows = sweep(many, [1, 2, 4, 8, 10]);
    for (const [i, row] of rows.entries()) if (i > 0) expect(row.worst).toBeGreaterThanOrEqual(rows[i - 1]!.worst);
    expect(sweep(many, [1])).toEqual(rows.slice(0, 1));
    expect(sweep(many, [1], 1)[0]!.mean).not.toBe(rows[0]!.mean);
    expect(sweep([...many].reverse(), [1])[0]!.worst).toBeCloseTo(rows[0]!.worst, 12);
  });

  test("recall is the answer's words that are said", () => {
    expect(recallOf("Jane Austen", "It was Austen.")).toBe(0.5);
  });

  test("ranked attempts keep their order", () => {
    const many = Array.from({ length: 20 }, (_, i) => asked(`${i}`, 0, 1, 0, 0, 0));
    const ranked = many.map((one) => ({ ...one, variants: one.variants.map((variant) => ({ ...variant, order: "ranked" as const })) }));
    expect(sweep(ranked, [1])[0]!.worst).toBe(1);
    expect(sweep(many, [1])[0]!.worst).toBeLessThan(0.7);
  });

  test("of several guesses the best counts, and of what was said all of it", () => {
    const guesses = ["Charlotte", "Jane Austen", "Jane"];
    expect(scored("Jane Austen", { source: "s", order: "ranked", guesses })).toEqual({
      source: "s",
      order: "ranked",
      question: "",
      said: "Jane Austen",
      recall: 1,
    });
    const said = scored("Jane Austen", { source: "s", order: "pool", asked: "q", said: "By Austen.", guesses });
    expect(said).toEqual({ source: "s", question: "q", said: "By Austen.", recall: 0.5 });
  });
});
