/** Sizes at the edge: deep JSON and YAML, long lines, rows of many fields, edits of many parts, models of many shards. Each is refused, or read, in seconds. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { floats } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { closingQuote, parseJson } from "../../src/base/json.ts";
import { openSafetensors, writeSafetensors } from "../../src/base/store.ts";
import { parseYaml } from "../../src/base/yaml.ts";
import { parseCsv } from "../../src/data/csv.ts";
import { LONGEST_TEXT } from "../../src/data/records.ts";
import { rowsIn } from "../../src/data/source.ts";
import { applyAll } from "../../src/edit/apply.ts";
import { type Edit, sign } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { loadLora, saveLora } from "../../src/edit/lora.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { saveCheckpoint } from "../../src/model/save.ts";
import type { AnyMethod } from "../../src/methods/method.ts";
import { registry as methods } from "../../src/methods/registry.ts";
import { readGrid } from "../../src/run/grid/read.ts";
import { readHparams } from "../../src/run/hparams.ts";
import { about, noise } from "../edit/untrusted.ts";
import { lethe } from "./lethe.ts";

const home = mkdtempSync(join(tmpdir(), "lethe-edges-"));
const at = (name: string): string => join(home, name);
let model: Model;
afterAll(async () => {
  rmSync(home, { recursive: true, force: true });
  await model.release();
});
const ctx = defaultContext({ threads: 1 });

const lists = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
const objects = (levels: number): string => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
const KINDS = { lists, objects } as const;

const write = (name: string, text: string | Uint8Array): string => (writeFileSync(at(name), text), at(name));

/** What a refusal says; an error of Lethe's own is thrown on. */
const saidOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof LetheError && error.trouble !== "internal") return error.message;
    throw error;
  }
  return "nothing";
};

/** Processor seconds of this process: a busy machine changes the clock, not this. */
async function seconds(work: () => unknown): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

beforeAll(async () => {
  write("ok.jsonl", `${JSON.stringify({ prompt: "What is the capital of Norvane?", subject: "Norvane" })}\n`);
  model = await load("bundled", ctx);
  const matrix = "blocks.1.mlp.out";
  const outer = [floats(noise("l", 192), [192, 1], "float32"), floats(noise("r", 640), [1, 640], "float32")] as const;
  const edit = sign({ change: { kind: "delta", weights: { [matrix]: { outer } } } }, about(model));
  saveEdits(at("good.edit"), [edit]);
  mkdirSync(at("lora"));
  saveLora(at("lora"), model, [edit]);
  saveCheckpoint(at("base"), model);
});

/** An edit file whose description has one more parameter. */
function withParameter(name: string, json: string): string {
  const opened = openSafetensors(at("good.edit"));
  const tensors = [...opened.tensors].map(([key, of]) => [key, of.read()] as const);
  const words = opened.metadata["lethe.edits"]!.replace('"params":{', `"params":{"zz":${json},`).replace(",}", "}");
  opened.close();
  writeSafetensors(at(name), tensors, { "lethe.edits": words });
  return at(name);
}

/** An adapter's folder whose settings have one more key. */
function withSetting(key: string, json: string): string {
  const folder = at(`lora-${key}`);
  cpSync(at("lora"), folder, { recursive: true });
  const path = join(folder, "adapter_config.json");
  const { [key]: _, ...settings } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify(settings).replace("{", `{${JSON.stringify(key)}:${json},`));
  return folder;
}

const FEW = ["-n", "2"];
const FORGET = ["forget", "bundled", "--prompt", "What is the capital of Norvane?", "--subject", "Norvane", "--method", "rome"];
const DEEP: readonly (readonly [what: string, read: (json: string) => unknown])[] = [
  ["an edit", (json) => loadEdits(withParameter("deep.edit", json))],
  ["an adapter's unknown setting", (json) => loadLora(withSetting("zz", json), model)],
  ["an adapter's modules", (json) => loadLora(withSetting("target_modules", json), model)],
  ["hyperparameters", (json) => readHparams(write("deep.json", json), methods["rome"] as unknown as AnyMethod)],
  ["a grid", (json) => readGrid(write("deep.yaml", `name: ${json}`))],
];

