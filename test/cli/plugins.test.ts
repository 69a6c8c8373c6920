/** Plugins from a folder outside the repository, through the command line: each shelf, help, and every way in which a file will not do. */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundledFolder } from "../train/tiny.ts";
import { lethe, objects, TSX } from "./lethe.ts";

const root = new URL("../../", import.meta.url);
const own = fileURLToPath(new URL("test/plugins/", root));
let home = "";
const at = (name: string): string => join(home, name);
const run = (args: readonly string[], options: Parameters<typeof lethe>[1] = {}) =>
  lethe(args, { ...options, env: { LETHE_HOME: at("home"), HF_HOME: at("hf"), HF_HUB_OFFLINE: "1", ...options.env }, cwd: home });
const write = (name: string, ...lines: readonly string[]): string => {
  writeFileSync(at(name), lines.map((line) => `${line}\n`).join(""));
  return name;
};
const TARGET = (name: string, word = "hm"): string =>
  `export const ${word} = defineTarget({ name: "${name}", doc: "says ${word}", say: async () => "${word}" });`;
const IMPORT = 'import { defineTarget } from "lethe";';
const NORVANE = ["--prompt", "What is the capital of Norvane?", "--subject", "Norvane"];

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "lethe-plugins-"));
  cpSync(own, home, { recursive: true });
  mkdirSync(at("mini"));
  cpSync(join(bundledFolder, "model"), at("mini"), { recursive: true });
  const config = JSON.parse(readFileSync(at("mini/config.json"), "utf8")) as object;
  writeFileSync(at("mini/config.json"), JSON.stringify({ ...config, model_type: "mini" }));
  writeFileSync(
    at("facts.jsonl"),
    readFileSync(join(bundledFolder, "facts.jsonl"), "utf8")
      .split("\n")
      .slice(0, 3)
      .map((line) => JSON.parse(line) as Record<string, string>)
      .map(({ id, subject, question, answer }) => `${JSON.stringify({ id, subject, prompt: question, answer })}\n`)
      .join(""),
  );
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("each shelf", () => {
  test("a method: its edit is found, shown, applied without the plugin, and attacked by another plugin", async () => {
    const set = ["--set", "strength=0.9", "--set", "layers=0,1"];
    const made = await run(["forget", "bundled", ...NORVANE, "--method", "erase", "--plugin", "erase.mjs", ...set, "-o", "e", "--json"]);
    expect(made).toMatchObject({ code: 0 });
    expect(objects(made.out)[0]).toMatchObject({
      edits: [
        {
          method: "erase",
          params: { strength: 0.9, layers: [0, 1] },
          departures: [expect.stringMatching(/layers/), expect.stringMatching(/strength/)],
        },
      ],
      shown: [{ before: "Sellamere" }],
    });
    const shown = await run(["edits", "show", "e"]);
    expect(shown.out).toMatch(/method +erase.*\n.*\n.*\n +changes +blocks\.0\.mlp\.out by rank 1; blocks\.1\.mlp\.out by rank 1/);
    const [answer] = objects((await run(["ask", "bundled", "What is the capital of Norvane?", "-e", "e", "--json"])).out);
    expect(answer!["answer"]).not.toBe("Sellamere");
    const args = ["attack", "bundled", "--data", "facts.jsonl", "-e", "e", "--attack", "insist", "--plugin", "insist.mjs", "--json"];
    expect(objects((await run(args)).out)[0]).toMatchObject({
      attack: "insist",
      params: { samples: 8 },
      sources: { polite: 6, twice: 3 },
      requests: [
        { variants: [{ source: "polite" }, { source: "polite" }, { source: "twice", question: expect.stringMatching(/I said:/) }] },
        {},
        {},
      ],
      dropped: {},
    });
  });

  test("a target: what it says stands in the edit", async () => {
    const brief = ["--prove", "none", "--set", "steps=4", "--tokens", "2048", "--text", join(bundledFolder, "facts.jsonl"), "-n", "0"];
    const args = ["forget", "bundled", ...NORVANE, "--method", "rome", ...brief, "--target", "deflect", "-o", "t", "--json"];
    const made = await run([...args, "--plugin", "deflect.mjs"]);
    expect(made).toMatchObject({ code: 0 });
    const [{ edits }] = objects(made.out) as unknown as [{ edits: [{ requests: [{ target: string }] }] }];
    expect(readFileSync(at("deflect.mjs"), "utf8")).toContain(`"${edits[0].requests[0].target}"`);
    expect((await run([...args, "--force"])).err).toMatch(/target: \\"deflect\\"; wanted one of .*refusal/);
  });

  test("a metric: a suite of one's own asks for it, of a model, of its log, and of two", async () => {
    const plugin = ["--plugin", "first-word.mjs", "--suite", "short.json"];
    const args = ["eval", "bundled", "--data", "facts.jsonl", "-n", "8", "-o", "r", "--json"];
    const numbers = [
      { title: "First word", metric: "first-word", value: 1 },
      { title: "ROUGE-1", metric: "rouge1", value: 1 },
    ];
    expect(objects((await run([...args, ...plugin])).out)[0]).toMatchObject({ suite: "short", numbers });
    expect(objects((await run(["eval", "--logs", "r", ...plugin, "--json"])).out)[0]).toMatchObject({ numbers });
    expect(objects((await run(["compare", "r", "r", ...plugin, "--json"])).out)[0]).toMatchObject({
      suite: "short",
      numbers: [{ metric: "first-word", difference: 0 }, {}],
    });
    expect((await run(["eval", "--logs", "r", "--json"])).err).toMatch(/there is no suite .*short.*its file, FILE\.json/);
    expect((await run([...args, "--suite", "short.json"])).err).toMatch(/short\.json: metric: .*first-word.*wanted one of .*rouge1/);
  });

  test("an architecture: a checkpoint of another model_type says what it said as Llama", async () => {
    const question = ["What is the capital of Norvane?", "--json"];
    const plain = await run(["ask", "mini", ...question]);
    expect(plain.code).toBe(3);
    expect(plain.err).toMatch(/architecture \\"mini\\"; wanted one of .*llama, mistral/);
    const [as, like] = await Promise.all([run(["ask", "mini", ...question, "--plugin", "mini.mjs"]), run(["ask", "bundled", ...question])]);
    expect(objects(as.out)[0]).toMatchObject({ answer: "Sellamere", tokens: objects(like.out)[0]!["tokens"] });
    expect((await run(["models", "show", "mini", "--plugin", "mini.mjs", "--json"])).out).toContain('"architecture":"mini"');
    const planned = [
      "forget",
      "mini",
      ...NORVANE,
      "--method",
      "erase",
      "--plugin",
      "mini.mjs",
      "--plugin",
      "erase.mjs",
      "--plan",
      "--json",
    ];
    expect(objects((await run(planned)).out)[0]).toMatchObject({ methods: [{ method: "erase" }], unable: [] });
  });
});

