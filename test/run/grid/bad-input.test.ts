/** Bad input of a grid: refused with its place when the grid is opened, before anything is run. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openGrid } from "../../../src/run/grid.ts";

const GRID = `name: one
axes:
  method: [ft, ike]
steps:
  asked: { step: select, data: facts.jsonl }
  edit: { step: forget, model: bundled, data: "\${asked}", method: "\${method}", say: No. }
  judged: { step: eval, model: bundled, edit: ["\${edit}"], suite: forgetting, data: [{ group: forget, data: "\${asked}" }] }
  told: { step: select, data: "\${asked}", by: "\${judged}", number: Gone Forget, least: 0 }
tables:
  main:
    rows: [method]
    columns:
      - { title: gone, number: Gone Forget, of: judged }
`;
const folder = mkdtempSync(join(tmpdir(), "lethe-grid-bad-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "one.yaml");
function opening(text: string): () => unknown {
  writeFileSync(file, text);
  return () => openGrid(file);
}

test("the file as it should be", () => {
  expect(opening(GRID)).not.toThrow();
  expect(openGrid(file).unfolded.units).toHaveLength(7);
});

test.each([
  [
    "number: Gone Forget, of",
    "number: Gone Forgte, of",
    /line 13 column 24: the suite forgetting has no number "Gone Forgte".*Gone Forget/,
  ],
  ["number: Gone Forget, least", "number: Gone Forgte, least", /line 8 column 60: the suite forgetting has no number.*Did you mean/],
  ["[ft, ike]", "[]", /line 3 column 3: axes\.method has no value; wanted at least one/],
  ["[ft, ike]", "{ range: [5, 2] }", /line 3 column 3: axes\.method has no value/],
  ["say: No.", 'say: "No, ${method"', /line 6 column \d+: a \$\{ without a name and a } in "No, \$\{method"; wanted \$\{NAME}/],
  ["say: No.", 'say: "${${method}}"', /line 6 column \d+: a \$\{ without a name/],
  ["name: one", "name: one\nuse: none.yaml", /one\.yaml line 2 column 1: data .*none\.yaml: there is no such file/],
  ["name: one", "name: one\nuse: one.yaml", /one\.yaml line 2 column 1: the file uses itself/],
  ["name: one", "name: 1", /line 1 column 1: name is 1; wanted a text/],
  ["  method: [ft, ike]", "", /line 2 column 1: axes is null; wanted a table of names/],
  [GRID.slice(GRID.indexOf("steps:"), GRID.indexOf("tables:")), "steps: {}\n", /there is no step; wanted at least one/],
])("%s as %s", (from, to, complaint) => {
  expect(GRID).toContain(from);
  const text = GRID.replace(from, () => to);
  expect(opening(to.startsWith("steps") ? text.slice(0, text.indexOf("tables:")) : text)).toThrow(complaint);
});

const WORDS = GRID.replace("say: No.", 'say: "${words}"').replace("axes:", 'vars: { scale: tiny, words: "No, ${method}." }\naxes:');

test.each([
  [
    "a name that nothing has, in a variable",
    WORDS.replace("${method}.", "${methd}."),
    /one\.yaml line 2 column 22: nothing is called "methd".*Did you mean "method"\?/,
  ],
  [
    "a name that is not closed, in a variable",
    WORDS.replace("${method}.", "${method."),
    /one\.yaml line 2 column 22: a \$\{ without a name and a }/,
  ],
  [
    "a name that nothing has, in a scale",
    WORDS.replace("axes:", 'scales: { tiny: { words: "Nein, ${methd}." } }\naxes:'),
    /line 3 column 19: nothing is called "methd"/,
  ],
  [
    "a list in a variable where none may be",
    WORDS.replace('"No, ${method}."', "[No., Never.]"),
    /line 2 column 22: say of forget is \["No\.","Never\."\]; wanted a text\. A list of values to try belongs under axes/,
  ],
  [
    "a list in an axis where none may be",
    GRID.replace("[ft, ike]", "[[ft], ike]"),
    /line 3 column 12: method of forget is \["ft"\]; wanted a text\. A list of values/,
  ],
  ["a misspelt method", GRID.replace("[ft, ike]", "[ft, ikke]"), /line 3 column 16: method "ikke"; wanted one of .*Did you mean "ike"\?/],
])("%s: refused where it stands", (_, text, complaint) => {
  expect(opening(text)).toThrow(complaint);
});

test("a file that is a folder", () => {
  mkdirSync(join(folder, "folder.yaml"));
  expect(() => openGrid(join(folder, "folder.yaml"))).toThrow(/folder\.yaml: it is a folder; wanted a text file/);
});
