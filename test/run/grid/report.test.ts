/** The record of a grid from made-up evaluations: intervals, tests with Holm's correction, the untouched model, and published orders. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { shareInterval } from "../../../src/eval/stats.ts";
import { cellsOf } from "../../../src/report/cells.ts";
import type { TableRecord } from "../../../src/run/grid/record.ts";
import { evaluation, number, type Outcome, recordFrom } from "../../report/made-up.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-report-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A grid with an evaluation for each method and seed; `more` goes into the table. */
const gridText = (methods: string, seeds: string, more = "", columns = "{ title: gone, number: Gone, of: judged }"): string => `name: made
axes:
  method: ${methods}
  seed: ${seeds}
steps:
  base: { step: eval, model: m, suite: s, data: [{ group: others, data: d }] }
  judged: { step: eval, model: m, suite: s, data: [{ group: forget, data: "\${method}" }], limit: "\${seed}" }
tables:
  main:
    rows: [method]
    ${more}
    columns:
      - { title: method, text: "\${method}" }
      - ${columns}
`;
const tableFrom = async (
  text: string,
  outcomeOf: (method: string, seed: string) => Outcome,
  base: Outcome = "not asked",
): Promise<TableRecord> => {
  const { tables } = await recordFrom(text, ({ name, at }) => {
    const [method, seed] = at.split(", ");
    return name === "base" ? base : outcomeOf(method!, seed!);
  });
  return tables[0]!;
};
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);
const cellAt = (table: TableRecord, row: number) => table.rows[row]!.cells[1]!;

describe("a cell", () => {
  test("one run keeps its own interval", async () => {
    const cell = cellAt(await tableFrom(gridText("[a]", "[1]"), () => evaluation([number("Gone", [1, 0, 1, 0])])), 0);
    expect(cell).toMatchObject({ values: [0.5], questions: 4, seeds: 1, interval: { low: 0.25, high: 0.75, by: "exact" } });
  });

  test("several seeds: the mean over runs, and an interval over seeds and questions", async () => {
    const table = await tableFrom(gridText("[a]", "[1, 2]"), (_, seed) => evaluation([number("Gone", same(seed === "1" ? 0 : 1, 5))]));
    expect(cellAt(table, 0)).toMatchObject({
      values: [0, 1],
      questions: 5,
      seeds: 2,
      interval: { low: 0, high: 1, by: "bootstrap over seeds and questions" },
    });
  });

  test("several seeds that agree on every question: the exact interval of the questions", async () => {
    const table = await tableFrom(gridText("[a]", "[1, 2]"), () => evaluation([number("Gone", same(1, 5))]));
    expect(cellAt(table, 0)).toMatchObject({ values: [1, 1], seeds: 2, interval: shareInterval(5, 5) });
  });

  test("several runs of a number that is no mean: an interval over the runs", async () => {
    const table = await tableFrom(gridText("[a]", "[1, 2]"), (_, seed) =>
      evaluation([number("Gone", [1, 2], { value: Number(seed) * 10 })]),
    );
    expect(cellAt(table, 0)).toMatchObject({ values: [10, 20], interval: { low: 10, high: 20, by: "bootstrap over runs" } });
  });

  test("a count has its interval in rows", async () => {
    const column = "{ title: gone, number: Gone, of: judged, as: count }";
    const cell = cellAt(await tableFrom(gridText("[a]", "[1]", "", column), () => evaluation([number("Gone", [1, 0, 1, 0])])), 0);
    expect(cell).toMatchObject({ values: [2], of: 4, interval: { low: 1, high: 3 } });
  });

  test("a failed run, and one that lacks the number, say why", async () => {
    const lacking = evaluation([], {
      missing: [{ title: "Gone", metric: "forget-rate", group: "forget", reason: "the rows have no answer" }],
    });
    const table = await tableFrom(gridText("[a, b]", "[1]"), (method) => (method === "a" ? "no such file" : lacking));
    expect(cellAt(table, 0)).toMatchObject({ values: [], absent: ["no such file"], lacks: [] });
    expect(cellAt(table, 1)).toMatchObject({ values: [], absent: [], lacks: ["the rows have no answer"] });
  });

  test("a step that a point leaves out has no run there, and no untouched model", async () => {
    const text = gridText("[a, b]", "[1]", "base: base", "{ title: untouched, number: Gone, of: base }").replace(
      "base: { step: eval",
      "base: { unless: [{ method: b }], step: eval",
    );
    const outcome = evaluation([number("Gone", [1, 0, 1, 0])]);
    const table = await tableFrom(text, () => outcome, outcome);
    expect(table.rows.map(({ isBase, cells }) => [isBase ?? false, cells[0]!.text])).toEqual([
      [true, "untouched model"],
      [false, "a"],
      [false, "b"],
    ]);
    expect(cellAt(table, 1)).toMatchObject({ values: [0.5], wanted: 1, base: { difference: 0 } });
    expect(cellAt(table, 2)).toMatchObject({ values: [], wanted: 0, absent: [], lacks: [] });
    expect(cellAt(table, 2).base).toBeUndefined();
  });

  test("a collapsed model is a state of its row, and never the best", async () => {
    const collapse = { isCollapsed: true, loss: 12, guess: 10.8, vocabulary: 49152, nanRows: 0 };
    const table = await tableFrom(gridText("[a, b]", "[1]"), (method) =>
      evaluation([number("Gone", method === "a" ? [1, 1, 1] : [0, 1, 1])], { ...(method === "a" && { collapse }) }),
    );
    expect(table.rows.map(({ collapsed }) => collapsed)).toEqual([{ runs: 1, of: 1, loss: 12, guess: 10.8 }, undefined]);
    expect(cellAt(table, 1).best).toBe("best");
  });
});

