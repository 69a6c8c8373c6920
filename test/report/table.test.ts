/** A grid's table as text: averages, units, what is absent, and the page that it goes into. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { markdown, writeBetween } from "../../src/report/page.ts";
import { gridTable, madeWith, tableRows } from "../../src/report/table.ts";
import type { GridRecord, TableCell, TableColumn } from "../../src/run/record.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-table-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const column = (over: Partial<TableColumn>): TableColumn => ({
  title: "c",
  isText: false,
  average: "mean",
  as: "number",
  decimals: 2,
  ...over,
});
const cell = (over: Partial<TableCell>): TableCell => ({ values: [], before: [], wanted: 1, absent: [], ...over });
const shown = (of: Partial<TableColumn>, over: Partial<TableCell>): string =>
  tableRows({ columns: [column(of)], rows: [{ at: {}, cells: [cell(over)] }] })[1]![0]!;

describe("a cell", () => {
  test("means, medians and sums, each in its unit", () => {
    expect(shown({ as: "percent", decimals: 1 }, { values: [1, 0, 1] })).toBe("66.7 %");
    expect(shown({ average: "median", decimals: 1 }, { values: [9, 1, 2] })).toBe("2.0");
    expect(shown({ average: "median", decimals: 1 }, { values: [1, 2, 9, 4] })).toBe("3.0");
    expect(shown({ average: "median", as: "KiB", decimals: 0 }, { values: [2048, 4096, 2048] })).toBe("2");
    expect(shown({ as: "MB", decimals: 1 }, { values: [113_300_000] })).toBe("113.3");
    expect(shown({ as: "minutes", decimals: 1 }, { values: [90] })).toBe("1.5");
    expect(shown({ average: "sum", as: "count", decimals: 0 }, { values: [2, 3], of: 7 })).toBe("5 of 7");
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
});

const RECORD: GridRecord = {
  name: "lamps",
  columns: [column({ title: "method", isText: true }), column({ title: "gone", as: "percent", decimals: 1 })],
  rows: [
    { at: {}, cells: [cell({ text: "A|B" }), cell({ values: [1] })] },
    { at: {}, cells: [cell({ text: "C" }), cell({ absent: ["ft: no such thing."] })] },
  ],
  steps: { total: 4, finished: 3 },
  failed: [],
  machines: [{ processor: "Some CPU", cores: 2, threads: 1, node: "v20.20.2" }],
  code: { eval: ["0123456789abcdef"], forget: ["aa", "bb"] },
};

test("the whole: words to the left, reasons below, machine and code at the end", () => {
  const [table, reasons, made] = gridTable(RECORD).split("\n\n");
  expect(table).toBe("| method | gone |\n| --- | ---: |\n| A\\|B | 100.0 % |\n| C | n/a |");
  expect(reasons).toBe("- C: n/a, because ft: no such thing.");
  expect(made!.split("\n")).toEqual(["3 of 4 steps are done.", ...madeWith(RECORD)]);
  expect(madeWith(RECORD)[0]).toBe("2 cores of Some CPU, 1 thread, Node 20.20.2.");
  expect(madeWith(RECORD)[1]).toMatch(/^Code: eval `0123456789ab`, forget `[0-9a-f]{12}` \(of 2\)\.$/);
});

describe("a page", () => {
  test("what is between the markers is replaced, a new page has them, and one without them is refused", () => {
    const page = join(folder, "page.md");
    writeFileSync(page, "# T\n<!-- t -->\nold\n<!-- /t -->\nend\n");
    for (const body of ["new", "newer"]) writeBetween(page, "t", body);
    expect(readFileSync(page, "utf8")).toBe("# T\n<!-- t -->\nnewer\n<!-- /t -->\nend\n");
    expect(() => writeBetween(page, "u", "x")).toThrow(/no place for the table; wanted the markers <!-- u -->/);
    writeBetween(join(folder, "new.md"), "t", "body");
    expect(readFileSync(join(folder, "new.md"), "utf8")).toBe("<!-- t -->\nbody\n<!-- /t -->\n");
  });

  test("a table of words and numbers", () => {
    const rows = [
      ["a", "b"],
      ["x", "1"],
    ];
    expect(markdown(rows, 1)).toBe("| a | b |\n| --- | ---: |\n| x | 1 |");
  });
});
