/** A grid's report in its formats: cells and marks, what is missing, escapes, and the paragraphs around the tables. */
import { parse } from "csv-parse/sync";
import { describe, expect, test } from "vitest";
import { cellsOf } from "../../src/report/cells.ts";
import { tableCsv } from "../../src/report/csv.ts";
import { reportPage } from "../../src/report/html.ts";
import { escaped, tableLatex } from "../../src/report/latex.ts";
import { reportMarkdown, tableMarkdown, tableRows } from "../../src/report/markdown.ts";
import { madeWith } from "../../src/report/notes.ts";
import type { TableCell, TableColumn } from "../../src/run/grid/record.ts";
import { cell, column, RECORD, TABLE } from "./records.ts";

describe("a cell", () => {
  const shown = (of: Partial<TableColumn>, over: Partial<TableCell>): string =>
    tableRows({ columns: [column(of)], rows: [{ at: {}, cells: [cell(over)] }] })[1]![0]!;

  test("means, medians and sums, each in its unit", () => {
    expect(shown({ as: "percent", decimals: 1 }, { values: [1, 0, 1] })).toBe("66.7 %");
    expect(shown({ average: "median", decimals: 1 }, { values: [9, 1, 2] })).toBe("2.0");
    expect(shown({ average: "median", decimals: 1 }, { values: [1, 2, 9, 4] })).toBe("3.0");
    expect(shown({ average: "median", as: "KiB", decimals: 0 }, { values: [2048, 4096, 2048] })).toBe("2");
    expect(shown({ as: "MB", decimals: 1 }, { values: [113_300_000] })).toBe("113.3");
    expect(shown({ as: "minutes", decimals: 1 }, { values: [90] })).toBe("1.5");
    expect(shown({ average: "sum", as: "count", decimals: 0 }, { values: [2, 3], of: 7 })).toBe("5 of 7");
  });

  test("the interval is in the same unit", () => {
    const interval = { low: 0.25, high: 0.755, level: 0.95, by: "exact" };
    expect(shown({ as: "percent", decimals: 1 }, { values: [0.5], interval })).toBe("50.0 % [25.0, 75.5]");
    expect(shown({}, { values: [-0.001], interval: { ...interval, low: -0.004 } })).toBe("0.00 [0.00, 0.76]");
  });

  test("before and after", () => {
    expect(shown({}, { values: [25.625, 25.635], before: [25.6] })).toBe("25.60 → 25.63");
  });

  test("absent is never zero: nothing to tell, a failure, and a part of it", () => {
    expect(shown({}, {})).toBe("-");
    expect(shown({}, { absent: ["it failed"] })).toBe("n/a");
    expect(shown({}, { values: [1, 0.5], wanted: 3, absent: ["it failed"] })).toBe("0.75 (2 of 3)");
    expect(shown({ as: "percent" }, { values: [NaN] })).toBe("NaN");
  });

  test("bold is the best and what is not told from it; the state of a model is behind its name", () => {
    const [base, a, c] = TABLE.rows.map((row) => cellsOf(TABLE, row));
    expect([base, a, c].map((row) => row!.map(({ isBest }) => isBest))).toEqual([
      [false, false, false, false],
      [false, true, true, false],
      [false, false, false, false],
    ]);
    expect(a!.map(({ isChanged }) => isChanged)).toEqual([false, true, false, false]);
    expect(c![0]!.value).toBe("C (collapsed in 1 of 2 runs)");
  });
});

