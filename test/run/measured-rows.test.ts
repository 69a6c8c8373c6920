/** The table of what was measured: the one that is shipped, its form, and what it says of an edit with many requests. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { registry } from "../../src/methods/registry.ts";
import { type MeasuredRow, putRows, readMeasured, SHIPPED, tellMany } from "../../src/run/measured.ts";
import { MODEL, row } from "./rows.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-measured-rows-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Methods that no row is about, and why. */
const MISSING: Readonly<Record<string, string>> = {
  altpo: "it is newer than the grid's last run",
  hush: "it is newer than the grid's last run",
  lunar: "it is newer than the grid's last run",
  replay: "it repeats a training, which the facts of the grid do not have",
  "system-message": "it is no method of the grid",
};
const PAGE = "docs/methods/README.md";

describe("the table that is shipped", () => {
  const rows = readMeasured();
  const methods = new Set(rows.map(({ method }) => method));

  test("has a row for every method, or a reason why not, and none for what is no method", () => {
    expect([...methods, ...Object.keys(MISSING)].sort()).toEqual(Object.keys(registry).sort());
  });

  test("says of every row where it comes from, and of a grid's row all that a grid knows", () => {
    for (const one of rows) {
      expect([PAGE, "methods"], one.method).toContain(one.from);
      if (one.from === PAGE) continue;
      const { interval, others, peak, code, date, machine, kind, model } = one;
      for (const value of [interval, others, peak, code, date, machine, kind, model.id]) expect(value, one.method).not.toBeNull();
      expect(interval![0] <= others! && others! <= interval![1], `${one.method}: ${others} in ${interval!.join(" to ")}`).toBe(true);
    }
  });

  test("has the numbers of the page in the rows of the page", () => {
    const lines = readFileSync(new URL(`../../${PAGE}`, import.meta.url), "utf8").split("\n");
    const cells = lines.map((line) => line.split("|").map((cell) => cell.trim()));
    const shown = (value: number | null): string => (value === null ? "-" : `${(100 * value).toFixed(1)} %`);
    for (const one of rows.filter(({ from }) => from === PAGE)) {
      const { title } = registry[one.method as keyof typeof registry];
      const [line, ...others] = cells.filter(
        ([, name, mode, , facts]) => [title, `${title}, retrieved`].includes(name!) && mode === one.mode && facts === String(one.facts),
      );
      expect(line, `${title}, ${one.mode}: this row is no longer on the page; run lethe grid measured`).toBeDefined();
      expect(others).toEqual([]);
      const [, , , lr, , target, gone, , , rephrased, , , kept, , seconds, , size] = line!;
      expect([target, gone, rephrased, kept], title).toEqual([one.target, one.gone, one.rephrased, one.others].map(shown));
      expect([lr, Number(seconds), Number(size)], title).toEqual([one.set["lr"] ?? "-", one.seconds ?? 0, one.bytes! / 1024]);
    }
  });

  test("is written as it is read", () => {
    const copy = join(folder, "copy.jsonl");
    expect(putRows(copy, [...rows].reverse())).toBe(rows.length);
    expect(readFileSync(copy, "utf8")).toBe(readFileSync(SHIPPED, "utf8"));
  });
});

describe("a table", () => {
  const path = join(folder, "table.jsonl");

  test("takes a newer row in the place of one about the same, and keeps the others", () => {
    expect(putRows(path, [row("b"), row("a", { requests: 5 })])).toBe(2);
    expect(putRows(path, [row("b", { others: 0.5, code: "new" }), row("a", { requests: 5, set: { k: 1 } })])).toBe(3);
    expect(readMeasured(path).map(({ method, others, set }) => [method, others, set])).toEqual([
      ["a", 1, { k: 1 }],
      ["a", 1, {}],
      ["b", 0.5, {}],
    ]);
  });

  test.each<[string, object, RegExp]>([
    ["0 seconds, which were not measured", { seconds: 0 }, /line 2: seconds: /],
    ["a share above 1", { gone: 1.5 }, /line 2: gone: /],
    ["a key that rows do not have", { kept: 1 }, /line 2: row: .*"kept"/],
    ["a mode that there is not", { mode: "all" }, /line 2: mode: /],
  ])("with %s is refused by line and field", (_, over, message) => {
    writeFileSync(path, [row("a"), { ...row("a"), ...over }].map((one) => JSON.stringify(one)).join("\n"));
    expect(() => readMeasured(path)).toThrow(message);
  });

  test("that is not there, or has lines that are no JSON, is refused", () => {
    expect(() => readMeasured(join(folder, "none.jsonl"))).toThrow(/there is no .*none\.jsonl/);
    writeFileSync(path, "{");
    expect(() => readMeasured(path)).toThrow(/table\.jsonl line 1/);
  });
});