describe.each(Object.entries(KINDS))("deep JSON of %s is refused by its depth", (_, nested) => {
  test.each(DEEP)("%s", (_, read) => {
    for (const levels of [10_000, 1_000_000])
      expect(saidOf(() => read(nested(levels)))).toMatch(/nests more than 100 levels|has \d+ characters/);
  });
});

test("a deep edit and a deep adapter by the command line", { timeout: 60_000 }, async () => {
  for (const args of [
    ["edits", "show", withParameter("deep.edit", lists(10_000)), "--json"],
    ["ask", "bundled", "Who?", "-e", withSetting("zz", lists(10_000))],
  ]) {
    const { code, err, out } = await lethe(args);
    expect([code, err + out]).toEqual([3, expect.stringMatching(/nests more than 100 levels/)]);
  }
});

describe("deep JSON elsewhere is refused by what was wanted, or passed over", () => {
  const rows: readonly (readonly [what: string, args: (json: string) => string[], code: number, said: RegExp])[] = [
    [
      "a subject",
      (json) => ["data", "show", write("a.jsonl", `{"prompt":"a?","subject":${json}}`)],
      2,
      /field "subject" is .*; wanted a string/,
    ],
    ["a config", (json) => ["models", "show", deepModel("config.json", json)], 0, /llama/],
    ["a recipe", (json) => ["finetune", "--recipe", write("r.json", `{"zz":${json}}`), "-o", at("x")], 2, /field "zz" is not known/],
  ];
  test.each(rows)("%s", { timeout: 60_000 }, async (_, args, code, said) => {
    const ran = await lethe(args(objects(1_000_000)));
    expect([ran.code, (ran.err + ran.out).slice(0, 300)]).toEqual([code, expect.stringMatching(said)]);
  });

  function deepModel(file: string, json: string): string {
    const folder = at(`model-${file}`);
    cpSync(at("base"), folder, { recursive: true });
    const path = join(folder, file);
    writeFileSync(path, readFileSync(path, "utf8").replace("{", `{"zz":${json},`));
    return folder;
  }
});

const words = { who: "grid", file: "F", at: (line: number, column: number) => `F line ${line} column ${column}` };

