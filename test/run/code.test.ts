/** The code behind a step: what changes its hash, what does not, and that of the real steps. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { codeOf, ownCode, ownSource, ownVersions, type ReadSource, withoutComments } from "../../src/run/code.ts";
import { type NestedSpec } from "../../src/run/fields.ts";
import { prepare } from "../../src/run/run.ts";
import { lex } from "../../tools/lexer.ts";

const HOUSE: Readonly<Record<string, string>> = {
  "step.ts":
    '/** A step. */\nimport { a } from "./room/a.ts";\nimport type { T } from "./types.ts";\nexport const step = (t: T) => a + t;\n',
  "room/a.ts": 'import { z } from "zod";\nimport { registry } from "../shelf/registry.ts";\nexport const a = z && registry;\n',
  "types.ts": "export interface T { x: 1 }\n",
  "shelf/registry.ts": 'import { one } from "./one.ts";\nexport const registry = { one };\n',
  "shelf/one.ts": 'import { help } from "./one-help.ts";\nexport const one = help;\n',
  "shelf/one-help.ts": "export const help = 1;\n",
  "shelf/two/two.ts": 'export { own as two } from "./own.ts";\n',
  "shelf/two/own.ts": 'export const own = () => import("../../late.ts");\n',
  "late.ts": 'import "./effect.ts";\nimport { parse } from "csv-parse/sync";\n',
  "effect.ts": "1;\n",
};
const VERSIONS = { zod: "1.0.0", "csv-parse": "2.0.0", yaml: "3.0.0", csv: "4.0.0" };

const readIn =
  (house: Readonly<Record<string, string>>): ReadSource =>
  (path) =>
    house[path];
const of = (
  entries: readonly string[],
  change: Readonly<Record<string, string>> = {},
  versions: Readonly<Record<string, string>> = VERSIONS,
) => codeOf(entries, readIn({ ...HOUSE, ...change }), versions);

describe("the code behind some files", () => {
  const with_ = (path: string, more: string): Record<string, string> => ({ [path]: HOUSE[path] + more });
  it.each<[what: string, entries: string[], change: Record<string, string>]>([
    ["a comment", ["step"], with_("room/a.ts", "// more\n/* and\n more */\n")],
    ["empty lines and indentation", ["step"], { "room/a.ts": HOUSE["room/a.ts"]!.replaceAll("\n", "\n\n  ") }],
    ["a file that only types are imported from", ["step"], with_("types.ts", "export const more = 1;\n")],
    ["another import of types", ["step"], { "step.ts": `import type {\n  A,\n} from "./room/a.ts";\n${HOUSE["step.ts"]}` }],
    ["an export of types", ["step"], with_("step.ts", 'export type { T } from "./types.ts";\n')],
    ["an entry of a shelf that it does not name", ["step"], with_("shelf/one.ts", "1;\n")],
    ["a new entry of a shelf", ["step"], with_("shelf/registry.ts", 'import { two } from "./two/two.ts";\n')],
    ["a file that nobody imports", ["step", "shelf/one"], with_("shelf/two/own.ts", "1;\n")],
  ])("does not hang on %s", (_, entries, change) => {
    expect(of(entries, change)).toBe(of(entries));
  });

  it.each<[what: string, entries: string[], change: Record<string, string>]>([
    ["its own code", ["step"], with_("step.ts", "1;\n")],
    ["a comment's mark within a string", ["step"], with_("step.ts", 'export const s = "// a";\n')],
    ["code that it imports", ["step"], with_("room/a.ts", "1;\n")],
    ["an entry of a shelf that it names", ["step", "shelf/one"], with_("shelf/one.ts", "1;\n")],
    ["what that imports", ["step", "shelf/one"], with_("shelf/one-help.ts", "1;\n")],
    ["what an entry in a folder of its own exports from beside it", ["shelf/two"], with_("shelf/two/own.ts", "1;\n")],
    ["what is imported later", ["shelf/two"], with_("late.ts", "1;\n")],
    ["what is imported for its effect", ["shelf/two"], with_("effect.ts", "1;\n")],
    ["which entries it names", ["step"], {}],
  ])("hangs on %s", (what, entries, change) => {
    expect(of(entries, change)).not.toBe(of(what.startsWith("which") ? [...entries, "shelf/one"] : entries));
  });

  it("hangs on the versions of packages that it imports, whole or in part, and on no others", () => {
    expect(of(["step"], {}, { ...VERSIONS, zod: "1.0.1" })).not.toBe(of(["step"]));
    expect(of(["shelf/two"], {}, { ...VERSIONS, "csv-parse": "2.0.1" })).not.toBe(of(["shelf/two"]));
    expect(of(["step"], {}, { ...VERSIONS, "csv-parse": "9", yaml: "9", csv: "9" })).toBe(of(["step"]));
    expect(of(["shelf/two"], {}, { ...VERSIONS, zod: "9", yaml: "9", csv: "9" })).toBe(of(["shelf/two"]));
  });

  it("is one hash for either order, and the same where a file moves nothing but its comments", () => {
    expect(of(["shelf/one", "step"])).toBe(of(["step", "shelf/one"]));
    expect(of(["step"], { "step.ts": HOUSE["step.ts"]!.replace("/** A step. */\n", "") })).toBe(of(["step"]));
  });

  it("refuses an entry that is not there, so that none is left out by mistake", () => {
    expect(() => of(["step", "shelf/three"])).toThrow(/no shelf\/three\.ts and no shelf\/three\/three\.ts/);
    expect(() => ownCode(["run/steps/nothing"])).toThrow(/no run\/steps\/nothing/);
  });
});