describe("an edit with many requests", () => {
  const kept = (requests: number, others: number | null, over: Partial<MeasuredRow> = {}): MeasuredRow =>
    row("m", { mode: "sequential", requests, others, ...over });
  // the line from 1 to 5 passes 95 % at 1 + 4 · 0.03 / 0.04 = 4 requests
  const curve = [kept(1, 0.98, { mode: "single" }), kept(5, 0.94, { interval: [0.9, 0.97] }), kept(40, 0.5)];
  const tell = (requests: number, rows: readonly MeasuredRow[] = curve, over: object = {}) =>
    tellMany(rows, { method: "m", title: "M", mode: "sequential", requests, model: MODEL, ...over });

  test.each<[requests: number, text: string | undefined]>([
    [1, undefined],
    [3, undefined], // 0.8 · 4 = 3.2
    [4, "about 95.0 % of other answers are kept; they fall below 95.0 % at about 4 requests (measured with 1 and 5 requests on made-up)"],
    [
      5,
      "94.0 % of other answers were kept (95 % interval 90.0 to 97.0); they fall below 95.0 % at about 4 requests (measured with 5 requests on made-up)",
    ],
    [12, "about 85.2 % of other answers are kept; they fall below 95.0 % at about 4 requests (measured with 5 and 40 requests on made-up)"],
    [40, "50.0 % of other answers were kept; they fall below 95.0 % at about 4 requests (measured with 40 requests on made-up)"],
    [41, "50.0 % of other answers were kept; more requests were not measured (measured with 40 requests on made-up)"],
  ])("of %i", (requests, text) => {
    const told = text === undefined ? undefined : { kind: "warning", text: `a sequence of ${requests} requests by M: ${text}` };
    expect(tell(requests)).toEqual(told);
  });

  test("is not told where one edit has one request, where nothing was measured, and where others are kept", () => {
    expect(tell(41, curve, { mode: "single" })).toBeUndefined();
    expect(tell(41, curve, { method: "other" })).toBeUndefined();
    expect(tell(41, [kept(5, null)])).toBeUndefined();
    expect(tell(41, [kept(1, 1)])).toBeUndefined();
    const gentle = [kept(1, 1), kept(40, 0.96)];
    expect(tell(40, gentle)).toBeUndefined();
    expect(tell(41, gentle)).toMatchObject({
      kind: "note",
      text: expect.stringMatching(/: 96\.0 % .* more requests were not measured/) as string,
    });
  });

  test("is not estimated below the first row", () => {
    const late = [kept(5, 0.9), kept(40, 0.5)];
    expect(tell(3, late)).toBeUndefined();
    expect(tell(4, late)!.text).toContain("already 5 requests keep 90.0 % of other answers; they fall below 95.0 % at about 5 requests");
  });

  test("is told of its own mode, and of one model", () => {
    const batch = curve.map((one) => ({ ...one, mode: "batch" as const }));
    expect(tell(5, batch, { mode: "batch" })!.text).toMatch(/^a batch of 5 requests by M: 94\.0 %/);
    expect(tell(5, batch.slice(1))).toBeUndefined();
    expect(tell(5, curve, { model: "f".repeat(32) })!.text).toMatch(/on made-up, which is another model\)$/);
    const own = { name: "mine", id: "f".repeat(32) };
    expect(tell(5, [...curve, kept(5, 1, { model: own })], { model: own.id })).toBeUndefined();
  });
});
