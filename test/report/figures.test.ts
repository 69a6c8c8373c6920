/** Figures: what each kind draws of a table, as data of its spec; SVG and PNG with the same bytes twice; and colours that can be told apart. */
import { describe, expect, test } from "vitest";
import { readFiles } from "../../tools/files.ts";
import { draw, specOf } from "../../src/report/figures/figure.ts";
import { reportFiles } from "../../src/report/folder.ts";
import { asVariables, SERIES, SHADES } from "../../src/report/theme.ts";
import type { FigureRecord, GridRecord, TableRecord } from "../../src/run/grid/record.ts";
import { cell, column, RECORD } from "./records.ts";

const share = (value: number): ReturnType<typeof cell> =>
  cell({ values: [value], interval: { low: value - 0.1, high: value + 0.1, level: 0.95, by: "exact" }, questions: 10, seeds: 1 });
const TABLE: TableRecord = {
  name: "main",
  title: "",
  caption: "",
  columns: [
    column({ title: "method", isText: true }),
    column({ title: "gone", as: "percent", better: "higher" }),
    column({ title: "kept", better: "higher" }),
    column({ title: "perplexity", better: "lower" }),
  ],
  rows: [
    { at: { m: 1 }, cells: [cell({ text: "A" }), share(0.8), share(0.5), cell({ values: [20] })] },
    { at: { m: 2 }, cells: [cell({ text: "B" }), share(0.4), share(0.9), cell({ values: [40] })] },
    { at: { m: 3 }, cells: [cell({ text: "C" }), cell({ absent: ["it failed"] }), share(0.7), cell({ values: [10] })] },
  ],
  isCompared: true,
  differs: [],
  verdicts: [],
};
const about = { name: "one", title: "One figure", caption: "", table: "main" };
const FIGURES: readonly FigureRecord[] = [
  { ...about, kind: "bars", columns: ["gone", "kept"] },
  { ...about, kind: "radar", columns: ["gone", "kept", "perplexity"] },
  { ...about, kind: "frontier", x: "gone", y: "kept" },
  {
    ...about,
    kind: "lines",
    x: "size",
    y: "gone",
    band: "95 % interval",
    series: [
      { label: "A", points: [1, 2, 4].map((x) => ({ x, y: x / 4, low: 0, high: 1 })) },
      { label: "B", points: [1, 2].map((x) => ({ x, y: 0.5 })) },
    ],
    absent: [],
  },
];
const record: GridRecord = { ...RECORD, tables: [TABLE], figures: FIGURES };
const dataIn = (spec: unknown): Record<string, unknown>[] =>
  typeof spec === "object" && spec !== null
    ? Object.entries(spec).flatMap(([key, part]) =>
        key === "data" ? (part as { values: Record<string, unknown>[] }).values : dataIn(part),
      )
    : [];

describe("the data of a spec", () => {
  test("bars: a bar for each row that has the number, in the unit of the axis", () => {
    expect(dataIn(specOf(FIGURES[0]!, record))).toEqual([
      { row: "A", isBase: false, value: 80, low: expect.closeTo(70), high: expect.closeTo(90) },
      { row: "B", isBase: false, value: 40, low: expect.closeTo(30), high: 50 },
      { row: "A", isBase: false, value: 0.5, low: 0.4, high: 0.6 },
      { row: "B", isBase: false, value: 0.9, low: 0.8, high: 1 },
      { row: "C", isBase: false, value: 0.7, low: expect.closeTo(0.6), high: expect.closeTo(0.8) },
    ]);
  });

  test("radar: the corners of the rows that have every number", () => {
    const corners = dataIn(specOf(FIGURES[1]!, record)).filter((one) => "axis" in one && one["row"] === "B" && !("x1" in one));
    // the third axis leads to the left below, at 240 degrees; its scale ends at the largest perplexity
    expect(corners.at(-1)).toMatchObject({ axis: "perplexity", value: 40, x: expect.closeTo(-Math.sqrt(3) / 2), y: -0.5 });
    expect(new Set(dataIn(specOf(FIGURES[1]!, record)).flatMap((one) => ("axis" in one ? [one["row"]] : [])))).toEqual(new Set(["A", "B"]));
  });

  test("frontier: a mark for each row that has both numbers, with both intervals", () => {
    const marks = dataIn(specOf(FIGURES[2]!, record));
    expect(marks.map(({ row }) => row)).toEqual(["A", "B"]);
    expect(marks[0]).toMatchObject({ x: 80, y: 0.5, xLow: expect.closeTo(70), yHigh: 0.6 });
  });

  test("lines: every point", () => {
    expect(dataIn(specOf(FIGURES[3]!, record)).map(({ row, x }) => `${String(row)}${String(x)}`)).toEqual(["A1", "A2", "A4", "B1", "B2"]);
  });
});

describe("pictures", () => {
  test.each(FIGURES.map((figure) => [figure.kind, figure] as const))("%s: SVG and PNG, the same bytes twice", async (_, figure) => {
    const [once, again] = [await draw(figure, record), await draw(figure, record)];
    expect(once.svg).toBe(again.svg);
    expect(Buffer.compare(once.png, again.png)).toBe(0);
    expect(Buffer.from(once.png.subarray(0, 8)).toString("latin1")).toBe("\x89PNG\r\n\x1a\n");
    expect(once.width).toBeGreaterThan(200);
    expect(once.svg).not.toMatch(/(href|src)=|NaN/);
  });

  test("every colour of a figure is one of the theme, so that it can follow the page", async () => {
    for (const figure of FIGURES)
      expect(asVariables((await draw(figure, record)).svg)).not.toMatch(/"#[0-9a-f]{3,8}"|"(black|white|gray)"/);
  });
});

test("only a report with figures loads what draws", () => {
  for (const [path, text] of readFiles()) {
    if (!path.startsWith("src/") || path.startsWith("src/report/figures/")) continue;
    expect(text, path).not.toMatch(/^import (?!type )[^;]*"(?:[^"]*figures\/[^"]*|vega|vega-lite|@resvg\/resvg-js)"/m);
  }
});

describe("the theme", () => {
  const luminance = (colour: string): number => {
    const [r, g, b] = [1, 3, 5].map((at) => {
      const c = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
    return (high + 0.05) / (low + 0.05);
  };

  test.each(["light", "dark"] as const)("%s: series can be seen, and texts read", (theme) => {
    const page = SHADES.page[theme];
    for (const shade of SERIES) expect(contrast(shade[theme], page), shade[theme]).toBeGreaterThan(3);
    for (const name of ["ink", "soft", "link"] as const) expect(contrast(SHADES[name][theme], page), name).toBeGreaterThan(4.5);
  });
});

test("the files of a report: a table in three formats, a figure in three, the page twice; the same bytes twice", async () => {
  const figures = FIGURES.slice(0, 1);
  const [once, again] = [await reportFiles([{ ...record, figures }]), await reportFiles([{ ...record, figures }])];
  expect([...once.keys()]).toEqual([
    "index.html",
    "report.md",
    "tables/main.csv",
    "tables/main.tex",
    "tables/main.md",
    "figures/one.vl.json",
    "figures/one.svg",
    "figures/one.png",
  ]);
  expect([...once]).toEqual([...again]);
  const both = await reportFiles([record, { ...record, name: "other" }]);
  expect([...both.keys()].filter((name) => name.endsWith(".csv"))).toEqual(["lamps/tables/main.csv", "other/tables/main.csv"]);
  await expect(reportFiles([record, record])).rejects.toThrow(/two grids are called lamps/);
});
