/** Grid files read: what is wrong is told with its line and column, and with the nearest name. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseGrid, readGrid } from "../../../src/run/grid/read.ts";
import { gridJsonSchema } from "../../../src/run/grid/schema.ts";

const GOOD = `name: one
vars:
  model: bundled
  facts: 40
axes:
  method: [ft, memit]
steps:
  edit:
    step: forget
    model: \${model}
    method: \${method}
    prompt: What is the capital of Norvane?
tables:
  main:
    rows: [method]
    columns:
      - { title: method, text: "\${method}" }
      - { title: KiB, bytes: edit }
`;
const read = (text: string, set: Record<string, string> = {}) => parseGrid(text, "studies/one.yaml", set);
const changed = (from: string, to: string) => () => read(GOOD.replace(from, to));

describe("parseGrid", () => {
  test("a file as it should be, and the folder that it is in", () => {
    const { grid } = read(GOOD);
    expect(Object.keys(grid.steps)).toEqual(["edit"]);
    expect(grid.vars).toEqual({ model: "bundled", facts: 40, here: "studies" });
  });

  test("--set gives values as YAML reads them", () => {
    expect(read(GOOD, { facts: "5", model: "./other" }).grid.vars).toMatchObject({ facts: 5, model: "./other" });
    expect(read(GOOD, { model: "[1, 2]" }).grid.vars["model"]).toEqual([1, 2]);
    expect(() => read(GOOD, { fact: "5" })).toThrow(
      /--set: there is no variable "fact"; wanted one of model, facts\. Did you mean "facts"\?/,
    );
  });

  test.each([
    ["name: one", "nam: one", /one\.yaml line 1 column 1: there is no key "nam".*Did you mean "name"\?/],
    ["name: one", "name: One grid", /one\.yaml line 1 column 1: name is "One grid"; wanted lower-case letters, digits and hyphens/],
    ["[ft, memit]", "ft", /line 6 column 3: axes\.method is "ft"; wanted a list, \{ range: N \}, or/],
    ["step: forget", "step: forgt", /line 9 column 5: no step "forgt".*Did you mean "forget"\?/],
    ["method: ${method}", "methd: ${method}", /line 11 column 5: forget has no field "methd".*Did you mean "method"\?/],
    ["bytes: edit", "bytes: edt", /line 18 column 23: there is no step "edt".*Did you mean "edit"\?/],
    ["bytes: edit", "bytes: edit, seconds: edit", /line 18 column 9: "KiB" says seconds and bytes; wanted one of/],
    ["bytes: edit", "number: ROUGE-1", /"KiB" has number alone; wanted number and of/],
    ["bytes: edit", "bites: edit", /line 18 column 23: there is no key "bites".*Did you mean "bytes"\?/],
    ["  edit:", "  facts:", /line 8 column 3: the step "facts" is called like a variable/],
    ["step: forget", "doc: forget", /line 8 column 3: "edit" does not say which step it is/],
    ["name: one", "name: [one", /one\.yaml line \d+ column \d+: /],
  ])("%s as %s", (from, to, complaint) => {
    expect(changed(from, to)).toThrow(complaint);
  });

  test("a template inside a template is checked too", () => {
    const nested = GOOD.replace("prompt: What is the capital of Norvane?", "data: { step: select, dat: x }");
    expect(() => read(nested)).toThrow(/line 12 column 27: select has no field "dat".*Did you mean "data"\?/);
  });

  test("what came by a merge is placed at what merged it", () => {
    const text = GOOD.replace("steps:", "shared: &base { modl: bundled }\nsteps:").replace(
      "    step: forget",
      "    <<: *base\n    step: forget",
    );
    expect(() => read(text)).toThrow(/line 9 column 3: forget has no field "modl"/);
  });

  test("the schema of the file is JSON Schema with a word on each key", () => {
    const schema = gridJsonSchema() as { properties: Record<string, { description?: string }>; required: string[] };
    expect(schema.required).toEqual(["name", "steps"]);
    for (const key of Object.keys(schema.properties)) expect(schema.properties[key]!.description, key).toMatch(/\w/);
  });
});

describe("what files share", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-use-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const common = join(folder, "common.yaml");
  const own = join(folder, "own.yaml");
  const readBoth = (shared: string, file: string, set: Record<string, string> = {}) => {
    writeFileSync(common, shared);
    writeFileSync(own, `name: own\nuse: common.yaml\n${file}`);
    return readGrid(own, set);
  };
  const COMMON =
    "vars: { n: 1, m: 1, scale: small }\nscales: { small: { n: 2 }, large: { n: 3, m: 3 } }\nsteps: { a: { step: stats, model: bundled } }\n";

  test("a file has the variables, scales and steps of the file that it uses; its own hold where both have a name", () => {
    const { grid, wanted } = readBoth(COMMON, "vars: { m: 5 }\nsteps: { b: { step: stats, model: bundled } }");
    expect(grid.vars).toMatchObject({ n: 2, m: 5, scale: "small" });
    expect(Object.keys(grid.steps)).toEqual(["a", "b"]);
    expect(wanted).toEqual(["b"]); // a shared step is run where something needs it
  });

  test("the scale gives variables other values, and --set comes last", () => {
    expect(readBoth(COMMON, "", { scale: "large" }).grid.vars).toMatchObject({ n: 3, m: 3 });
    expect(readBoth(COMMON, "", { scale: "large", n: "9" }).grid.vars).toMatchObject({ n: 9, m: 3 });
    expect(() => readBoth(COMMON, "", { scale: "lage" })).toThrow(/--set scale: there is no scale "lage".*Did you mean "large"\?/);
    expect(() => readBoth(COMMON.replace("{ n: 2 }", "{ k: 2 }"), "")).toThrow(
      /common\.yaml line 2 column 20: there is no variable "k"; wanted one of/,
    );
  });

  test("a complaint names the file that the part is in", () => {
    expect(() => readBoth(COMMON.replace("stats", "stat"), "")).toThrow(/common\.yaml line 3 column 15: no step "stat".*"stats"/);
    expect(() => readBoth(COMMON, "steps: { b: { step: stat, model: bundled } }")).toThrow(/own\.yaml line 3 column 15: no step "stat"/);
    expect(() => readBoth(`${COMMON}axes: { n: [1] }`, "")).toThrow(/common\.yaml line 4 column 1: a shared file has no key "axes"/);
    expect(() => readBoth("- 1", "")).toThrow(/common\.yaml: no table of names/);
    rmSync(common);
    expect(() => readGrid(own)).toThrow(/common\.yaml: there is no such file/);
  });
});
