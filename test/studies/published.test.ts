/** The published figures: every row whole, none twice, aggregates that follow from their parts; and each rule seen to find its fault. */
import { describe, expect, test } from "vitest";
import { registry as methods } from "../../src/methods/registry.ts";
import { faultsOf, type Published, publishedIn } from "./published.ts";

const FILES = [
  ["editing-as-unlearning", "arXiv 2505.19855"],
  ["model-editing-for-unlearning", "arXiv 2512.20794"],
] as const;

describe.each(FILES)("studies/published/%s.json", (name, paper) => {
  const rows = publishedIn(name);

  test("has rows of its paper, and none of them has a fault", () => {
    expect(rows.length).toBeGreaterThan(50);
    expect(new Set(rows.map((row) => row.paper))).toEqual(new Set([paper]));
    expect(faultsOf(rows)).toEqual([]);
  });

  test("methods are ours or of those that only the papers have, and shares are shares", () => {
    const known = [...Object.keys(methods), "none", "lora", "serac"];
    expect(rows.filter(({ method }) => !known.includes(method))).toEqual([]);
    const [least, most] = [0, (metric: string) => (metric === "composite" ? 2 : /seconds|characters|answers/.test(metric) ? 1000 : 1)];
    expect(rows.filter(({ value, metric }) => value !== null && (value < least || value > most(metric)))).toEqual([]);
  });
});

test("a model utility is the harmonic mean of its nine numbers, where they are published", () => {
  const rows = publishedIn("model-editing-for-unlearning").filter(({ table }) => table === "aggr_result.csv");
  const whole = [...new Set(rows.map(({ run }) => run))].flatMap((run) => {
    const own = rows.filter((row) => row.run === run);
    const nine = own.filter(({ group }) => ["real authors", "world facts", "retain"].includes(group)).map(({ value }) => value ?? NaN);
    return nine.length === 9 && !nine.some(Number.isNaN) ? [{ nine, utility: own.find(({ metric }) => metric === "Model Utility")! }] : [];
  });
  expect(whole).toHaveLength(4);
  for (const { nine, utility } of whole) expect(utility.value).toBeCloseTo(9 / nine.reduce((sum, value) => sum + 1 / value, 0), 14);
});

test("the composites that the text of Editing as Unlearning gives are there", () => {
  const composites = publishedIn("editing-as-unlearning").filter(({ metric, table }) => metric === "composite" && table === "merging");
  const of = (method: string, merge: number): Published => composites.find((row) => row.method === method && row.merge === merge)!;
  expect([of("rome", 5).value, of("alphaedit", 1).value, of("dpo", 1).value, of("gd", 1).value]).toEqual([1.622, 1.636, 1.123, 1.596]);
  expect(of("memit", 4).value).toBe(1.632);
  expect(of("memit", 5)).toMatchObject({ value: 1.632, corrected: 1.646 });
});

describe("each rule finds its fault", () => {
  const row: Published = {
    paper: "arXiv 1",
    table: "main",
    model: "M",
    data: "facts",
    rows: 40,
    method: "ft",
    target: null,
    metric: "ROUGE-1",
    group: "forget",
    value: 0.1,
  };
  const retain: Published = { ...row, group: "retain", value: 0.7 };
  const composite: Published = { ...row, metric: "composite", group: "all", value: 1.6 };
  const without = (key: keyof Published): Published => {
    const { [key]: _, ...rest } = row;
    return rest as Published;
  };

  test("good rows have none", () => {
    expect(faultsOf([row, retain, composite, { ...composite, merge: 2, value: 1.9 }])).toEqual([]);
    const why = { corrected: 1.6, why: "a slip" };
    expect(faultsOf([row, retain, { ...composite, value: 1.5, ...why }])).toEqual([]);
  });

  test.each([
    ["no method", [without("method")], /has no method/],
    ["no target", [without("target")], /has no target/],
    ["no number of rows", [without("rows")], /has no number of rows/],
    ["no value", [without("value")], /has no value/],
    ["a value that is no number", [{ ...row, value: null }], /has no value, and no note/],
    ["a field that no row has", [{ ...row, valeu: 1 } as Published], /has a field valeu/],
    ["a row twice", [row, { ...row, value: 0.2 }], /1: main .* is there twice/],
    ["a correction without a reason", [{ ...row, corrected: 0.2 }], /without a reason/],
    ["a range backwards", [{ ...row, to: 0.05 }], /ends before it begins/],
    ["a composite that its parts do not give", [row, retain, { ...composite, value: 1.5 }], /its parts give 1\.600/],
    ["a correction that is wrong too", [row, retain, { ...composite, value: 1.6, corrected: 1.5, why: "no" }], /its parts give 1\.600/],
  ] as const)("%s", (_, rows, fault) => {
    expect(faultsOf(rows)).toEqual([expect.stringMatching(fault)]);
  });
});
