/** Suites of the caller's own: read from a file, and refused where the file says what no suite can be. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { suiteNames, suiteOf } from "../../src/eval/suite.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-suite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (content: unknown): string => {
  const path = join(folder, "own.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
};
const whole = { name: "own", doc: "mine", columns: [{ title: "R", metric: "rouge1", group: "forget", better: "lower" }], against: "base" };

describe("a suite of one's own", () => {
  test("is read as it is", () => expect(suiteOf(file(whole))).toEqual(whole));

  test.each(suiteNames())("%s of ours would do as one, under another name", (name) => {
    const ours = { ...suiteOf(name), name: "own" };
    expect(suiteOf(file(ours))).toEqual(ours);
  });

  const WRONG: readonly (readonly [what: string, content: unknown, complaint: RegExp])[] = [
    ["what is no JSON", "{", /own\.json/],
    ["a missing field", { ...whole, doc: undefined }, /field "doc" is missing/],
    ["an unknown field", { ...whole, colums: [] }, /field "colums" is not known.*Did you mean "columns"\?/],
    ["no columns", { ...whole, columns: [] }, /field "columns"/],
    ["an unknown wish", { ...whole, columns: [{ title: "R", metric: "rouge1", better: "best" }] }, /field "columns\[0\]\.better"/],
    [
      "an unknown metric",
      { ...whole, columns: [{ title: "R", metric: "rogue1" }] },
      /own\.json: metric: "rogue1".*Did you mean "rouge1"\?/,
    ],
    ["a name of ours", { ...whole, name: "tofu" }, /has the name "tofu"; wanted a name that is free/],
  ];
  test.each(WRONG)("is refused with %s", (_, content, complaint) => {
    expect(() => suiteOf(file(content))).toThrow(complaint);
  });

  test("is refused where it is not there, and a name that no suite has", () => {
    expect(() => suiteOf(join(folder, "none.json"))).toThrow(/there is no file .*none\.json/);
    expect(() => suiteOf("nonesuch")).toThrow(/A suite of your own is named by its file, FILE\.json/);
  });
});
