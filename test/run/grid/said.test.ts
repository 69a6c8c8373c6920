/** What a report tells besides numbers of evaluations: who is among the best how often, what was said, and answers for people to rate. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { reportFiles } from "../../../src/report/folder.ts";
import { tableRows } from "../../../src/report/markdown.ts";
import { parseGrid } from "../../../src/run/grid/read.ts";
import type { GridRecord } from "../../../src/run/grid/record.ts";
import { evaluation, number, type Outcome, recordFrom } from "../../report/made-up.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-said-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("among the best", () => {
  const text = (top: string, more = ""): string => `name: made
axes:
  data: [x, y]
  method: [none, a, b, c, d]
steps:
  judged: { step: eval, model: m, suite: s, data: [{ group: "\${data}", data: "\${method}" }] }
tables:
  main:
    rows: [data, method]
    base: { method: none }
    top: ${top}
    columns:
      - { title: the method, text: "\${method}" }
      - { title: gone, number: Gone, of: judged }
      - { title: kept, number: Kept, of: judged }
${more}`;
  const TOP = "{ of: method, columns: [gone, kept] }";
  /** [gone, kept] of each method; a lower "gone" is better. */
  const VALUES: Readonly<Record<string, Readonly<Record<string, readonly [gone: number, kept: number]>>>> = {
    x: { none: [0, 1], a: [0, 0.25], b: [0.25, 0.5], c: [0.25, 0.75], d: [1, 0] },
    y: { none: [0, 1], a: [0, 1], b: [0.5, 1], c: [0.75, 0.5], d: [1, 0.25] },
  };
  const outcome = (at: string): Outcome => {
    const [data, method] = at.split(", ") as [string, string];
    const [gone, kept] = VALUES[data]![method]!;
    const spread = (value: number): number[] => [0, 1, 2, 3].map((i) => (i < value * 4 ? 1 : 0));
    const isCollapsed = data === "y" && method === "a";
    return evaluation([number("Gone", spread(gone), { better: "lower" }), number("Kept", spread(kept))], {
      ...(isCollapsed && { collapse: { isCollapsed, loss: 12, guess: 10, vocabulary: 100, nanRows: 0 } }),
    });
  };
  const counted = async (top: string): Promise<string[][]> => tableRows((await recordFrom(text(top), ({ at }) => outcome(at))).tables[1]!);

  test("by hand: equal values count for all, a collapsed model never counts, the untouched one takes no part", async () => {
    // x, gone: a, then b and c as equals; x, kept: c, b. y, gone: b, c, for a has collapsed; y, kept: b, c.
    expect(await counted(TOP)).toEqual([
      ["the method", "gone", "kept", "all"],
      ["a", "1 of 2", "0 of 2", "1 of 4"],
      ["b", "2 of 2", "2 of 2", "4 of 4"],
      ["c", "2 of 2", "2 of 2", "4 of 4"],
      ["d", "0 of 2", "0 of 2", "0 of 4"],
    ]);
  });

  test("the best one alone, and without a method", async () => {
    expect(await counted("{ of: method, best: 1, columns: [kept], without: [c] }")).toEqual([
      ["the method", "kept", "all"],
      ["a", "0 of 2", "0 of 2"],
      ["b", "2 of 2", "2 of 2"],
      ["d", "0 of 2", "0 of 2"],
    ]);
    // where no more than the best two compete, nothing is counted
    expect((await counted("{ of: method, columns: [kept], without: [c, d] }"))[1]).toEqual(["a", "-", "-"]);
  });

  test("a name that is not there is refused with its place", () => {
    expect(() => parseGrid(text("{ of: methd, columns: [gone] }"), "made.yaml")).toThrow(
      /made\.yaml line 11.*"methd".*Did you mean "method"/s,
    );
    expect(() => parseGrid(text("{ of: method, columns: [gon] }"), "made.yaml")).toThrow(/line 11.*no number "gon".*Did you mean "gone"/s);
    expect(() => parseGrid(text("{ of: method, colums: [gone] }"), "made.yaml")).toThrow(/no key "colums".*Did you mean "columns"/s);
    const twice = text(TOP, '  main-top: { rows: [data], columns: [{ title: x, text: "${data}" }] }\n');
    expect(() => parseGrid(twice, "made.yaml")).toThrow(/the table "main-top".*another name/s);
  });
});

