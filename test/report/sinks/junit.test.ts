/** JUnit XML: assertions as tests, or numbers; a missing number is an error and never passes; hostile texts stay texts. */
import { describe, expect, test } from "vitest";
import { registry } from "../../../src/report/sinks/registry.ts";
import type { Evaluation } from "../../../src/report/sinks/sink.ts";
import { ASSERTED, EVALUATION } from "./evaluation.ts";

const xml = (over: Partial<Evaluation> = {}): string => registry.junit.write({ ...EVALUATION, ...over });
const cases = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line.includes("<testcase"))
    .map((line) => line.trim());

describe("JUnit", () => {
  test("assertions: passed with what was found, failed by a number, in error without one", () => {
    const text = xml({ asserted: ASSERTED });
    expect(text).toMatch(
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<testsuites name="lethe eval" tests="3" failures="1" errors="1" skipped="0" time="65.250">\n/,
    );
    expect(text).toContain(
      '<testsuite name="e1" tests="3" failures="1" errors="1" skipped="0" time="65.250" timestamp="2026-03-04T05:06:07">',
    );
    expect(cases(text)).toEqual([
      '<testcase classname="lethe.tofu" name="rouge1/forget&lt;=0.6" time="0"><system-out>0.5</system-out></testcase>',
      '<testcase classname="lethe.tofu" name="upper(rouge1/forget)&lt;0.6" time="0"><failure type="failure" message="0.75 is not &lt; 0.6"/></testcase>',
      `<testcase classname="lethe.tofu" name="rouge1/../x y/&lt;ü&gt;\\u0007\\u202e&amp;&quot;'+1&lt;=1" time="0"><error type="error" message="a &lt;reason&gt;&#10;of two lines"/></testcase>`,
    ]);
  });

  test("without assertions each number is a test; NaN is an error, what is left out is skipped", () => {
    const text = xml();
    expect(text).toContain('tests="6" failures="0" errors="1" skipped="1"');
    expect(cases(text)).toEqual([
      expect.stringContaining('name="rouge1/forget" time="0"><system-out>0.5000 (0.2500 to 0.7500), 3 rows</system-out>'),
      expect.stringContaining('name="exact-match/forget" time="0"><system-out>0.3333, 3 rows<'),
      expect.stringContaining('name="rouge1/retain" time="0"><error type="error" message="rows without a number: 1 of 1"/>'),
      expect.stringContaining('name="model-utility"'),
      expect.stringContaining("<system-out>Infinity, 0 rows<"),
      expect.stringContaining('name="forget-quality/forget" time="0"><skipped message="there is no comparison run"/>'),
    ]);
  });

  test("rows of a log without a value are an error", () => {
    const text = xml({ record: { ...EVALUATION.record, omitted: { forget: 2 } } });
    expect(text).toContain('errors="2"');
    expect(cases(text).at(-1)).toContain('name="rows of forget" time="0"><error type="error" message="rows without a value: 2"/>');
  });

  test("no character is in the file that XML does not have", () => {
    const isAllowed = (code: number): boolean =>
      code === 9 || code === 10 || (code >= 0x20 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd) || code >= 0x10000;
    const text = xml({ asserted: ASSERTED, name: "\u0000\ud800" });
    expect([...text].filter((character) => !isAllowed(character.codePointAt(0)!))).toEqual([]);
    expect(text).toContain('<testsuite name="\\u0000\\ud800"');
  });
});