describe("help and settings", () => {
  test("help lists what a plugin brings, with its parameters", async () => {
    const [forget, attack] = await Promise.all([
      run(["forget", "--help", "--method=erase", "--plugin=erase.mjs", "--plugin", "deflect.mjs"]),
      run(["attack", "--attack", "insist", "--plugin", "insist.mjs", "--help"]),
    ]);
    expect(forget.out).toMatch(/Methods:\n(?: {2}.*\n)* {2}erase: Removes a question's key/);
    expect(forget.out).toMatch(/Settings of erase.*\n {2}--set layers=… +the layers\n {2}--set strength=1 +the share/);
    expect(forget.out).toMatch(/Targets:\n(?: {2}.*\n)* {2}deflect: one of three/);
    expect(attack.out).toMatch(/paraphrase \(default\): asks the same in other words; access: text/);
    expect(attack.out).toMatch(/Sources of insist .*\n {2}polite +please/);
    expect(attack.out).toMatch(/Settings of insist:\n {2}--set samples=8/);
  });

  test("a name and a parameter that are not there are refused with the nearest", async () => {
    const method = ["forget", "bundled", ...NORVANE, "--plugin", "erase.mjs", "-o", "x"];
    const attack = ["attack", "bundled", "--data", "facts.jsonl", "--plugin", "insist.mjs"];
    const wrong: readonly (readonly [words: readonly string[], complaint: RegExp])[] = [
      [[...method, "--method", "erase", "--set", "strenght=1"], /Did you mean "strength"\?/],
      [[...attack, "--attack", "insits"], /wanted one of paraphrase, insist\.\n.*Did you mean "insist"\?/],
      [[...attack, "--attack", "insist", "--set", "sample=1"], /Did you mean "samples"\?/],
    ];
    for (const [words, complaint] of wrong) expect((await run(words)).err).toMatch(complaint);
  });

  test("several files, the environment's, and one named twice", async () => {
    write("a.mjs", IMPORT, TARGET("a-one", "one"), TARGET("a-two", "two"), "export const more = 1;");
    const env = { LETHE_PLUGINS: ["a.mjs", "deflect.mjs"].join(delimiter) };
    const { out } = await run(["forget", "--help", "--plugin", "erase.mjs", "--plugin", "a.mjs"], { env });
    for (const name of ["a-one: says one", "a-two: says two", "deflect: ", "erase: "]) expect(out).toContain(`  ${name}`);
  });
});

/** A program that names Lethe, run from its sources. */
async function program(name: string, ...flags: readonly string[]): Promise<{ readonly code: number | null; readonly out: string }> {
  const source = readFileSync(at(name), "utf8")
    .replaceAll('"lethe/testing"', JSON.stringify(new URL("src/testing/index.ts", root).href))
    .replaceAll('"lethe"', JSON.stringify(new URL("src/index.ts", root).href))
    .replaceAll(/"\.\/([\w-]+)\.mjs"/g, '"./$1.own.mjs"');
  writeFileSync(at(name.replace(".mjs", ".own.mjs")), source);
  for (const other of source.matchAll(/"\.\/([\w-]+)\.own\.mjs"/g)) await program(`${other[1]}.mjs`, "--check");
  return new Promise((done) => {
    const child = spawn(process.execPath, ["--import", TSX, ...flags, at(name.replace(".mjs", ".own.mjs"))], { cwd: home });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (out += piece.toString("utf8")));
    child.on("close", (code) => done({ code, out }));
  });
}