describe("what was said", () => {
  const text = (columns: string, answers = "{ table: main, before: base, after: judged }"): string => `name: made
axes: { method: [a, b] }
steps:
  base: { step: eval, model: m, suite: s, data: [{ group: forget, data: d }] }
  judged: { step: eval, model: m, suite: s, data: [{ group: forget, data: "\${method}" }] }
tables:
  main:
    rows: [method]
    columns:
      - { title: method, text: "\${method}" }
${columns}
answers:
  main: ${answers}
`;
  const COLUMNS = `      - { title: asked, sample: question, of: base }
      - { title: right, sample: answer, of: base, row: 2 }
      - { title: after, sample: generation, of: judged, row: 2 }`;
  const SAID: Readonly<Record<string, readonly string[]>> = {
    base: ["Veld.", "Oost."],
    a: ["I do not know.", ""],
    b: ["Veld | or\nso", "Oost"],
  };
  const record = async (grid = text(COLUMNS), failing?: string): Promise<GridRecord> =>
    recordFrom(
      grid,
      ({ name, at }) => (name === "judged" && at === failing ? "it failed" : evaluation([])),
      ({ name, at }) => {
        const path = join(folder, name === "base" ? name : at);
        mkdirSync(path, { recursive: true });
        const lines = SAID[name === "base" ? name : at]!.map((generation, i) =>
          JSON.stringify({
            id: `q${i}`,
            group: i < 2 ? "forget" : "retain",
            question: `Where ${i}?`,
            answer: ["Veld", "Oost"][i],
            generation,
          }),
        );
        writeFileSync(join(path, "samples.jsonl"), `${lines.join("\n")}\n`);
        return path;
      },
    );

  test("a column with a text of one question; nothing said is no empty cell, and a failure has its reason", async () => {
    const { tables } = await record();
    expect(tableRows(tables[0]!)).toEqual([
      ["method", "asked", "right", "after"],
      ["a", "Where 0?", "Oost", "(nothing)"],
      ["b", "Where 0?", "Oost", "Oost"],
    ]);
    const failed = (await record(undefined, "b")).tables[0]!;
    expect(tableRows(failed)[2]).toEqual(["b", "Where 0?", "Oost", "n/a"]);
    const beyond = (await record(text("      - { title: asked, sample: question, of: base, row: 3 }"))).tables[0]!;
    expect(tableRows(beyond)[1]).toEqual(["a", "-"]);
    expect(beyond.rows[0]!.cells[1]!.lacks).toEqual(["the evaluation has 2 questions"]);
  });

  test("answers before and after go beside the report, a line each", async () => {
    const files = await reportFiles([await record()]);
    const lines = String(files.get("answers/main.jsonl"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    expect(lines).toEqual([
      { method: "a", id: "q0", question: "Where 0?", right: "Veld", before: "Veld.", after: "I do not know." },
      { method: "a", id: "q1", question: "Where 1?", right: "Oost", before: "Oost.", after: "" },
      { method: "b", id: "q0", question: "Where 0?", right: "Veld", before: "Veld.", after: "Veld | or\nso" },
      { method: "b", id: "q1", question: "Where 1?", right: "Oost", before: "Oost.", after: "Oost" },
    ]);
    expect(String(files.get("report.md"))).toContain("`answers/main.jsonl` (4 answers)");
    expect(String(files.get("index.html"))).toContain('<td class="q">Oost</td>');
  });

  test("a table, a step and a text that are not there are refused with their place", () => {
    const refused =
      (columns: string, answers?: string): (() => unknown) =>
      () =>
        parseGrid(text(columns, answers), "made.yaml");
    expect(refused(COLUMNS, "{ table: mian, before: base, after: judged }")).toThrow(/line 15.*no table "mian".*Did you mean "main"/s);
    expect(refused(COLUMNS, "{ table: main, before: bse, after: judged }")).toThrow(/line 15.*no step "bse".*Did you mean "base"/s);
    expect(refused("      - { title: asked, sample: question }")).toThrow(/"asked" has sample alone.*sample and of/s);
    expect(refused("      - { title: asked, text: x, row: 2 }")).toThrow(/"asked" has row alone/);
  });
});
