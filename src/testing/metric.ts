/** What every metric must show: it says what it reads, and refuses rows that lack it. */
import assert from "node:assert/strict";
import type { Metric, SampleRecord, Score } from "../eval/metric.ts";
import { type Runner, suite } from "./runner.ts";

export interface MetricCase {
  /** Rows worked by hand, and the value that they must give. */
  readonly worked?: { readonly rows: readonly SampleRecord[]; readonly reference?: readonly SampleRecord[]; readonly value: number };
}

/** Tests that a metric reads what it declares and refuses anything else by name, and that it scores rows worked by hand as they should be. */
export function metricConforms(metric: Metric, c: MetricCase, runner: Runner): void {
  const { reads, after, compares } = metric;
  const score: Score = { value: 1, bySample: {}, interval: null };
  const scores = Object.fromEntries(after.map((other) => [other, score]));
  const missing = reads[0] === undefined ? undefined : new RegExp(`sample "a" has no field "${reads[0]}"`);
  suite(runner, `${metric.name} conforms`, (test) => {
    test("says in one sentence how it misleads", () => assert.match(metric.caveat, /^[^.!?]+(?:\d\.\d[^.!?]*)*\.$/));
    if (missing)
      test("refuses a row without a field that it reads, on either side", () => {
        assert.throws(() => metric.score({ rows: [{ id: "a" }], reference: [], scores }), missing);
        if (compares) assert.throws(() => metric.score({ rows: [], reference: [{ id: "a" }], scores }), missing);
      });
    if (after.length > 0)
      test("refuses to come before what it comes after", () => {
        for (const other of after) {
          const { [other]: _, ...rest } = scores;
          const wanted = { message: new RegExp(`the score "${other}" is not there`) };
          assert.throws(() => metric.score({ rows: [], reference: [], scores: rest }), wanted);
        }
      });
    if (compares === true)
      test("refuses to compare with nothing", () => assert.throws(() => metric.score({ rows: [], scores }), /there is no comparison run/));
    test("refuses a quirk that it does not declare", () =>
      assert.throws(
        () => metric.score({ rows: [], reference: [], scores, compat: ["no-such-quirk"] }),
        /there is no compat "no-such-quirk"/,
      ));
    const { worked } = c;
    if (worked)
      test("scores rows worked by hand as they should be, the same each time, in either order", () => {
        const { rows, reference, value } = worked;
        const scored = metric.score({ rows, scores, ...(reference && { reference }) });
        assert.ok(Math.abs(scored.value - value) <= 1e-9 * Math.max(1, Math.abs(value)), `it gives ${scored.value}; wanted ${value}`);
        assert.deepEqual(metric.score({ rows, scores, ...(reference && { reference }) }), scored);
        const backwards = metric.score({ rows: rows.toReversed(), scores, ...(reference && { reference }) });
        assert.ok(Math.abs(backwards.value - value) <= 1e-9 * Math.max(1, Math.abs(value)), "the order of rows changes it");
        const strange = Object.keys(scored.bySample).filter((id) => !rows.some((row) => row.id === id));
        assert.deepEqual(strange, [], "samples that are no rows");
      });
  });
}
