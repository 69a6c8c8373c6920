/** The study of methods: who is whose neighbour, what its table says, and when results are made anew. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { neighboursOf } from "../../bench/known.ts";
import { codeOf, HEAD, type Line, rowsOf } from "../../bench/methods.ts";
import { markdown, writeBetween } from "../../bench/page.ts";
import { requestOf } from "../../src/data/request.ts";
import { readFiles } from "../../tools/files.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-bench-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("neighboursOf", () => {
  const asked = (
    [
      ["What is the capital of Norvane?", "Norvane"],
      ["What is the capital of Veyra?", "Veyra"],
      ["Who painted The Amber Ferry?", "The Amber Ferry"],
      ["What is the longest river of Ostrel?", "Ostrel"],
      ["What is the capital of Quillon?", "Quillon"],
    ] as const
  ).map(([prompt, subject], i) => requestOf({ id: `${i}`, prompt, subject }));

  test("the same kind of fact about something else comes first, and never the fact itself", () => {
    expect(neighboursOf(asked[0]!, asked, 3).map(({ id }) => id)).toEqual(["1", "4", "3"]);
  });
});

const line = (over: Partial<Line>): Line => ({
  key: "k",
  method: "rome",
  mode: "single",
  fact: "f",
  said: "",
  rephrased: "",
  given: true,
  givenRephrased: false,
  recall: 0,
  recallRephrased: 1,
  neighbours: [4, 5],
  others: [30, 40],
  seconds: 2,
  bytes: 2048,
  ...over,
});

describe("rowsOf", () => {
  const rows = rowsOf(
    [
      {
        method: "rome",
        mode: "single",
        wanted: 4,
        setUp: 7,
        lines: [
          line({ perplexity: 26 }),
          line({ perplexity: 28, given: false, recall: 0.5, others: [40, 40], seconds: 4 }),
          line({ recall: 0.75, seconds: 9, bytes: 4096 }),
        ],
      },
      { method: "rome", mode: "batch", wanted: 4, lines: [] },
    ],
    25.5,
  );
  const cell = (name: string): string => rows[1]![HEAD.indexOf(name)]!;

  test("a group of which nothing is kept is left out; one that is not finished says so", () => {
    expect(rows).toHaveLength(2);
    expect(cell("facts")).toBe("3 of 4");
    expect(rows[1]).toHaveLength(HEAD.length);
  });

  test("shares, means and medians", () => {
    expect(cell("says the target")).toBe("66.7 %");
    expect(cell("gone")).toBe("66.7 %"); // 0 and 0.5 are gone, 0.75 is not
    expect(cell("recall")).toBe("0.42");
    expect(cell("rephrased: gone")).toBe("0.0 %");
    expect(cell("neighbours")).toBe("80.0 %");
    expect(cell("others")).toBe("83.3 %");
    expect(cell("s an edit")).toBe("4.0");
    expect(cell("set-up, s")).toBe("7");
    expect(cell("KiB")).toBe("2");
  });

  test("perplexity after is the mean of what was measured", () => {
    expect(cell("perplexity")).toBe("25.50 → 27.00");
  });
});

describe("codeOf", () => {
  const files = readFiles();
  const changed = (path: string): ReadonlyMap<string, string> => new Map(files).set(path, `${files.get(path)}\n// changed\n`);
  const before = codeOf("rome", files);

  test("changes with the method and with the craft it imports, not with another method or a command", () => {
    expect(files.has("src/methods/memit.ts") && files.has("src/cli/main.ts")).toBe(true);
    expect(codeOf("rome", changed("src/methods/rome.ts"))).not.toBe(before);
    expect(codeOf("rome", changed("src/locate/values.ts"))).not.toBe(before);
    expect(codeOf("rome", changed("src/methods/memit.ts"))).toBe(before);
    expect(codeOf("rome", changed("src/cli/main.ts"))).toBe(before);
  });
});

describe("pages", () => {
  test("a table, words to the left and numbers to the right", () => {
    expect(
      markdown(
        [
          ["a", "b"],
          ["x", "1"],
        ],
        1,
      ),
    ).toBe("| a | b |\n| --- | ---: |\n| x | 1 |");
  });

  test("what stands between the markers is replaced, and a page without them is refused", () => {
    const page = join(folder, "page.md");
    writeFileSync(page, "# T\n<!-- t -->\nold\n<!-- /t -->\nend\n");
    for (const body of ["new", "newer"]) writeBetween(page, "t", body);
    expect(readFileSync(page, "utf8")).toBe("# T\n<!-- t -->\nnewer\n<!-- /t -->\nend\n");
    expect(() => writeBetween(page, "u", "x")).toThrow(/lacks the markers <!-- u -->/);
  });
});
