/** The three shares of the table of methods, worked by hand: the target said, the answer gone, the answer kept. */
import { expect, test } from "vitest";
import { forgetRate } from "../../../src/eval/metrics/forget-rate.ts";
import { retentionRate } from "../../../src/eval/metrics/retention-rate.ts";
import { targetMatch } from "../../../src/eval/metrics/target-match.ts";

const scores = {};
const row = (id: string, fields: { readonly answer?: string; readonly target?: string; readonly generation: string }) => ({
  id,
  ...fields,
});

test("target match: the target to the letter, white space around it aside", () => {
  const target = "I do not know.";
  const rows = ["I do not know.", " I do not know.\n", "I do not know", "I do not know. It is Paris.", "i do not know."].map(
    (generation, i) => row(`${i}`, { target, generation }),
  );
  const { value, bySample, interval } = targetMatch.score({ rows, scores });
  expect(bySample).toEqual({ 0: 1, 1: 1, 2: 0, 3: 0, 4: 0 });
  expect(value).toBeCloseTo(0.4, 14);
  expect(interval).toMatchObject({ by: "exact" });
});

test("forget rate: half of the words is gone, more is not", () => {
  const answer = "Jane Austen wrote Emma";
  const said = ["I do not know.", "Jane Austen.", "Jane Austen wrote it.", "Emma was written by Jane Austen."];
  const { bySample, value } = forgetRate.score({ rows: said.map((generation, i) => row(`${i}`, { answer, generation })), scores });
  expect(bySample).toEqual({ 0: 1, 1: 1, 2: 0, 3: 0 });
  expect(value).toBe(0.5);
});

test("retention rate: every word in any order, and nothing less", () => {
  const answer = "Red Sea";
  const said = ["The Red Sea, of course.", "A sea that is red.", "The Red Planet.", ""];
  const { bySample, value } = retentionRate.score({ rows: said.map((generation, i) => row(`${i}`, { answer, generation })), scores });
  expect(bySample).toEqual({ 0: 1, 1: 1, 2: 0, 3: 0 });
  expect(value).toBe(0.5);
});

test("a row without its field is refused, never counted as zero", () => {
  expect(() => targetMatch.score({ rows: [row("a", { generation: "No." })], scores })).toThrow(/sample "a" has no field "target"/);
  expect(() => forgetRate.score({ rows: [row("a", { generation: "No." })], scores })).toThrow(/sample "a" has no field "answer"/);
});