describe("tests", () => {
  /** Row a is always right, b never, c at all questions but one. */
  const outcomes = (count: number) => (method: string) =>
    evaluation([number("Gone", method === "a" ? same(1, count) : method === "b" ? same(0, count) : [0, ...same(1, count - 1)])]);
  const ps = (table: TableRecord): unknown[] =>
    table.rows.map((_, i) =>
      typeof cellAt(table, i).best === "object" ? (cellAt(table, i).best as { p: number }).p : cellAt(table, i).best,
    );

  test("Holm by hand: of two tests the smaller p-value is doubled", async () => {
    // b differs in all n questions, so its sign test has 2 / 2^n; c differs in one, which has 1
    expect(ps(await tableFrom(gridText("[a, b, c]", "[1]"), outcomes(6)))).toEqual(["best", (2 * 2) / 2 ** 6, 1]);
    expect(ps(await tableFrom(gridText("[a, b, c]", "[1]"), outcomes(7)))).toEqual(["best", (2 * 2) / 2 ** 7, 1]);
  });

  test("where lower is better the lowest is the best, and compare: false tests nothing", async () => {
    const lower = (method: string): Outcome => evaluation([number("Gone", method === "a" ? same(1, 6) : same(0, 6), { better: "lower" })]);
    expect(ps(await tableFrom(gridText("[a, b]", "[1]"), lower))).toEqual([2 / 2 ** 6, "best"]);
    expect(ps(await tableFrom(gridText("[a, b]", "[1]", "compare: false"), lower))).toEqual([undefined, undefined]);
  });

  test("the untouched model is a row over the questions of the others, and all are tested against it", async () => {
    const base = evaluation([number("Gone", [...same(0, 7), 1, 1, 1])]);
    const table = await tableFrom(gridText("[a, c]", "[1]", "base: base"), outcomes(7), base);
    expect(table.rows.map(({ isBase, cells }) => [isBase, cells[0]!.text])).toEqual([
      [true, "untouched model"],
      [undefined, "a"],
      [undefined, "c"],
    ]);
    expect(cellAt(table, 0)).toMatchObject({ values: [0], questions: 7, interval: { low: 0, by: "exact" } });
    // three tests: a against the base 2 / 2^7, c against it 2 / 2^6, c against a 1
    expect(cellAt(table, 1).base).toMatchObject({ difference: 1, questions: 7, p: (3 * 2) / 2 ** 7 });
    expect(cellAt(table, 2).base).toMatchObject({ difference: expect.closeTo(6 / 7, 9), p: (2 * 2) / 2 ** 6 });
    expect(cellAt(table, 2).best).toMatchObject({ p: 1 });
  });

  test("rows of the grid may be the untouched model: those with the values that base names", async () => {
    const table = await tableFrom(gridText("[b, a, c]", "[1]", "base: { method: b }"), outcomes(7));
    expect(table.rows.map(({ isBase, at }) => [isBase, at["method"]])).toEqual([
      [true, "b"],
      [undefined, "a"],
      [undefined, "c"],
    ]);
    expect(cellAt(table, 0)).not.toHaveProperty("base");
    expect(cellAt(table, 1).base).toMatchObject({ difference: 1, p: (3 * 2) / 2 ** 7 });
    await expect(tableFrom(gridText("[a]", "[1]", "base: { metod: b }"), outcomes(7))).rejects.toThrow(/"metod" does not tell rows apart/);
  });

  test("an untouched model that was asked other questions has no number", async () => {
    const base = evaluation([number("Gone", [1], { bySample: { other: 1 } })]);
    const table = await tableFrom(gridText("[a]", "[1]", "base: base"), outcomes(7), base);
    expect(cellAt(table, 0)).toMatchObject({ values: [], lacks: ["the untouched model was asked other questions"] });
    expect(cellAt(table, 1).base).toBeUndefined();
  });
});