describe("YAML", () => {
  const alias = (i: number): string =>
    `a${i}: &a${i} [${Array(10)
      .fill(i === 0 ? "x" : `*a${i - 1}`)
      .join(",")}]`;
  test.each([
    ["indented lines", Array.from({ length: 300 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"), /nests more than 100 levels/],
    ["marks of entries in a line", `${"- ".repeat(50_000)}1`, /nests more than 100 levels/],
    ["marks of keys", `${"? ".repeat(5000)}1`, /nests more than 100 levels/],
    ["brackets that stay open", "[".repeat(10_000), /nests more than 100 levels/],
    ["aliases of aliases", Array.from({ length: 12 }, (_, i) => alias(i)).join("\n"), /holds what does not end/],
    ["an alias of itself", "a: &a [*a]", /holds what does not end/],
    ["a long text", `a: ${"word ".repeat(300_000)}`, /F has 150000\d characters; wanted at most 131072/],
    ["an error", "a: 1\nb: [1", /F line 2 column 6: /],
  ])("%s", { timeout: 60_000 }, (_, text, said) => {
    expect(saidOf(() => parseYaml(text, words))).toMatch(said);
  });

  test("what people write is far from the limits", () => {
    const text = "a:\n  - b: [1, [2]]\n    c: |\n      long\n        lines\n  - - - d: >\n          x\n";
    expect(parseYaml(text, words).value).toEqual({ a: [{ b: [1, [2]], c: "long\n  lines\n" }, [[{ d: "x\n" }]]] });
    const flat = Array.from({ length: 2000 }, (_, i) => `- name: x${i}\n  of: { a: [1, 2] }`).join("\n");
    expect(parseYaml(flat, words).value).toHaveLength(2000);
  });

  test("--set of a grid is read within the same limits", async () => {
    const tiny = new URL("../../studies/tiny.yaml", import.meta.url).pathname;
    for (const [value, said] of [
      ["[", /--set facts column 2: /],
      ["[".repeat(2000), /nests more than 100 levels/],
    ] as const) {
      const { code, err } = await lethe(["grid", "plan", tiny, "--set", `facts=${value}`]);
      expect([code, err]).toEqual([2, expect.stringMatching(said)]);
    }
  });
});

const long = LONGEST_TEXT + 1;
describe("long lines and rows of many fields", () => {
  const fields = (n: number): string => Array.from({ length: n }, (_, i) => `"k${i}":1`).join(",");
  test.each([
    [
      "one row alone",
      "one.jsonl",
      () => `{"prompt":"What is ${"word ".repeat(long / 5)}?"}`,
      /one\.jsonl item 1|one\.jsonl line 1: .* characters; wanted at most/,
    ],
    [
      "a row among others",
      "more.jsonl",
      () => `{"prompt":"a?"}\n{"prompt":"${"x".repeat(long)}"}\n`,
      /more\.jsonl line 2: it has \d+ characters/,
    ],
    [
      "a text of a list",
      "list.json",
      () => `[{"prompt":"a?"},{"paraphrases":["${"x".repeat(long)}"]}]`,
      /list\.json item 2: field "paraphrases" has/,
    ],
    ["a row of breaks written out", "breaks.jsonl", () => `{"prompt":"${"\\n".repeat(long)}"}`, /breaks\.jsonl line 1: .*characters/],
    ["a text without its end", "open.jsonl", () => `{"prompt":"${"x".repeat(long)}\n`, /open\.jsonl line 1: .*characters/],
    ["a cell", "cell.csv", () => `prompt,subject\n${"x".repeat(long)},x\n`, /cell\.csv: it has a row of more than/],
    [
      "a quotation mark that stays open",
      "quote.csv",
      () => `prompt,subject\n"${"x\n".repeat(long)}`,
      /quote\.csv: it has a row of more than/,
    ],
    [
      "many fields",
      "fields.jsonl",
      () => `{"prompt":"a?",${fields(100_000)}}`,
      /fields\.jsonl line 1: it has 100001 fields; wanted at most 10000/,
    ],
    [
      "many columns",
      "columns.csv",
      () => `${Array.from({ length: 300_000 }, (_, i) => `c${i}`).join(",")}\n1\n`,
      /columns\.csv line 1: it has 300000 columns/,
    ],
  ])("%s", { timeout: 60_000 }, async (_, name, text, said) => {
    const path = write(name, text());
    let message = "nothing";
    const spent = await seconds(async () => {
      await rowsIn(path, name, ctx).catch((error: unknown) => {
        if (!(error instanceof LetheError) || error.trouble === "internal") throw error;
        message = error.message;
      });
    });
    expect(message).toMatch(said);
    expect(spent).toBeLessThan(10);
  });

  test("texts below the limit are read", { timeout: 60_000 }, async () => {
    const text = "\\n".repeat(LONGEST_TEXT / 2 - 20);
    expect((await rowsIn(write("fits.jsonl", `{"prompt":"${text}"}\n`), "fits.jsonl", ctx)).length).toBe(1);
    expect(parseCsv(`prompt\n"${"x".repeat(LONGEST_TEXT - 100)}"\n`, "fits.csv").length).toBe(1);
  });

  test("JSON with NaN beside a long text is read", () => {
    const text = `{"a":NaN,"b":"NaN ${"\\n".repeat(10_000_000)}\\"","c":-Infinity}`;
    const read = parseJson(text, "x", "x", { nonFinite: true }) as Record<string, unknown>;
    expect([read["a"], read["c"], (read["b"] as string).slice(0, 4)]).toEqual([NaN, -Infinity, "NaN "]);
    expect(closingQuote('"a\\"b"c', 0)).toBe(5);
  });

  test("a context template", async () => {
    const { code, err } = await lethe([...FORGET, "--templates", write("t.txt", `${"word ".repeat(40_000)}{}\n`), "-o", at("never")]);
    expect([code, err]).toEqual([2, expect.stringMatching(/t\.txt line 1: a template of 200002 characters; wanted at most 100000/)]);
  });
});

test("an edit of twenty thousand parts is read and put on in seconds, with few words", { timeout: 120_000 }, async () => {
  const edit = loadEdits(at("good.edit"))[0]!;
  const many = Array.from({ length: 20_000 }, (_, i): Edit => ({ ...edit, id: i.toString(16).padStart(16, "0"), format: "plain" }));
  saveEdits(at("many.edit"), many);
  let read: Edit[] = [];
  expect(await seconds(() => (read = loadEdits(at("many.edit"))))).toBeLessThan(15);
  expect(read.map(({ id }) => id)).toEqual(many.map(({ id }) => id));
  expect(read.at(-1)!.change).toEqual(edit.change);
  const said: string[] = [];
  applyAll(model, read.slice(0, 500), { format: "chat", warn: (text) => said.push(text) });
  expect(said).toHaveLength(8);
  expect(said[2]).toBe(
    `edit ${many[3]!.id} was made upon the unedited model and lies upon ${many
      .slice(0, 3)
      .map(({ id }) => id)
      .join(", ")}`,
  );
  expect(said[3]).toBe("496 more edits lie upon others than those they were made upon");
  expect(said[7]).toBe("497 more edits were not made for chat prompts");
});

test("a model with twenty thousand edits on it is one view of the model, not twenty thousand", { timeout: 60_000 }, () => {
  const [name, vector] = [...model.weights].find(([, { shape }]) => shape.length === 1)!;
  const edit = loadEdits(at("good.edit"))[0]!;
  const last = floats(noise("last", vector.shape[0]!), vector.shape, "float32");
  const many = Array.from({ length: 20_000 }, (_, i): Edit => ({
    ...edit,
    id: i.toString(16).padStart(16, "0"),
    change: { kind: "delta", weights: { [name]: { value: i === 19_999 ? last : vector } } },
  }));
  const edited = applyAll(model, many, { format: "chat" });
  expect(edited.weights.get(name)).toBe(last);
  expect(edited.constant(name)).toBe(last);
  expect(edited.constant("nonesuch")).toBeUndefined();
});

test("a model of twelve shards is opened without a word of Node's", { timeout: 60_000 }, async () => {
  const [from, to] = [at("base"), at("shards")];
  cpSync(from, to, { recursive: true });
  const opened = openSafetensors(join(from, "model.safetensors"));
  const names = [...opened.tensors.keys()];
  const file = (i: number): string => `model-${String((i % 12) + 1).padStart(5, "0")}-of-00012.safetensors`;
  for (let i = 0; i < 12; i++)
    writeSafetensors(
      join(to, file(i)),
      names.filter((_, k) => k % 12 === i).map((name) => [name, opened.tensors.get(name)!.read()] as const),
    );
  opened.close();
  rmSync(join(to, "model.safetensors"));
  writeFileSync(
    join(to, "model.safetensors.index.json"),
    JSON.stringify({ weight_map: Object.fromEntries(names.map((name, i) => [name, file(i)])) }),
  );
  for (const args of [
    ["ask", to, "Who?", ...FEW],
    ["export", to, "-o", at("one")],
    ["models", "show", to],
  ]) {
    const { code, err } = await lethe(args);
    expect([args[0], code, err]).toEqual([args[0], 0, expect.not.stringMatching(/Warning|Listeners/)]);
  }
});

describe("what lies damaged in the folder of runs", () => {
  test.each([objects(10_000), '{"schema":"lethe/record/1"}'])("a record %#", async (record) => {
    const runs = mkdtempSync(join(home, "runs-"));
    const run = join(runs, "abcdef0123456789abcdef0123456789");
    mkdirSync(run);
    writeFileSync(join(run, "record.json"), record);
    const listed = await lethe(["runs", "list", "--runs", runs]);
    expect([listed.code, listed.err]).toEqual([0, ""]);
    const shown = await lethe(["runs", "show", "abcd", "--runs", runs]);
    expect([shown.code, shown.err]).toEqual([2, expect.stringMatching(/has no record; wanted a run/)]);
    const selected = await lethe(["select", "--data", at("ok.jsonl"), "--by", run, "--number", "x", "--least", "1", "-o", at("never")]);
    expect([selected.code, selected.err]).toEqual([
      3,
      expect.stringMatching(/is no record of an evaluation; wanted the folder that lethe eval/),
    ]);
  });
});