test("Markdown: the table, the meaning of its marks, reasons, differences, verdicts, and what made it", () => {
  expect(tableMarkdown(TABLE, madeWith(RECORD))).toBe(
    `| method | gone | recall | s |
| --- | ---: | ---: | ---: |
| untouched model | 2.5 % [0.1, 13.0] | - | - |
| A\\|B_1 | **100.0 %**\\* [91.0, 100.0]; paper 95.0 %, corrected 90.0 % | **0.15** [0.05, 0.25] | 2.0 |
| C (collapsed in 1 of 2 runs) | n/a | 0.50 [0.40, 0.60] | n/a |

Forty facts.

Brackets: 95 % intervals (exact, by Clopper and Pearson; bootstrap over seeds and questions).
Bold: the best value of a column, and values that a paired test does not tell from it (p at least 0.05).
\\* The value differs from that of the untouched model (p below 0.05).
The tests are paired bootstrap tests over the questions that both rows have; p is corrected by Holm over the tests of a column.
Collapsed: the answers to forget cost the model more than a random guess among all tokens (up to 12.50 nats a token; a guess costs 10.80). A collapsed model is never the best.

- untouched model: "-" under recall, because there are no rows of forget.
- C: n/a, because ft: no such thing.

The setting differs from the paper's:

- Our model is smaller.
- A|B_1, gone: the log says 0.90

Published orders, and whether our runs have them:

- gone, A|B_1 and C: cannot tell (our runs have no number of both; paper 95.0 % and 70.0 %).

3 of 4 steps are done.
2 cores of Some CPU, 1 thread, Node 20.20.2.
${madeWith(RECORD)[2]!}`,
  );
  const codes = [{ step: "eval", old: "0123456789abcdef", now: "fedcba9876543210", records: 5 }];
  const samples = [{ step: "judged", at: "a", run: "r", outputs: {} }];
  const accepted = [{ schema: "lethe/accepted/1" as const, grid: "lamps", seed: 3, date: "2025-01-02T03:04:05Z", codes, samples }];
  expect(madeWith({ ...RECORD, accepted })[3]).toBe(
    "Accepted on 2025-01-02: records of older code (eval `0123456789ab`, 5 records, now `fedcba987654`). 1 run of them, drawn with seed 3, gave the same bytes on the later code.",
  );
  expect(madeWith(RECORD)[2]).toMatch(/^Code: eval `0123456789ab`, forget `[0-9a-f]{12}` \(of 2\)\.$/);
});