describe("published figures", () => {
  const file = join(folder, "published.json");
  const figures = (a: number, b: number): void =>
    writeFileSync(
      file,
      JSON.stringify([
        { paper: "P1", method: "a", metric: "rate", value: a, corrected: a - 1, why: "the log says so" },
        { paper: "P1", method: "b", metric: "rate", value: b },
      ]),
    );
  const more = `published: { file: ${file}, match: { paper: P1, method: "\${method}" }, columns: { gone: { match: { metric: rate }, scale: 0.01 } } }
    orders: [{ column: gone, a: { method: a }, b: { method: b } }]`;
  const verdict = async (a: readonly number[], b: readonly number[]) =>
    (await tableFrom(gridText("[a, b]", "[1]", more), (method) => evaluation([number("Gone", method === "a" ? a : b)]))).verdicts[0]!;
  const [up, down] = [same(1, 7), same(0, 7)];

  test("they stand beside ours, in our unit", async () => {
    figures(91, 70);
    const table = await tableFrom(gridText("[a, b, c]", "[1]", more), () => evaluation([number("Gone", up)]));
    expect(table.rows.map((_, i) => cellAt(table, i).published)).toEqual([
      { paper: "P1", value: 0.91, corrected: 0.9, why: "the log says so" },
      { paper: "P1", value: 0.7000000000000001 },
      undefined,
    ]);
  });

  test("agreement: our interval is on the side of the paper", async () => {
    figures(91, 70);
    expect(await verdict(up, down)).toMatchObject({ a: "a", b: "b", verdict: "agreement", difference: 1, ours: [1, 0] });
  });

  test("words, orders, and the rows of a figure take the variables of the file", async () => {
    figures(91, 70);
    const filled = more.replace("a: { method: a }, b: { method: b }", 'a: { method: "${first}" }, b: { method: "${second}" }');
    const caption = 'caption: "Without ${second}, with ${first}"';
    const text = `${gridText("[a, b]", "[1]", `${filled}\n    ${caption}`)}figures: { one: { kind: bars, table: main, only: { method: "\${second}" }, columns: [gone] } }\n`;
    const { tables, figures: drawn } = await recordFrom(text.replace("axes:", "vars: { first: a, second: b }\naxes:"), ({ at }) =>
      evaluation([number("Gone", at.startsWith("a") ? up : down)]),
    );
    expect(tables[0]!).toMatchObject({ caption: "Without b, with a", verdicts: [{ a: "a", b: "b", verdict: "agreement" }] });
    expect(drawn[0]).toMatchObject({ rows: [1] });
  });

  test("contradiction: it is on the other side", async () => {
    figures(70, 90);
    expect(await verdict(up, down)).toMatchObject({ verdict: "contradiction", difference: 1 });
  });

  test("cannot tell: it holds zero, or the paper has equal figures, or none", async () => {
    figures(91, 70);
    const mixed = await verdict([1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 0]);
    expect(mixed).toMatchObject({ verdict: "cannot tell" });
    expect(mixed.reason).toBeUndefined();
    figures(71, 70); // corrected to 70
    expect(await verdict(up, down)).toMatchObject({ verdict: "cannot tell", reason: "the paper's figures are equal" });
    writeFileSync(file, "[]");
    expect(await verdict(up, down)).toMatchObject({ verdict: "cannot tell", reason: "the paper has no figure of both" });
  });

  test("what the paper says in words: the side of our interval is compared with it", async () => {
    const words = (is: string): string =>
      gridText(
        "[a, b]",
        "[1]",
        `orders: [{ column: gone, a: { method: a }, b: { method: b }, is: ${is}, protocol: published, shows: Ob1 }]`,
      );
    const told = async (is: string) => {
      const text = words(is).replace("steps:", "observations: { Ob1: Some methods forget more. }\nsteps:");
      const { tables, observations } = await recordFrom(text, ({ at }) => evaluation([number("Gone", at.startsWith("a") ? up : down)]));
      expect(observations).toEqual({ Ob1: "Some methods forget more." });
      return tables[0]!.verdicts[0]!;
    };
    expect(await told("higher")).toMatchObject({ verdict: "agreement", is: "higher", protocol: "published", shows: "Ob1", ours: [1, 0] });
    expect(await told("lower")).toMatchObject({ verdict: "contradiction", is: "lower" });
    await expect(tableFrom(words("higher"), () => "not asked")).rejects.toThrow(/column \d+: there is no observation "Ob1"/);
    await expect(told("more")).rejects.toThrow(/is is "more"; wanted one of higher, lower/);
  });

  test("a number that is no mean of questions: its order is told where the intervals do not overlap", async () => {
    figures(91, 70);
    const told = async (a: readonly [number, number], b: readonly [number, number]) => {
      const own = (method: string) => (method === "a" ? a : b);
      const outcome = (method: string) => {
        const [low, high] = own(method);
        return evaluation([number("Gone", [1, 2], { value: (low + high) / 2, interval: { low, high, level: 0.95, by: "bootstrap" } })]);
      };
      return (await tableFrom(gridText("[a, b]", "[1]", more), outcome)).verdicts[0]!;
    };
    expect(await told([20, 30], [10, 19])).toMatchObject({ verdict: "agreement" });
    expect(await told([10, 19], [20, 30])).toMatchObject({ verdict: "contradiction" });
    expect(await told([15, 30], [10, 19])).toMatchObject({ verdict: "cannot tell", reason: expect.stringContaining("overlap") });
  });

  test("a range, and what is published as not a number, are shown, and tell no order", async () => {
    writeFileSync(
      file,
      JSON.stringify([
        { paper: "P1", method: "a", metric: "rate", value: 10, to: 20 },
        { paper: "P1", method: "b", metric: "rate", value: null },
      ]),
    );
    const table = await tableFrom(gridText("[a, b]", "[1]", more), () => evaluation([number("Gone", up)]));
    expect([0, 1].map((row) => cellAt(table, row).published)).toEqual([
      { paper: "P1", value: 0.1, to: 0.2 },
      { paper: "P1", value: null },
    ]);
    expect(table.rows.map((row) => cellsOf(table, row)[1]!.published)).toEqual(["paper 0.10 to 0.20", "paper NaN"]);
    expect(table.verdicts[0]).toMatchObject({ verdict: "cannot tell", reason: "the paper has no single number for one of them" });
  });

  test("two figures for a cell are refused, and so is a file without figures", async () => {
    writeFileSync(file, JSON.stringify([0, 1].map((value) => ({ paper: "P1", method: "a", metric: "rate", value }))));
    await expect(verdict(up, down)).rejects.toThrow(/2 figures with paper P1, method a, metric rate; wanted one/);
    writeFileSync(file, JSON.stringify([{ value: "high" }]));
    await expect(verdict(up, down)).rejects.toThrow(/no list of published figures/);
  });
});

