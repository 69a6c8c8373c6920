/** Tables of what was measured: one for each kind of machine; what a busy machine or one side alone says does not count. */
import { describe, expect, test } from "vitest";
import { merged, shown, type Table } from "../../bench/measured.ts";
import type { Result } from "../../bench/race.ts";

const result = (name: string, ours: number, more: Partial<Result> = {}): Result => ({
  name,
  unit: "s",
  ours,
  peer: 10,
  ratio: 10 / ours,
  peak: { ours: 1e9, peer: 2e9 },
  busy: 0.01,
  turns: { ours: [ours], peer: [10] },
  ...more,
});
const table = (machine: string, ...results: Result[]): Table => ({ machine, model: "m", peer: null, results });
const secondsIn = (tables: readonly Table[]): unknown => tables.map((t) => [t.machine, ...t.results.map((r) => [r.name, r.ours])]);

describe("merged", () => {
  test("a new result takes the place of the old one of its machine alone; other work and other machines stay", () => {
    const known = merged(merged([], table("Xeon", result("a", 1), result("b", 2))), table("EPYC", result("a", 3)));
    const next = merged(known, table("Xeon", result("b", 4), result("c", 5)));
    expect(secondsIn(next)).toEqual([
      ["EPYC", ["a", 3]],
      ["Xeon", ["a", 1], ["b", 4], ["c", 5]],
    ]);
  });

  test.each([
    ["others used more than a tenth of the cores", { busy: 0.2 }],
    ["there was no torch side", { ratio: undefined }],
  ])("a result does not count if %s", (_, more) => {
    const known = [table("EPYC", result("a", 3))];
    expect(merged(known, table("EPYC", result("a", 1, more as Partial<Result>)))).toEqual(known);
  });

  test("each table names its machine and model", () => {
    const text = shown([table("EPYC, 2 threads", result("a", 4)), table("Xeon", result("a", 5))]);
    expect(text.split("\n\n").map((part) => part.split("\n").at(-1))).toEqual([
      "| a | s | 4.00 | 10.0 | 2.50x | 1.00 / 2.00 |",
      "EPYC, 2 threads, m.",
      "| a | s | 5.00 | 10.0 | 2.00x | 1.00 / 2.00 |",
      "Xeon, m.",
    ]);
  });
});