test("the whole report: methods with what departs from the defaults, models, data, seeds, failures and caveats", () => {
  const text = reportMarkdown([RECORD], () => "");
  expect(text).toMatch(/^# lamps\n\nWhat two methods forget\.\n\n## What is gone & what stays\n\n\| method/);
  expect(text).toContain(`## Methods

A (arXiv:1): parameters that differ from the sourced defaults (in brackets): lr = 1 (TOFU: 2). Quirks of published code: old.

Models: models/small.

Data: facts.jsonl.

Seeds: 0, 1.

Failed: edit, c: ft: no such thing.

\`forget-rate\`: the share of answers that are gone. A silent model has 1.
`);
});

describe("CSV", () => {
  test("numbers are whole, and no field is empty", () => {
    const rows = parse(tableCsv(TABLE), { columns: true }) as Record<string, string>[];
    expect(rows).toHaveLength(3);
    for (const row of rows) for (const [name, field] of Object.entries(row)) expect(field, name).not.toBe("");
    expect(rows[1]).toMatchObject({
      method: "A|B_1",
      gone: "1",
      "gone, low": "0.91",
      "gone, high": "1",
      "gone, interval": "exact",
      "gone, questions": "40",
      "gone, p against best": "best",
      "gone, p against untouched": "0.001",
      "gone, paper": "0.95",
      "gone, paper, corrected": "0.9",
      recall: "0.15000000000000002",
      "recall, seeds": "2",
      s: "2",
      state: "-",
    });
    expect(rows[2]).toMatchObject({
      gone: "n/a: ft: no such thing.",
      "gone, low": "-",
      s: "n/a: ft: no such thing.",
      state: "collapsed in 1 of 2 runs",
    });
    expect(rows[0]).toMatchObject({ recall: "-", s: "-" });
  });

  test("commas, quotes and line breaks come back as they were", () => {
    for (const [odd, field] of [
      ['a "word"', '"a ""word"""'],
      ["one, two", '"one, two"'],
      ["a\nline", '"a\nline"'],
      ["plain; text", "plain; text"],
    ] as const) {
      const text = tableCsv({
        ...TABLE,
        columns: [column({ title: odd, isText: true })],
        rows: [{ at: {}, cells: [cell({ text: odd })] }],
      });
      expect(text).toBe(`${field},state\r\n${field},-\r\n`);
      expect(parse(text)).toEqual([
        [odd, "state"],
        [odd, "-"],
      ]);
    }
  });
});

describe("LaTeX", () => {
  test("a table of booktabs, with the interval beside the value", () => {
    const narrow = { ...TABLE, rows: TABLE.rows.filter((_, i) => i !== 1) };
    expect(tableLatex(narrow).split("\n").slice(0, 13)).toEqual([
      "% \\usepackage{booktabs}",
      "\\begin{table}",
      "\\centering",
      "\\caption{What is gone \\& what stays. Forty facts.}",
      "\\label{tab:main}",
      "\\begin{tabular}{lrrr}",
      "\\toprule",
      "method & gone $\\uparrow$ & recall $\\downarrow$ & s \\\\",
      "\\midrule",
      "untouched model & 2.5 \\% {\\scriptsize {[}0.1, 13.0{]}} & - & - \\\\",
      "C (collapsed in 1 of 2 runs) & n/a & 0.50 {\\scriptsize {[}0.40, 0.60{]}} & n/a \\\\",
      "\\bottomrule",
      "\\end{tabular}",
    ]);
  });

  test("a wide table has the intervals below the values; marks and published figures", () => {
    const text = tableLatex(TABLE);
    expect(text).toContain(`\\footnotesize
\\setlength{\\tabcolsep}{3pt}`);
    expect(text).toContain(`A\\textbar{}B\\_1 & \\textbf{100.0 \\%}$^{*}$ & \\textbf{0.15} & 2.0 \\\\
 & {\\scriptsize {[}91.0, 100.0{]}} {\\scriptsize (paper 95.0 \\%, corrected 90.0 \\%)} & {\\scriptsize {[}0.05, 0.25{]}} &  \\\\
\\addlinespace[2pt]
`);
  });

  test("signs that LaTeX reads are escaped, and signs that it lacks are told", () => {
    expect(escaped("50 % of a_b & {c} #1 $x^2~\\ → λ é")).toBe(
      "50 \\% of a\\_b \\& \\{c\\} \\#1 \\$x\\textasciicircum{}2\\textasciitilde{}\\textbackslash{} $\\rightarrow$ $\\lambda$ é",
    );
    expect(escaped("日ß\u001b")).toBe("{[}U+65E5{]}ß\\textbackslash{}u001b");
  });
});

describe("HTML", () => {
  const page = reportPage([RECORD], () => ({ svg: "", width: 1 }));

  test("it names nothing outside itself, and has no script", () => {
    expect(page).not.toMatch(/https?:|<script|@import|url\((?!#)|\ssrc=/);
    expect([...page.matchAll(/href="([^"]*)"/g)].map(([, target]) => target!).filter((target) => !target.startsWith("#"))).toEqual([
      "data:,",
    ]);
  });

  test("every link of the contents leads to a heading", () => {
    const ids = [...page.matchAll(/<h\d id="([^"]+)"/g)].map(([, id]) => id);
    expect([...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id)).toEqual(ids);
  });

  test("marks, intervals and published figures of a cell", () => {
    expect(page).toContain(
      '<td class="n"><strong>100.0 %</strong><sup>*</sup> <span class="i">[91.0, 100.0]</span><span class="theirs">paper 95.0 %, corrected 90.0 %</span></td>',
    );
    expect(page).toContain('<tr class="base"><th scope="row">untouched model</th>');
  });

  test("what comes from files cannot become markup", () => {
    const bad = "<img src=x onerror=alert(1)>";
    const record = { ...RECORD, name: "x", doc: bad, tables: [{ ...TABLE, title: bad, caption: bad, differs: [bad] }], models: [bad] };
    expect(reportPage([record], () => ({ svg: "", width: 1 }))).not.toContain("<img");
  });
});
