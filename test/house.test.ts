/** The laws of the house, on the house itself; and each law once seen to fail on a house that breaks it. */
import { describe, expect, test } from "vitest";
import { type Files, readFiles } from "../tools/files.ts";
import * as laws from "../tools/laws.ts";
import { lex } from "../tools/lexer.ts";
import { entries, registryText, SHELVES } from "../tools/shelves.ts";
import { functions, sizes } from "../tools/sizes.ts";
import { withTable } from "../tools/tables.ts";

/** Why each dependency is here. */
const WHY: Readonly<Record<string, string>> = {
  "@bufbuild/protobuf": "writes the ONNX graphs that the tracer emits",
  "@huggingface/tokenizers": "runs tokenizer.json as every model's publisher meant it",
  commander: "parses the command line and writes its help",
  "csv-parse": "reads CSV with quotes, line breaks in cells, and the line of what is wrong",
  hyparquet: "decodes parquet, in which the hub keeps most datasets",
  "onnxruntime-node": "the numerical engine",
  "pg-boss": "the queue of a grid in PostgreSQL: jobs that are taken once",
  "@resvg/resvg-js": "turns the figures of reports from SVG into PNG, with the same pixels on every machine",
  "dejavu-fonts-ttf": "the font of those figures",
  vega: "draws the figures of reports as SVG, without a browser",
  "vega-lite": "the language of those figures, which other programs read too",
  yaml: "reads the hyperparameter files of other tools",
  zod: "parses parameters and files with errors that name the place",
  "@types/node": "types of Node, at the oldest version we support",
  "axe-core": "finds barriers in the pages of reports",
  "fast-check": "property tests and seeded mutations of files",
  "hyparquet-writer": "writes the parquet files that tests read and damage",
  oxfmt: "the format",
  oxlint: "the lint",
  "oxlint-tsgolint": "lint rules that know types: floating promises",
  "playwright-core": "opens the pages of reports in Chromium",
  tsx: "runs the tools and benchmarks from their TypeScript",
  typescript: "types, and the build",
  vitest: "runs the tests",
  wabt: "compiles the optimisers' kernels from their WebAssembly text",
};

/** Words that are an id by accident: file → id → the reason it may stand there. */
const EXCUSES: laws.Excuses = {
  "src/locate/search.ts": { kl: "the divergence as a term of a search, which hyperparameter files name so" },
  "src/locate/values.ts": { kl: "the same term as an output of the search's graph" },
  "src/train/replay.ts": { replay: "the word for doing a journal's updates again, which is what the craft does" },
  "src/text/tokenizer-gguf.ts": {
    llama: "GGUF's word for a SentencePiece vocabulary, whatever architecture has it",
    gpt2: "GGUF's word for a byte-level vocabulary, whatever architecture has it",
    qwen2: "the name of a way to split text, which other architectures use too",
  },
};

/** Files of `locate/` with one user: file → the reason. */
const ONE_USER: laws.OneUser = {
  "src/locate/gates.ts": "its second user comes with gates for the whole edit",
};

/** Files that have a model generate without asking it something: file → what they want. */
const GENERATE: Readonly<Record<string, string>> = {
  "src/locate/contexts.ts": "beginnings of texts, drawn, in whose company a question is put",
  "src/locate/contrast.ts": "tokens behind other tokens: stand-ins for a subject, of whose states keys are made",
  "src/locate/generated-text.ts": "texts as rows of tokens, drawn from a given beginning",
  "src/eval/measure.ts": "answers behind prompts that were read once, behind which other texts are scored as well",
  "src/index.ts": "the public surface",
  "src/testing/arch.ts": "greedy tokens of an architecture, compared with those of its reference",
};

/** Exported values without a user: file and name → the reason. */
const UNUSED: laws.Unused = {};

const house = readFiles();

describe("the house is in order", () => {
  const plain: readonly (readonly [string, laws.Law])[] = [
    ["every import follows an arrow", laws.importLaw],
    ["a model is asked through src/ask/", (files) => laws.oneAsker(files, GENERATE)],
    ["no cycles", laws.noCycles],
    ["what one method alone uses is beside it", (files) => laws.locateIsShared(files, ONE_USER)],
    ["no method or architecture is named outside its own file", (files) => laws.noNamesOutOfPlace(files, EXCUSES)],
    ["environment, console, clock and chance come through the context", laws.noHiddenInputs],
    ["one door to the cache", laws.oneCache],
    ["no any, no suppression, no default export, no enum", laws.noWayAround],
    ["dependencies are exact and each has its reason", (files) => laws.exactDependencies(files, WHY)],
    ["one test and one page for every method, architecture and metric", laws.oneTestOnePage],
    ["a skipped test says why", laws.skipsSayWhy],
    ["every file opens with a sentence", laws.opensWithASentence],
    ["index.ts re-exports by name", laws.indexOnlyReexports],
    ["an exported value has a user elsewhere", (files) => laws.exportsAreUsed(files, UNUSED)],
    ["no path of the machine it was written on", laws.noMachinePaths],
  ];
  test.each(plain)("%s", (_, law) => {
    expect(law(house)).toEqual([]);
  });

  test("the files were read", () => {
    for (const path of ["src/base/fail.ts", "test/house.test.ts", "package.json", "tools/laws.ts"]) expect(house.has(path)).toBe(true);
  });
});