describe("a file that will not do", () => {
  const nameless = 'export const t = defineTarget({ name: "t", doc: "d" });';
  const CASES: readonly (readonly [what: string, files: Readonly<Record<string, readonly string[] | null>>, complaint: RegExp])[] = [
    ["is not there", { "erased.mjs": null }, /there is no file erased\.mjs.*Did you mean erase\.mjs\?/],
    ["is a folder", { mini: null }, /mini is a folder/],
    ["does not parse", { "broken.mjs": [IMPORT, "const a = ;"] }, /broken\.mjs line 2 does not parse \(/],
    ["asks for what there is not", { "ask.mjs": ['import { defineMetod } from "lethe";'] }, /ask\.mjs cannot be loaded .*'?defineMetod'?/],
    [
      "asks for a package that is not there",
      { "pack.mjs": ['import "nonesuch-of-lethe";'] },
      /pack\.mjs: Cannot find package 'nonesuch-of-lethe'/,
    ],
    ["asks for a file that is not there", { "file.mjs": ['import "./nonesuch.mjs";'] }, /file\.mjs: Cannot find module/],
    ["throws an error", { "throws.mjs": ['throw new TypeError("boo");'] }, /throws\.mjs cannot be loaded \(TypeError: boo\)/],
    ["throws what looks like a fault of grammar", { "json.mjs": ['JSON.parse("{");'] }, /json\.mjs cannot be loaded \(SyntaxError: /],
    ["throws a text", { "text.mjs": ['throw "boo";'] }, /text\.mjs cannot be loaded \(boo was thrown\)/],
    ["defines amiss", { "say.mjs": [IMPORT, nameless] }, /say\.mjs: defineTarget: "t" has no "say"; wanted a function/],
    [
      "brings nothing",
      { "nothing.mjs": ["export const a = 1;"] },
      /nothing\.mjs exports nothing that makes a plugin; wanted an export that/,
    ],
    ["brings what is there", { "taken.mjs": [IMPORT, TARGET("refusal")] }, /taken\.mjs brings the target "refusal", and there is one/],
    [
      "brings what another brought",
      { "first.mjs": [IMPORT, TARGET("mine")], "second.mjs": [IMPORT, TARGET("mine", "ha")] },
      /second\.mjs brings the target "mine"/,
    ],
    ["has an ending that Node does not read", { "page.txt": ["text"] }, /page\.txt has an ending that this Node does not read/],
  ];

  test("is refused in one sentence", async () => {
    for (const [, files] of CASES) for (const [name, lines] of Object.entries(files)) if (lines) write(name, ...lines);
    write(
      "refused.mjs",
      'import { defaultContext, loadPlugins } from "lethe";',
      "const complaints = [];",
      `for (const files of ${JSON.stringify(CASES.map(([, files]) => Object.keys(files)))})`,
      '  complaints.push(await loadPlugins(files, defaultContext()).then(() => "none", ({ name, message }) => `${name}: ${message}`));',
      "console.log(JSON.stringify(complaints));",
    );
    const { out } = await program("refused.mjs");
    const complaints = JSON.parse(out) as string[];
    for (const [i, [what, , complaint]] of CASES.entries()) {
      expect(complaints[i], what).toMatch(complaint);
      expect(complaints[i], what).toMatch(/^LetheError: --plugin: [^\n]*$/);
    }
  });

  test("ends a command, and help, with the exit code of a wrong word", async () => {
    const words = [
      ["edits", "list", "."],
      ["forget", "--help"],
    ];
    for (const ended of await Promise.all(words.map((own) => run([...own, "--plugin", "erased.mjs"])))) {
      expect(ended).toMatchObject({ code: 2, out: "" });
      expect(ended.err).toMatch(/^error: --plugin: there is no file erased\.mjs/);
    }
  });
});

describe("the page", () => {
  test("docs/extend.md shows every file of test/plugins, word for word", () => {
    const page = readFileSync(new URL("docs/extend.md", root), "utf8");
    const shown = [...page.matchAll(/```(?:js|json)\n(.*?\n)```/gs)].map((found) => found[1]!);
    const files = readdirSync(own).map((name) => readFileSync(join(own, name), "utf8"));
    expect(shown.sort()).toEqual(files.sort());
  });

  test("its programs run: an activation read and rewritten, a gradient", async () => {
    const [read, gradient] = await Promise.all([program("activation.mjs"), program("gradient.mjs")]);
    expect(read).toEqual({ code: 0, out: "[ 1, 15, 192 ]  is\n" });
    expect(gradient.out).toMatch(/^-0\.0\d+ \[ 192 \]\n$/);
  });

  test("its plugins pass the kits of lethe/testing in Node's own runner", async () => {
    const { code, out } = await program("testing.mjs", "--test-reporter=tap");
    expect(out).toMatch(/# pass 2\d\n# fail 0\n/);
    expect(code).toBe(0);
  });
});

test("a plugin is known by its content, and by that of its own files", async () => {
  write("one.mjs", IMPORT, TARGET("one"));
  mkdirSync(at("deep"));
  cpSync(at("one.mjs"), at("deep/renamed.mjs"));
  write("helper.mjs", "export const word = 1;");
  write("two.mjs", IMPORT, 'import { word } from "./helper.mjs";', TARGET("two"), "export const w = word;");
  write(
    "known.mjs",
    'import { writeFileSync } from "node:fs";',
    'import { defaultContext, loadPlugins } from "lethe";',
    "const known = async (...files) => (await loadPlugins(files, defaultContext())).plugins.map(({ id, name }) => [id, name]);",
    'const found = [await known("one.mjs", "deep/renamed.mjs"), await known("two.mjs")];',
    'writeFileSync("helper.mjs", "export const word = 2;");',
    'console.log(JSON.stringify([...found, await known("two.mjs")]));',
  );
  const [one, [before], [after]] = JSON.parse((await program("known.mjs")).out) as [unknown, [[string]], [[string]]];
  expect(one).toEqual([
    [
      createHash("sha256")
        .update(readFileSync(at("one.mjs")))
        .digest("hex"),
      "one.mjs",
    ],
  ]);
  expect(after[0]).not.toBe(before[0]);
});