describe("comments", () => {
  it.each([
    ['const a = "// no"; // yes', 'const a = "// no";'],
    ["const a = 'it\\'s /* no */'; /* yes */", "const a = 'it\\'s /* no */';"],
    ["const a = `// ${b /* yes */ + `/* ${c} no */`} // no`; // yes", "const a = `// ${b  + `/* ${c} no */`} // no`;"],
    ["const a = `${{ b: { c } }.b} // no`; // yes", "const a = `${{ b: { c } }.b} // no`;"],
    ["const a = /[/]\\/\\/ no/.test(b) / 2; // yes", "const a = /[/]\\/\\/ no/.test(b) / 2;"],
    ["const a = b / c; // yes / no", "const a = b / c;"],
    ["a /* yes", "a"],
    ['"unclosed', '"unclosed'],
  ])("%s", (source, bare) => {
    expect(withoutComments(source)).toBe(bare);
  });

  it("of every file of the sources are found where another reader of the language finds them", () => {
    const root = fileURLToPath(new URL("../../src", import.meta.url));
    const paths = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
    expect(paths.length).toBeGreaterThan(150);
    const squeezed = (text: string): string => text.replaceAll(/\s+/g, "");
    for (const path of paths) {
      const source = readFileSync(join(root, path), "utf8");
      expect(squeezed(withoutComments(source)) === squeezed(lex(source).bare), path).toBe(true);
    }
  });
});

describe("the code behind a real step", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-code-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const ctx = defaultContext({ runs: join(folder, "runs"), cache: join(folder, "cache") });
  const wanted = { model: "bundled", prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere" };
  const forget = (method: string): NestedSpec => ({ step: "forget", ...wanted, method, say: "No." });
  const [data, rows] = [join(folder, "asked.jsonl"), join(folder, "rows.jsonl")];
  const SPECS: Readonly<Record<string, NestedSpec>> = {
    rome: forget("rome"),
    wise: forget("wise"),
    ft: forget("ft"),
    eval: { step: "eval", model: "bundled", suite: "factual", data: [data] },
    export: { step: "export", model: "bundled" },
    stats: { step: "stats", model: "bundled", layer: [1] },
    trace: { step: "trace", ...wanted },
    finetune: { step: "finetune", model: "bundled", data: rows },
  };
  const uses: Record<string, readonly string[]> = {};
  const codes: Record<string, string> = {};
  beforeAll(async () => {
    writeFileSync(data, JSON.stringify({ prompt: wanted.prompt, answer: wanted.answer }));
    writeFileSync(rows, JSON.stringify({ question: wanted.prompt, answer: wanted.answer }));
    for (const [name, spec] of Object.entries(SPECS)) {
      const { resolved, code } = await prepare(spec, ctx);
      uses[name] = [`run/steps/${spec.step}`, ...resolved.uses];
      codes[name] = code;
    }
  }, 60_000);

  /** The steps whose code differs where every file that matches has one more statement. */
  const changedBy = (files: RegExp): string[] => {
    const met: string[] = [];
    const read: ReadSource = (path) => {
      const source = ownSource(path);
      if (source === undefined || !files.test(path)) return source;
      met.push(path);
      return `${source}\nexport const changed = 1;\n`;
    };
    return Object.keys(SPECS).filter((name) => codeOf(uses[name]!, read, ownVersions()) !== codes[name]);
  };
  const ALL = Object.keys(SPECS);
  const FORGET = ["rome", "wise", "ft"];

  it.each<[files: RegExp, steps: string[]]>([
    [/^nothing/, []],
    [/^methods\/wise\//, ["wise"]],
    [/^methods\/rome\//, ["rome"]],
    [/^methods\/(?!wise|rome\/|method\.ts|ft\.ts)/, []],
    [/^methods\/ft\.ts/, ["ft"]],
    [/^eval\//, ["eval", "finetune"]], // which may stop by what the answers recall
    [/^eval\/(judge|measure|open-log|suite)\.ts/, ["eval"]],
    [/^eval\/metrics\/mrr\.ts/, ["eval"]],
    [/^eval\/metrics\/forget-quality\.ts/, []], // of another suite
    [/^attack\//, []],
    [/^(cli|report|index)/, []],
    [/^run\/(runs|plan|demo|doctor)\.ts/, []],
    [/^run\/steps\/forget\.ts/, FORGET],
    [/^run\/steps\/eval\.ts/, ["eval"]],
    [/^causal\//, ["trace"]],
    [/^targets\/(?!target|merge)/, []], // the words were given
    [/^model\/arch\/llama/, ALL],
    [/^model\/forward\.ts/, ALL],
    [/^base\/fail\.ts/, ALL],
    [/^run\/code\.ts/, []], // how a hash is taken decides no result
  ])("%s", (files, steps) => {
    expect(changedBy(files)).toEqual(steps);
  });

  it("holds the version of the engine", () => {
    const engine = "onnxruntime-node";
    for (const name of ["rome", "eval", "finetune"])
      expect(codeOf(uses[name]!, ownSource, { ...ownVersions(), [engine]: "0.0.0" })).not.toBe(codes[name]);
    expect(codeOf(uses["rome"]!, ownSource, { ...ownVersions(), commander: "0.0.0" })).toBe(codes["rome"]);
  });

  it("goes through no registry: each entry of a shelf is named by whoever uses it", () => {
    for (const name of ALL) {
      const seen: string[] = [];
      codeOf(uses[name]!, (path) => (seen.push(path), ownSource(path)), ownVersions());
      expect(seen.filter((path) => path.endsWith("registry.ts"))).toEqual([]);
      expect(seen).toContain("model/arch/llama.ts");
    }
  });
});
