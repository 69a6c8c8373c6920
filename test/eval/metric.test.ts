/** Metrics refuse rows they cannot judge, and keep what each sample contributed. */
import { describe, expect, test } from "vitest";
import { rng } from "../../src/base/rng.ts";
import { averaged, defineMetric } from "../../src/eval/metric.ts";
import { registry } from "../../src/eval/metrics/registry.ts";

describe("metrics", () => {
  test.each(Object.entries(registry))("%s is registered under its own name and reads what it says", (name, metric) => {
    expect(metric.name).toBe(name);
    expect(metric.caveat, "a caveat is one sentence").toMatch(/^[^.!?]+(?:\d\.\d[^.!?]*)*\.$/);
    const scores = Object.fromEntries(metric.after.map((other) => [other, { value: 1, bySample: {}, interval: null }]));
    const missing = `sample "a" has no field "${metric.reads[0]}"`;
    if (metric.reads.length > 0) {
      expect(() => metric.score({ rows: [{ id: "a" }], reference: [], scores })).toThrow(missing);
      if (metric.compares) expect(() => metric.score({ rows: [], reference: [{ id: "a" }], scores })).toThrow(missing);
    }
    for (const other of metric.after) {
      const { [other]: _, ...rest } = scores;
      expect(() => metric.score({ rows: [], reference: [], scores: rest })).toThrow(`the score "${other}" is not there`);
    }
    if (metric.compares === true) expect(() => metric.score({ rows: [], scores })).toThrow(/there is no reference/);
    expect(() => metric.score({ rows: [], reference: [], scores, compat: ["no-such-quirk"] })).toThrow(
      /there is no compat "no-such-quirk"/,
    );
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
      doc: "",
      better: "higher",
      caveat: "",
      reads: [],
      after: ["rouge1"],
      score: ({ scores }) => scores["rouge1"]!,
    });
    expect(() => late.score({ rows: [], scores: {} })).toThrow(/the score "rouge1" is not there/);
    const score = { value: 1, bySample: {}, interval: null };
    expect(late.score({ rows: [], scores: { rouge1: score } })).toBe(score);
  });
});
