/** Tables in Markdown, and the places of a page that they go into. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { markdown, placeNames, placesIn, writeBetween, writePlaces } from "../../src/report/page.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-page-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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

  test("one table is called like its grid, several have names of their own", () => {
    expect(placeNames("g", ["main"])).toEqual(["g"]);
    expect(placeNames("g", ["a", "b"])).toEqual(["g/a", "g/b"]);
  });

  test("several tables: a new page has all, an old one those that it has a place for, and one without any is refused", () => {
    const page = join(folder, "several.md");
    const names = ["g/a", "g/b"];
    expect(placesIn(page, names)).toEqual(names);
    writePlaces(page, [
      ["g/a", "one"],
      ["g/b", "two"],
    ]);
    expect(readFileSync(page, "utf8")).toBe("<!-- g/a -->\none\n<!-- /g/a -->\n\n<!-- g/b -->\ntwo\n<!-- /g/b -->\n");
    writeFileSync(page, "<!-- g/b -->\n<!-- /g/b -->\n");
    expect(placesIn(page, names)).toEqual(["g/b"]);
    writeFileSync(page, "# Empty\n");
    expect(() => placesIn(page, names)).toThrow(/no place for the table; wanted the markers <!-- g\/a -->/);
  });
});
