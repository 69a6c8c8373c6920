/** Metrics refuse rows they cannot judge, and keep what each sample contributed. */
import * as vitest from "vitest";
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { averaged, defineMetric } from "../../src/eval/metric.ts";
import { registry } from "../../src/eval/metrics/registry.ts";
import { metricConforms } from "../../src/testing/metric.ts";

for (const metric of Object.values(registry)) metricConforms(metric, {}, vitest);

describe("metrics", () => {
  test.each(Object.entries(registry))("%s is registered under its own name", (name, metric) => {
    expect(metric.name).toBe(name);
  });

  test("value is the mean of the samples", () => {
    const rows = [
      { id: "a", answer: "Ilse Maren", generation: "It was Ilse." },
      { id: "b", answer: "Canberra", generation: "Canberra" },
    ];
    expect(registry.rouge1.score({ rows, scores: {} })).toMatchObject({ value: 0.75, bySample: { a: 0.5, b: 1 } });
  });

  test("two samples of one id are refused", () => {
    expect(() => averaged("m", [{ id: "a" }, { id: "a" }], () => 1, rng(0))).toThrow(/two samples have the id "a"/);
  });

  test("a metric that comes after another one demands its score", () => {
    const late = defineMetric({
      name: "late",
      doc: "comes after another",
      better: "higher",
      caveat: "It says nothing of its own.",
      reads: [],
      after: ["rouge1"],
      score: ({ scores }) => scores["rouge1"]!,
    });
    expect(() => late.score({ rows: [], scores: {} })).toThrow(/the score "rouge1" is not there/);
    const score = { value: 1, bySample: {}, interval: null };
    expect(late.score({ rows: [], scores: { rouge1: score } })).toBe(score);
  });
});