const small: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({ dependencies: { zod: "4.6.7" } }),
  "src/base/fail.ts": "/** One. */\nexport const fail = 1;\n",
  "src/methods/method.ts": "/** One. */\nexport const defineMethod = <T>(m: T): T => m;\n",
  "src/methods/rome.ts": '/** One. */\nimport { defineMethod } from "./method.ts";\nexport const rome = defineMethod({ name: "rome" });\n',
  "src/methods/defaults.json": '{ "rome": {} }',
  "src/methods/registry.ts": '/** One. */\nimport { rome } from "./rome.ts";\nexport const registry = { "rome": rome };\n',
  "src/run/record.ts": "/** One. */\nexport const record = 1;\n",
  "src/run/run.ts": '/** One. */\nimport { registry } from "../methods/registry.ts";\nexport const run = registry;\n',
  "src/report/page.ts": '/** One. */\nimport { record } from "../run/record.ts";\nexport const page = record;\n',
  "src/index.ts":
    '/** One. */\nexport { fail } from "./base/fail.ts";\nexport { run } from "./run/run.ts";\nexport { page } from "./report/page.ts";\nexport type { A, B } from "./base/fail.ts";\n',
  "test/methods/rome.test.ts": '/** One. */\nimport { registry } from "../../src/methods/registry.ts";\nregistry.rome;\n',
  "docs/methods/rome.md": "# ROME\n",
};