describe("figures", () => {
  const grid = (figure: string): string => `${gridText("[a, b]", "[1]")}figures: { one: ${figure} }\n`;
  const record = async (figure: string) => (await recordFrom(grid(figure), () => evaluation([number("Gone", [1, 0])]))).figures[0]!;

  test("a curve has a line for rows that differ in its variable alone", async () => {
    const text = gridText("[a, b]", "[1, 2, 4]").replace("rows: [method]", "rows: [method, seed]");
    const { figures } = await recordFrom(`${text}figures: { one: { kind: curve, table: main, x: seed, y: gone } }\n`, ({ at }) =>
      at.endsWith("4") ? "stopped" : evaluation([number("Gone", [1, 0])]),
    );
    expect(figures[0]).toMatchObject({
      kind: "lines",
      x: "seed",
      y: "gone",
      series: ["a", "b"].map((label) => ({
        label,
        points: [1, 2].map((x) => ({ x, y: 0.5, low: 0.25, high: 0.75 })),
      })),
      absent: ["a", "b"].map((row) => ({ row, reason: "stopped" })),
    });
  });

  test("a row whose step keeps no losses says so", async () => {
    expect(await record("{ kind: losses, table: main, of: judged }")).toMatchObject({
      series: [],
      absent: ["a", "b"].map((row) => ({ row, reason: "the step keeps no losses" })),
    });
  });

  test("only some rows are drawn", async () => {
    expect(await record("{ kind: bars, table: main, columns: [gone], only: { method: [b, c] } }")).toMatchObject({ rows: [1] });
    expect(await record("{ kind: losses, table: main, of: judged, only: { method: a } }")).toMatchObject({
      rows: [0],
      absent: [{ row: "a", reason: "the step keeps no losses" }],
    });
  });

  test.each([
    ["{ kind: bars, table: main, columns: [gone], only: { metod: a } }", /"metod" does not tell rows apart.*Did you mean "method"\?/],
    ["{ kind: bar, table: main, columns: [gone] }", /figures\.one\.kind is "bar"; wanted a kind: bars, radar/],
    ["{ kind: bars, table: man, columns: [gone] }", /there is no table "man".*Did you mean "main"\?/],
    ["{ kind: bars, table: main, columns: [gne] }", /there is no number "gne" in the table.*Did you mean "gone"\?/],
    ["{ kind: curve, table: main, x: sed, y: gone }", /"sed" does not tell rows apart/],
    ["{ kind: losses, table: main, of: jugded }", /there is no step "jugded".*Did you mean "judged"\?/],
    ["{ kind: bars, table: main, column: [gone] }", /there is no key "column".*Did you mean "columns"\?/],
  ])("%s is refused", async (figure, complaint) => {
    await expect(record(figure)).rejects.toThrow(complaint);
  });
});
