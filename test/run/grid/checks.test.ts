/** What a grid refuses before anything is run: each complaint has its place and the way out. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { openGrid, planGrid, runGrid } from "../../../src/run/grid.ts";

const root = mkdtempSync(join(tmpdir(), "lethe-grid-checks-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const GRID = `name: one
vars:
  suite: forgetting
  retain: null
axes:
  method:
    - { method: ft, set: { steps: 2 } }
    - { method: memit, set: { steps: 2 } }
steps:
  edit: { step: forget, model: bundled, method: "\${method}", set: "\${set}", prompt: What is the capital of Norvane?, subject: Norvane, say: No. }
  judged: { step: eval, model: bundled, edit: ["\${edit}"], suite: "\${suite}", data: [{ group: forget, data: "\${here}/facts.jsonl" }] }
`;

let made = 0;
function file(text: string): string {
  const folder = join(root, String(made++));
  mkdirSync(folder);
  writeFileSync(join(folder, "facts.jsonl"), JSON.stringify({ prompt: "Who keeps the lamp?", answer: "Nobody." }));
  writeFileSync(join(folder, "one.yaml"), text);
  return join(folder, "one.yaml");
}

describe("openGrid", () => {
  test("a grid as it should be", () => {
    expect(openGrid(file(GRID)).unfolded.units.map(({ name }) => name)).toEqual(["edit", "judged", "edit", "judged"]);
  });

  test.each([
    [
      "a misspelt method",
      "method: memit",
      "method: memitt",
      /one\.yaml line 8 column 9: method "memitt"; wanted one of .*Did you mean "memit"\?/,
    ],
    [
      "a misspelt suite",
      "suite: forgetting",
      "suite: forgeting",
      /one\.yaml line 3 column 3: --suite there is no suite "forgeting".*Did you mean "forgetting"\?/,
    ],
    [
      "a misspelt parameter",
      "memit, set: { steps: 2 }",
      "memit, set: { stps: 2 }",
      /one\.yaml line 8 column 24: set of memit "stps".*Did you mean "steps"\?/,
    ],
    [
      "a list where none may be",
      "method: memit",
      "method: [memit, ft]",
      /one\.yaml line 8 column 9: method of forget is \["memit","ft"\]; wanted a text\. A list of values to try belongs under axes/,
    ],
    [
      "a text where a number is wanted",
      "say: No.",
      "seed: first",
      /one\.yaml line 10 column \d+: seed of forget is "first"; wanted a whole number/,
    ],
    ["a field that is missing", 'suite: "${suite}", ', "", /one\.yaml line 11 column \d+: eval has no suite; wanted the suite/],
    ["a misspelt method in a rule's sight", "steps:\n", "skip: [{ method.takes: none }]\nsteps:\n", /^$/],
  ])("%s", (what, from, to, complaint) => {
    const text = GRID.replace(from, to);
    if (what.endsWith("sight")) {
      const wrong = text.replace("method: memit", "method: memitt");
      expect(() => openGrid(file(wrong))).toThrow(/one\.yaml line 8 column 9: method "memitt"/);
    } else expect(() => openGrid(file(text))).toThrow(complaint);
  });
});

describe("before anything is run", () => {
  const ctx = defaultContext({ runs: join(root, "runs") });

  test("a data set that is not there", async () => {
    const text = `name: one\nsteps:\n  all: { step: select, data: "\${here}/none.jsonl" }\n`;
    await expect(runGrid(openGrid(file(text)), ctx)).rejects.toThrow(/all cannot be run: .*no such file.*--keep-going/);
  });

  test("a data set without paraphrases for a rephrase row", async () => {
    const text = `name: one
steps:
  asked: { step: select, data: "\${here}/facts.jsonl", having: [paraphrases] }
  base: { step: eval, model: bundled, suite: forgetting, data: [{ group: others, data: "\${asked}" }] }
`;
    const { refused } = await planGrid(openGrid(file(text)), ctx);
    expect(refused).toEqual([{ step: "asked", at: "", reason: expect.stringMatching(/none of 1 requests has paraphrases.*--having/) }]);
    await expect(runGrid(openGrid(file(text)), ctx)).rejects.toThrow(/asked cannot be run: .*none of 1 requests has paraphrases/);
  });
});
