/** Metrics refuse rows they cannot judge, and keep what each sample contributed. */
import { describe, expect, test } from "vitest";
import { averaged, defineMetric } from "../../src/eval/metric.ts";
import { registry } from "../../src/eval/metrics/registry.ts";

describe("metrics", () => {
  test.each(Object.entries(registry))("%s is registered under its own name and reads what it says", (name, metric) => {
    expect(metric.name).toBe(name);
    const missing = `sample "a" has no field "${metric.reads[0]}"`;
    expect(() => metric.score({ rows: [{ id: "a", question: "Who?" }], scores: {} })).toThrow(missing);
    expect(() => metric.score({ rows: [], scores: {} })).toThrow(/no samples/);
  });

  test("value is the mean of the samples", () => {
    const rows = [
      { id: "a", answer: "Ilse Maren", generation: "It was Ilse." },
      { id: "b", answer: "Canberra", generation: "Canberra" },
    ];
    expect(registry.rouge1.score({ rows, scores: {} })).toEqual({ value: 0.75, bySample: { a: 0.5, b: 1 } });
  });

  test("two samples of one id are refused", () => {
    expect(() => averaged("m", [{ id: "a" }, { id: "a" }], () => 1)).toThrow(/two samples have the id "a"/);
  });

  test("a metric that comes after another one demands its score", () => {
    const late = defineMetric({
      name: "late",
      doc: "",
      better: "higher",
      reads: [],
      after: ["rouge1"],
      score: ({ scores }) => scores["rouge1"]!,
    });
    expect(() => late.score({ rows: [], scores: {} })).toThrow(/the score "rouge1" is not there/);
    const score = { value: 1, bySample: {} };
    expect(late.score({ rows: [], scores: { rouge1: score } })).toBe(score);
  });
});
