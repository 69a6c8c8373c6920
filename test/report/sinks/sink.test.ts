/** What sinks share: names that a tool accepts, each once and none above another; settings and notes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { measuresOf, namesFor, type Naming, noteOf, settingsOf } from "../../../src/report/sinks/sink.ts";
import { ASSERTED, EVALUATION, HOSTILE } from "./evaluation.ts";

const NAMES: Naming = { bad: /[^\w.\- ]/g, instead: "_", most: 20 };

describe("names", () => {
  test.each([
    [
      ["rouge1/forget", "model-utility"],
      ["rouge1/forget", "model-utility"],
    ],
    [[HOSTILE], ["_/x y/____u0007_u202e____1"]],
    [
      ["", "/", "."],
      ["_/all", "_/_", "__2"],
    ],
    [
      ["rouge1", "rouge1/forget"],
      ["rouge1/all", "rouge1/forget"],
    ],
    [
      ["a/b", "a", "a/all"],
      ["a/b", "a/all", "a_all"],
    ],
    [
      ["a+b", "a*b", "A_b"],
      ["a_b", "a_b_2", "A_b_3"],
    ],
    [
      ["x".repeat(30), "é".repeat(30)],
      ["x".repeat(20), "_".repeat(20)],
    ],
  ])("%j", (given, wanted) => {
    expect(namesFor(given, NAMES)).toEqual(wanted);
  });

  test("whatever is given, no name is there twice, leaves the folder, or is the folder of another", () => {
    const part = fc.string({ maxLength: 4, unit: fc.constantFrom("a", "A", "/", ".", "ü", "\u0000", " ", "-") });
    fc.assert(
      fc.property(fc.uniqueArray(part, { maxLength: 12 }), (given) => {
        const names = namesFor(given, NAMES);
        expect(names).toHaveLength(given.length);
        const keys = names.map((name) => name.toLowerCase());
        expect(new Set(keys).size).toBe(keys.length);
        for (const name of keys) {
          expect(name).toMatch(/^[\w.\- ]+(\/[\w.\- ]+)*$/);
          expect(name.split("/").filter((one) => /^\.*$/.test(one))).toEqual([]);
          expect(keys.filter((other) => other.startsWith(`${name}/`))).toEqual([]);
        }
      }),
      { seed: 1 },
    );
  });
});

test("numbers and bounds, each name once", () => {
  const { record } = EVALUATION;
  const twice = { ...record, numbers: [record.numbers[0]!, ...record.numbers] };
  expect(measuresOf(twice, ".lower", ".upper").map(({ name, value }) => [name, value])).toEqual([
    ["rouge1/forget", 0.5],
    ["rouge1/forget.lower", 0.25],
    ["rouge1/forget.upper", 0.75],
    ["exact-match/forget", 1 / 3],
    ["rouge1/retain", NaN],
    ["model-utility", 1e-5],
    [`rouge1/${HOSTILE}`, Infinity],
  ]);
});

test("settings are what was asked for and the ids of what was used", () => {
  expect(settingsOf(EVALUATION)).toEqual({
    ...EVALUATION.asked,
    run_id: EVALUATION.id,
    lethe: "1.2.3",
    model_id: "m".repeat(64),
    edit_ids: ["e".repeat(64)],
    questions: "q".repeat(64),
    dtype: "float32",
    log: `samples, 4 rows, ${"h".repeat(64)}`,
  });
});

test("a note has the assertions, what is left out, warnings and caveats", () => {
  const note = noteOf({ ...EVALUATION, asserted: ASSERTED });
  expect(note.split("\n\n")).toEqual([
    "holds: rouge1/forget<=0.6 (0.5)",
    "FAILS: upper(rouge1/forget)<0.6 (0.75 is not < 0.6)",
    `FAILS: rouge1/${HOSTILE}<=1 (a <reason>\nof two lines)`,
    "Left out: Forget Quality, there is no comparison run.",
    "Warning: a <warning>",
    "rouge1: How rouge1 misleads.",
    "exact-match: How exact-match misleads.",
    "model-utility: How model-utility misleads.",
  ]);
});
