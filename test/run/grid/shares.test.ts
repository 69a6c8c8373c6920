/** Columns of proofs, of attacks, of bytes an edit, and of numbers by fact: made-up records, worked by hand. */
import { describe, expect, test } from "vitest";
import { shareInterval } from "../../../src/eval/stats.ts";
import { parseGrid } from "../../../src/run/grid/read.ts";
import type { TableCell } from "../../../src/run/grid/record.ts";
import { evaluation, number, type Outcome, recordFrom } from "../../report/made-up.ts";

const text = (column: string, step = '{ step: forget, model: m, data: d, seed: "${seed}" }'): string =>
  `name: made
axes: { seed: [1, 2] }
steps:
  one: ${step}
  facts: { step: select, data: d, seed: "\${seed}" }
tables:
  main:
    rows: [${step.includes("forget") ? "seed" : "step"}]
    columns: [{ title: shown, ${column} }]
`.replace("rows: [step]", "rows: [seed]");

const results = (result: unknown): Outcome => result as Outcome;
async function cell(column: string, of: (name: string, at: string) => unknown, grid = text(column)): Promise<TableCell> {
  const { tables } = await recordFrom(grid, ({ name, at }) => results(of(name, at)));
  return tables[0]!.rows[0]!.cells[0]!;
}

describe("a proof", () => {
  const edits = [{ requests: ["a", "b", "c", "d"].map((id) => ({ id })) }];
  const forgotten = { edits, proof: { asked: 4, again: ["b", "c"], unsaid: ["c"] }, bytes: 600 };
  const share = (name: string, of: unknown = forgotten) => cell(`proof: one, share: ${name}, as: percent`, () => of);

  test("divides the questions into three shares, with exact intervals", async () => {
    const [first, again, failed] = [await share("first"), await share("again"), await share("failed")];
    expect([first, again, failed].map(({ values }) => values[0])).toEqual([0.5, 0.25, 0.25]); // a and d; b; c
    expect(first.interval).toEqual(shareInterval(2, 4));
    expect(failed.interval).toEqual(shareInterval(1, 4));
    expect(failed.questions).toBe(4);
  });

  test("counts the questions of a merged request", async () => {
    const merged = [{ requests: [{ id: "a+b", merged: [{ id: "a" }, { id: "b" }] }] }];
    const of = { edits: merged, proof: { asked: 2, again: ["a+b"], unsaid: ["b"] } };
    expect((await share("again", of)).values).toEqual([0.5]);
    expect((await share("failed", of)).values).toEqual([0.5]);
  });

  test("says why there is none, and refuses a step that has none", async () => {
    expect(await share("first", { edits, proof: null })).toMatchObject({ values: [], lacks: [expect.stringContaining("no target")] });
    await expect(share("first", evaluation([]))).rejects.toThrow(/has no proof.*a forgetting/s);
  });
});

test("what an attack recovers: as it is, on average, and at worst", async () => {
  const recalls = (all: readonly number[]) => all.map((recall) => ({ recall }));
  const requests = [
    { id: "a", recall: 0, variants: recalls([0.5, 1]) },
    { id: "b", recall: 0.5, variants: recalls([0, 0.25]) },
    { id: "c", recall: 0.25, variants: [] },
  ];
  const share = async (name: string) => (await cell(`recovered: one, share: ${name}`, () => ({ sweep: [], requests }))).values[0];
  expect(await share("direct")).toBeCloseTo(0.25, 12); // (0 + 0.5 + 0.25) / 3
  expect(await share("mean")).toBeCloseTo((0.75 + 0.125 + 0.25) / 3, 12);
  expect(await share("worst")).toBeCloseTo((1 + 0.5 + 0.25) / 3, 12);
});

test("bytes an edit: the bytes of a step divided by the rows of another", async () => {
  const of = (name: string): unknown => (name === "one" ? { bytes: 600 } : { rows: 4 });
  expect((await cell("bytes: one, per: facts", of)).values).toEqual([150]);
  expect((await cell("bytes: one", of)).values).toEqual([600]);
});

describe("a number by fact", () => {
  const step = '{ step: eval, model: m, suite: s, data: [{ group: others, data: d }], limit: "${seed}" }';
  const samples = (values: Readonly<Record<string, number>>) =>
    evaluation([number("Known", Object.values(values), { bySample: values, metric: "retention-rate" })]);
  const of = (values: Readonly<Record<string, number>>, more: string) =>
    cell(`number: Known, of: one${more}`, () => samples(values), text(`number: Known, of: one${more}`, step));

  test("draws a question and its paraphrases together: facts that disagree make the interval wide", async () => {
    const values = { a: 1, "a/rephrased-1": 1, b: 0, "b/rephrased-1": 1 };
    const found = await of(values, ", facts: true");
    expect(found).toMatchObject({ values: [0.75], questions: 2, interval: { low: 0.5, high: 1, by: "bootstrap over facts" } });
    expect(await of(values, "")).toMatchObject({ values: [0.75], questions: 4, interval: { by: "exact" } });
  });

  test("is exact over facts that agree in their questions", async () => {
    const found = await of({ a: 1, "a/rephrased-1": 1, b: 0, "b/rephrased-1": 0 }, ", facts: true");
    expect(found.interval).toEqual(shareInterval(1, 2));
  });
});

test("a share of nothing, a proof without a share and facts alone are refused with their place", () => {
  const refused = (column: string) => () => parseGrid(text(column), "made.yaml");
  expect(refused("proof: one")).toThrow(/"shown" has no share.*first, again, failed/s);
  expect(refused("proof: one, share: worst")).toThrow(/has the share worst.*first, again, failed/s);
  expect(refused("rows: facts, share: first")).toThrow(/has the share first.*proof or recovered/s);
  expect(refused("rows: facts, facts: true")).toThrow(/has facts alone/);
  expect(refused("proof: two, share: first")).toThrow(/no step "two"/);
});