/** The small house with some files replaced or added; undefined takes one away. */
function smallHouse(changes: Readonly<Record<string, string | undefined>> = {}): Files {
  const merged = Object.entries({ ...small, ...changes }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new Map(merged);
}

const line = (text: string): string => `/** One. */\n${text}\n`;
const TICK = "`";

describe("each law can be broken", () => {
  const why = { zod: "because" };
  const all: Readonly<Record<string, laws.Law>> = {
    ...laws,
    exactDependencies: (files: Files) => laws.exactDependencies(files, why),
  } as unknown as Record<string, laws.Law>;
  const NAMES = Object.keys(all).filter((name) => typeof all[name] === "function" && name !== "imports");

  test.each(NAMES)("the small house keeps %s", (name) => {
    expect(all[name]!(smallHouse())).toEqual([]);
  });

  const BROKEN: readonly (readonly [law: string, path: string, text: string | undefined, complaint: RegExp])[] = [
    ["importLaw", "src/base/x.ts", line('import { page } from "../report/page.ts";'), /base may import nothing/],
    [
      "importLaw",
      "src/report/x.ts",
      line('import type { run } from "../run/run.ts";'),
      /report may import run\/record\.ts, run\/grid\/record\.ts, base/,
    ],
    ["importLaw", "src/eval/x.ts", line('const m = await import("../methods/rome.ts");'), /eval may import/],
    ["importLaw", "src/cli/x.ts", line('export {\n  rome,\n} from "../methods/rome.ts";'), /cli may import run/],
    ["importLaw", "src/methods/gd.ts", line('import { rome } from "./rome.ts";'), /one method never sees another/],
    ["importLaw", "src/base/x.ts", line('import "./nothing.ts";'), /there is no such file/],
    ["importLaw", "src/base/x.ts", line('import { lex } from "../../tools/lexer.ts";'), /nothing outside itself/],
    ["importLaw", "src/utils/x.ts", line('import { fail } from "../base/fail.ts";'), /utils\/ is not in the table/],
    ["locateIsShared", "src/locate/x.ts", line("export const a = 1;"), /src\/locate\/x\.ts: has 0 user \(none\)/],
    [
      "oneAsker",
      "src/run/x.ts",
      line('import { generate } from "../model/decode/generate.ts";'),
      /src\/run\/x\.ts: imports .*ask through src\/ask\//,
    ],
    ["noCycles", "src/base/fail.ts", line('import { b } from "./b.ts";\nexport const fail = b;'), /^$/],
    [
      "noNamesOutOfPlace",
      "src/run/x.ts",
      line('export const start = (name: string) => name === "rome";'),
      /src\/run\/x\.ts:2: quotes the method "rome"/,
    ],
    ["noNamesOutOfPlace", "src/run/x.ts", line(`export const start = ${TICK}rome${TICK};`), /quotes the method/],
    ["noNamesOutOfPlace", "src/run/x.json", '{ "method": "rome" }', /x\.json:1: quotes the method/],
    ["noHiddenInputs", "src/run/x.ts", line("export const home = process.env;"), /process\.env belongs to ctx/],
    ["noHiddenInputs", "src/run/x.ts", line("console.log(1);"), /console/],
    ["noHiddenInputs", "src/run/x.ts", line("export const t = Date.now();"), /Date\.now/],
    ["noHiddenInputs", "src/run/x.ts", line(`export const t = ${TICK}\${performance.now()}${TICK};`), /performance\.now/],
    ["noHiddenInputs", "src/cli/x.ts", line("export const r = Math.random();"), /no seed/],
    ["oneCache", "src/run/x.ts", line('export const file = (ctx: Context) => join(ctx.cache, "x");'), /\.cache is read by hand/],
    ["oneCache", "src/locate/x.ts", line("export const file = (job: Job) => job\n  .ctx?.cache;"), /x\.ts:3: .* use base\/kept\.ts/],
    ["oneCache", "src/train/x.ts", line("const { log, cache } = job.ctx;"), /by hand/],
    ["oneCache", "src/data/x.ts", line("export const file = ({ cache, log }: Context) => cache;"), /by hand/],
    ["noWayAround", "test/x.ts", line("export const a: any = 1;"), /test\/x\.ts:2: `any`/],
    ["noWayAround", "src/base/x.ts", line("export const a = 1 as any;"), /any/],
    ["noWayAround", "src/base/x.ts", line("export const a: Map<string, any> = new Map();"), /any/],
    ["noWayAround", "src/base/x.ts", line("// @ts-ignore\nexport const a = 1;"), /silences a check/],
    ["noWayAround", "src/base/x.ts", line("/* eslint-disable */"), /silences a check/],
    ["noWayAround", "src/base/x.ts", line("export default 1;"), /default export/],
    ["noWayAround", "src/base/x.ts", line("export enum A { B }"), /enum/],
    ["exactDependencies", "package.json", '{ "dependencies": { "zod": "^4.6.7" } }', /not one exact version/],
    ["exactDependencies", "package.json", '{ "devDependencies": { "zod": "4.6.7", "left-pad": "1.3.0" } }', /left-pad has no line/],
    ["exactDependencies", "package.json", "{}", /zod is explained but not/],
    ["exactDependencies", "package-lock.json", '{ "resolved": "x" }', /names the registry/],
    ["oneTestOnePage", "docs/methods/rome.md", undefined, /has no page docs\/methods\/rome\.md/],
    ["oneTestOnePage", "test/methods/rome.test.ts", undefined, /no test speaks of it/],
    ["oneTestOnePage", "src/methods/rome.ts", line("export const romeMethod = 1;"), /does not export `rome`/],
    ["skipsSayWhy", "test/x.test.ts", line('it.skip("adds", () => {});'), /a skip without its reason/],
    ["skipsSayWhy", "test/x.test.ts", line('describe.skipIf(true)("adds", () => {});'), /a skip without its reason/],
    ["opensWithASentence", "src/base/x.ts", "export const a = 1;\n", /does not open/],
    ["indexOnlyReexports", "src/index.ts", line('export * from "./run/run.ts";'), /more than named/],
    ["exportsAreUsed", "src/base/x.ts", line("export const a = 1;\nconst b = a;"), /src\/base\/x\.ts: exports a, and/],
    ["noMachinePaths", "docs/x.md", ["/", "work", "/main"].join(""), /folder of one machine/],
  ];
  test.each(BROKEN.filter(([law]) => law !== "noCycles"))("%s: %s", (law, path, text, complaint) => {
    const complaints = all[law]!(smallHouse({ [path]: text }));
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toMatch(complaint);
  });

  test.each([
    ["values", 'import { b } from "./b.ts";\nexport const a = b;', 'import { a } from "./a.ts";\nexport const b = a;'],
    ["types", 'import type { B } from "./b.ts";\nexport type A = B[];', 'import type { A } from "./a.ts";\nexport type B = A | 1;'],
    ["types, one way", 'import { b } from "./b.ts";\nexport type A = 1;', 'import type { A } from "./a.ts";\nexport const b: A = 1;'],
    ["types, exported on", 'export type { B } from "./b.ts";\nexport type A = 1;', 'import type { A } from "./a.ts";\nexport type B = A;'],
  ])("noCycles: %s", (_, a, b) => {
    const files = smallHouse({ "src/base/a.ts": line(a), "src/base/b.ts": line(b) });
    expect(laws.noCycles(files)).toEqual(["cycle: src/base/a.ts → src/base/b.ts → src/base/a.ts"]);
  });

  test("every law is broken once here", () => {
    expect([...new Set(BROKEN.map(([law]) => law))].sort()).toEqual(NAMES.sort());
  });

  test("words in prose break nothing", () => {
    const prose = line(
      '// console.log, any, "rome", process.env: as any\nconst a = "use console.log(Date.now()): any";\nconst b = /"rome" as any/;',
    );
    for (const name of NAMES) expect(all[name]!(smallHouse({ "src/run/x.ts": prose }))).toEqual([]);
  });

  test("the cache's own files read it, and other caches are no concern", () => {
    const read = line("export const a = ctx.cache;");
    const other = line("const { cache } = begun;\nexport const a = [settings.cache, past?.cache, ...cache, { ...ctx, cache: a }];");
    const files = smallHouse({ "src/base/kept.ts": read, "src/run/doctor.ts": read, "src/cli/x.ts": read, "src/run/x.ts": other });
    expect(laws.oneCache(files)).toEqual([]);
  });

  test("who is excused for generating generates; types are free, and the asker needs no excuse", () => {
    const asking = line('import { generate } from "../model/decode/generate.ts";');
    const typed = line('import type { Generated } from "../model/decode/generate.ts";');
    expect(laws.oneAsker(smallHouse({ "src/ask/x.ts": asking, "src/run/x.ts": typed }))).toEqual([]);
    expect(laws.oneAsker(smallHouse({ "src/run/x.ts": asking }), { "src/run/x.ts": "texts" })).toEqual([]);
    expect(laws.oneAsker(smallHouse(), { "src/run/x.ts": "texts" })).toEqual(["src/run/x.ts: is excused for generating and does not"]);
  });

  test("an excuse holds for one word in one file", () => {
    const files = smallHouse({ "src/run/x.ts": line('export const a = "rome";'), "src/run/y.ts": line('export const a = "rome";') });
    expect(laws.noNamesOutOfPlace(files, { "src/run/x.ts": { rome: "the city" } })).toHaveLength(1);
  });
});

describe("what the laws and tables read with", () => {
  test("the lexer keeps lines and tells code from text", () => {
    const source = 'const a = `x${f("y")}z`; // "no"\nconst b = /[/"]/g; const c = \'it\\\'s\';';
    const { tokens, code } = lex(source);
    expect(tokens.map(({ kind, text, line: at }) => `${kind}@${at}:${text}`)).toEqual([
      "string@1:x",
      "string@1:y",
      "string@1:z",
      'comment@1:// "no"',
      'regex@2:[/"]',
      "string@2:it\\'s",
    ]);
    expect(code).toHaveLength(source.length);
  });

  test("functions are measured by their brackets", () => {
    const source =
      "export function f<T>(a: { b: T }): { c: T } {\n  return a;\n}\nconst g = (x: number): number => {\n  return x;\n};\nclass A {\n  h(): void {\n  }\n}\n";
    expect(functions(source)).toEqual([
      { name: "f", line: 1, lines: 3 },
      { name: "g", line: 4, lines: 3 },
      { name: "h", line: 8, lines: 2 },
    ]);
  });

  test("sizes shows what is past a limit", () => {
    const body = "  f();\n".repeat(160);
    const files = new Map([["src/methods/rome.ts", `/** One. */\nfunction long() {\n${body}}\n`]]);
    expect(sizes(files).map(({ what, limit }) => [what, limit])).toEqual([
      ["src/methods/rome.ts", 150],
      ["src/methods/rome.ts:2 long", 60],
    ]);
  });

  test("a registry lists the entries and leaves the helpers out", () => {
    const shelf = SHELVES[2]!;
    const ids = entries(
      shelf,
      ["metric.ts", "registry.ts", "truth-ratio.ts", "rouge1.ts", "deep/x.ts"].map((name) => `${shelf.folder}/${name}`),
    );
    expect(ids).toEqual(["rouge1", "truth-ratio"]);
    expect(registryText(shelf, ids, () => false)).toContain('import { truthRatio } from "./truth-ratio.ts";');
    expect(registryText(shelf, ids, () => false)).toContain('"truth-ratio": truthRatio,');
  });

  test("a page's table is made from the declaration", () => {
    const declared = {
      params: { lr: { default: 0.5, doc: "step | size", source: "paper" }, layer: { default: () => 1, doc: "where", source: "measured" } },
      compat: { old: "the quirk" },
    };
    const page = withTable("# M\n<!-- params -->\nstale\n<!-- /params -->\nend\n", declared)!;
    expect(page).toContain("| `lr` | `0.5` | step \\| size | paper |");
    expect(page).toContain("| `layer` | by the model | where | measured |");
    expect(page).toContain("| `old` | the quirk |");
    expect(page).not.toContain("stale");
    expect(withTable(page, declared)).toBe(page);
    expect(withTable("# no markers", declared)).toBeUndefined();
  });
});
