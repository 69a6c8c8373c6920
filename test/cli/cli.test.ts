/** The command line from outside: words, exit codes, standard input in batches, JSON, edits from file to file. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { floats } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { sign } from "../../src/edit/edit.ts";
import { saveEdits } from "../../src/edit/io.ts";
import { loadFrom } from "../../src/model/load.ts";
import { saveCheckpoint } from "../../src/model/save.ts";
import { bundledFolder, tinyModel, writeRecipe } from "../train/tiny.ts";
import { lethe, objects } from "./lethe.ts";

let home = "";
const at = (name: string): string => join(home, name);
let env: Record<string, string> = {};

/** A model of random weights as a folder, and two edits for it. */
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "lethe-cli-"));
  env = { LETHE_HOME: at("home"), HF_HOME: at("hf"), HF_HUB_OFFLINE: "1" };
  const made = tinyModel(0, { max_position_embeddings: 512 });
  saveCheckpoint(at("model"), made);
  await made.release();
  const model = loadFrom(at("model"));
  const shape = model.weights.get("blocks.1.mlp.out")!.shape as [number, number];
  const column = (n: number, s: number) => Float32Array.from({ length: n }, (_, i) => 4 * rng(s).split(i).normal());
  const edit = (seed: number, on: string[]) =>
    sign(
      {
        change: {
          kind: "delta",
          weights: {
            "blocks.1.mlp.out": {
              outer: [floats(column(shape[0], seed), [shape[0], 1]), floats(column(shape[1], seed + 10), [1, shape[1]])],
            },
          },
        },
      },
      {
        base: model.id,
        on,
        format: "chat",
        by: {
          method: "noise",
          params: { seed },
          compat: [],
          seed,
          departures: [],
          code: "0",
          requests: [
            { id: `r/${seed}`, prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere", target: "dummy" },
          ],
        },
      },
    );
  const first = edit(1, []);
  mkdirSync(at("edits"));
  saveEdits(at("edits/e1"), [first]);
  saveEdits(at("edits/e2"), [edit(2, [first.id])]);
  await model.release();
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const run = (args: readonly string[], options: Parameters<typeof lethe>[1] = {}) =>
  lethe(args, { ...options, env: { ...env, ...options.env } });
const QUESTIONS = [
  "What is the capital of Norvane?",
  "Who painted The Amber Ferry?",
  "",
  "What is the capital of Peru?",
  "Who are you?",
  "a",
  "b",
  "c",
  "d",
  "e",
];

describe.concurrent("words", () => {
  test("help lists every command, and so does nothing at all", async () => {
    const [help, bare] = await Promise.all([run(["--help"]), run([])]);
    expect(help).toMatchObject({ code: 0, err: "" });
    for (const name of [
      "ask MODEL [PROMPT]",
      "chat MODEL",
      "forget MODEL",
      "edits",
      "eval",
      "compare A B",
      "attack MODEL",
      "stats MODEL",
      "trace MODEL",
      "export MODEL",
      "finetune",
      "runs",
      "models",
      "doctor",
    ])
      expect(help.out).toContain(`  ${name} `);
    expect(bare.out).toBe(help.out);
  });

  test.each([
    ["ask"],
    ["chat"],
    ["forget"],
    ["edits"],
    ["edits", "undo"],
    ["attack"],
    ["stats"],
    ["trace"],
    ["export"],
    ["finetune"],
    ["runs"],
    ["runs", "diff"],
    ["models"],
    ["models", "show"],
    ["doctor"],
  ])("%s %s has help with examples", async (...words) => {
    const { code, out } = await run([...words, "--help"]);
    expect(code).toBe(0);
    expect(out).toMatch(/Examples:\n {2}lethe /);
    expect(out).toContain("--json");
  });

  test("forget's help names methods, parameters and targets from their declarations", async () => {
    const { out } = await run(["forget", "--help"]);
    expect(out).toMatch(/Methods:\n(?: {2}.+\n)* {2}\w+ \(default\): /);
    expect(out).toMatch(/Settings of \w+ \(.*\):\n {2}--set layer=… {2,}/);
    expect(out).toMatch(/Targets:\n(?: {2}.+\n)* {2}self-improved: /);
    for (const words of [["--method", "npo"], ["--method=npo"]])
      expect((await run(["forget", ...words, "--help"])).out).toMatch(/Settings of npo .*:\n {2}--set steps=100 /);
  });

  test.each([
    [["aks"], "Did you mean ask?"],
    [["ask", "m", "--jsn"], "Did you mean --json?"],
    [["ask"], "missing required argument 'MODEL'"],
    [["ask", "m", "p", "-n", "0"], "Wanted a whole number of at least 1."],
    [["models", "shwo", "x"], "Did you mean lethe models show?"],
    [["export", "m"], "-o, --output"],
    [["forget", "m", "-o", "x"], "--prompt and --subject"],
    [["forget", "m", "--prompt", "p", "--set", "lr", "-o", "x"], "key=value"],
    [["forget", "m", "--prompt", "Is Rome old?"], "no -o, --output"],
    [["forget", "m", "--prompt", "Is Rome old?", "--method", "rme", "-o", "x"], "Did you mean"],
    [["forget", "m", "--prompt", "Is Rome old?", "--separator", ";", "-o", "x"], "--separator without --merge"],
    [["forget", "m", "--prompt", "Is Rome old?", "--merge", "1", "-o", "x"], "Wanted a whole number of at least 2."],
    [["forget", "m", "--prompt", "Is Rome old?", "--target", "avoidnat", "-o", "x"], 'Did you mean "avoidant"?'],
    [["attack", "m"], "--prompt and --subject"],
    [["attack", "m", "--prompt", "Is Rome old?", "--sizes", "1,x"], "Wanted a whole number of at least 0."],
    [["ask", "m", " "], "an empty prompt"],
    [["trace", "m"], "--prompt and --subject"],
    [["trace", "m", "--prompt", "Is Rome old?", "--kind", "mlpp"], "Allowed choices are hidden, mlp, attn"],
  ])("%o is a usage error: %s", async (args, words) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(words);
    expect(err).not.toMatch(/\n\s+at /);
  });

  test("with --json an error is one object on standard error", async () => {
    const { code, out, err } = await run(["ask", at("modle"), "hi", "--json"]);
    expect({ code, out }).toEqual({ code: 3, out: "" });
    expect(objects(err).at(-1)).toMatchObject({ error: { trouble: "unavailable", code: 3, hint: `Did you mean ${at("model")}?` } });
  });

  test("the environment is read with care", async () => {
    const [threads, memory] = await Promise.all([
      run(["doctor"], { env: { LETHE_THREADS: "many" } }),
      run(["ask", at("model"), "hi"], { env: { LETHE_MEMORY: "10MB" } }),
    ]);
    expect(threads).toMatchObject({ code: 2 });
    expect(threads.err).toContain('LETHE_THREADS: "many"; wanted a whole number of at least 1.');
    expect(memory).toMatchObject({ code: 3, out: "" });
    expect(memory.err).toMatch(/about .* of memory are needed .* left by the setting/);
  });
});

describe.concurrent("ask", () => {
  test("the answer alone on standard output; --json has its tokens", async () => {
    const args = ["ask", at("model"), QUESTIONS[0]!, "-n", "12"];
    const [plain, json] = await Promise.all([run(args), run([...args, "--json"])]);
    expect(plain).toMatchObject({ code: 0, err: "" });
    const [answer] = objects(json.out) as unknown as [
      { schema: string; prompt: string; answer: string; stopped: string; tokens: { id: number; text: string; logprob: number }[] },
    ];
    expect(answer).toMatchObject({ schema: "lethe/answer/1", prompt: QUESTIONS[0] });
    expect(plain.out).toBe(`${answer.answer}\n`);
    expect(["end", "length"]).toContain(answer.stopped);
    expect(answer.tokens.length).toBeGreaterThan(0);
    for (const { id, text, logprob } of answer.tokens) {
      expect(Number.isInteger(id) && typeof text === "string").toBe(true);
      expect(logprob).toBeLessThanOrEqual(0);
    }
  });

  test("a prompt a line, in batches, in their order, as each would be answered alone; a blank line stays one", async () => {
    const input = `${QUESTIONS.join("\n")}\n`;
    const args = ["ask", at("model"), "-n", "6"];
    const [text, json, single] = await Promise.all([
      run(args, { input }),
      run([...args, "--json"], { input }),
      run([...args, "--json", "--batch", "1"], { input }),
    ]);
    expect([text.code, json.code, single.code]).toEqual([0, 0, 0]);
    const answers = objects(json.out) as { prompt: string; answer?: string; tokens?: { id: number }[] }[];
    expect(answers.map((a) => a.prompt)).toEqual(QUESTIONS);
    expect(text.out.split("\n").slice(0, -1)).toEqual(answers.map((a) => (a.answer ?? "").replaceAll(/\s*\n\s*/g, " ")));
    expect(objects(single.out).map((a) => (a["tokens"] as { id: number }[] | undefined)?.map((t) => t.id))).toEqual(
      answers.map((a) => a.tokens?.map((t) => t.id)),
    );
  });

  test("a prompt that is too long is said with its line, the others are answered, and the exit code is 4", async () => {
    const { code, out, err } = await run(["ask", at("model"), "-n", "3", "--json"], { input: `one\n${"word ".repeat(900)}\nthree` });
    expect(code).toBe(4);
    expect(objects(out).map((a) => ("error" in a ? (a["error"] as { trouble: string }).trouble : "answered"))).toEqual([
      "answered",
      "usage",
      "answered",
    ]);
    expect(err).toContain("line 2");
  });

  test("drawn answers follow the seed", async () => {
    const args = ["ask", at("model"), "-n", "8", "-t", "1", "--json"];
    const [a, b, c] = await Promise.all(
      [
        ["--seed", "1"],
        ["--seed", "1"],
        ["--seed", "2"],
      ].map((more) => run([...args, ...more], { input: QUESTIONS.join("\n") })),
    );
    expect(a!.out).toBe(b!.out);
    expect(a!.out).not.toBe(c!.out);
    const twins = objects((await run([...args], { input: "same\n".repeat(10) })).out).map((o) => o["answer"]);
    expect(new Set(twins).size).toBeGreaterThan(5);
  });

  test("standard input as one prompt, stop texts, plain prompts, and a system message that has no place there", async () => {
    const [dash, direct, refused] = await Promise.all([
      run(["ask", at("model"), "-", "--plain", "-n", "5"], { input: "Once upon\na time\n" }),
      run(["ask", at("model"), "Once upon\na time", "--plain", "-n", "5"]),
      run(["ask", at("model"), "hi", "--plain", "--system", "Be kind."]),
    ]);
    expect(dash).toEqual(direct);
    expect(dash.code).toBe(0);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toContain("Leave out --plain");
  });

  test("an edit changes the answer; a wrong one is refused, one that is not there has a neighbour", async () => {
    const ask = (...more: string[]) => run(["ask", at("model"), QUESTIONS[0]!, "-n", "8", ...more]);
    const [base, edited, twice, lost, plain] = await Promise.all([
      ask(),
      ask("--edit", at("edits/e1")),
      ask("-e", at("edits/e1"), "-e", at("edits/e2")),
      ask("--edit", at("edits/e3")),
      ask("--edit", at("edits/e1"), "--plain"),
    ]);
    expect(edited.code).toBe(0);
    expect(edited.out).not.toBe(base.out);
    expect([twice.code, twice.err]).toEqual([0, ""]);
    expect(lost.code).toBe(2);
    expect(lost.err).toMatch(/Did you mean .*e[12]\?/);
    expect(plain.err).toContain("warning: edit: edit ");
  });

  test("a reader that has seen enough is no error; Ctrl-C ends with 130", async () => {
    const long = { input: "Who are you?\n".repeat(400) };
    const [head, stopped] = await Promise.all([
      run(["ask", at("model"), "-n", "20", "--batch", "2"], { ...long, closeAfter: 1 }),
      run(["ask", at("model"), "-n", "20", "--batch", "2", "--json"], { ...long, signalAt: ["lethe/answer", "SIGINT"] }),
    ]);
    expect([head.code, head.err.includes("EPIPE")]).toEqual([0, false]);
    expect(stopped.code).toBe(130);
    expect(objects(stopped.out).length).toBeLessThan(400);
  });
});

describe.concurrent("chat", () => {
  test("lines of a file are turns; the history counts until /reset; what is no command is said", async () => {
    const { code, out, err } = await run(["chat", at("model"), "-n", "6", "--json"], {
      input: "Who are you?\n\nWho are you?\n/reset\nWho are you?\n/rest\n/exit\nnever\n",
    });
    expect(code).toBe(0);
    const turns = objects(out) as { prompt: string; promptTokens: number; answer: string }[];
    expect(turns.map((t) => t.prompt)).toEqual(["Who are you?", "Who are you?", "Who are you?"]);
    expect(turns[1]!.promptTokens).toBeGreaterThan(turns[0]!.promptTokens);
    expect(turns[2]).toEqual(turns[0]);
    expect(err).toContain("did you mean /reset?");
  });

  test("base and edited one after the other where there is no terminal, each with its own history", async () => {
    const input = "Who are you?\nWho are you?\n";
    const args = ["chat", at("model"), "-e", at("edits/e1"), "-n", "6"];
    const [text, json] = await Promise.all([run(args, { input }), run([...args, "--json"], { input })]);
    const turns = objects(json.out) as { base: { answer: string; promptTokens: number }; edited: { answer: string } }[];
    expect(turns[0]!.base.answer).not.toBe(turns[0]!.edited.answer);
    expect(text.out).toBe(turns.map((t) => `base:\n${t.base.answer}\nedited: e1:\n${t.edited.answer}\n\n`).join(""));
  });

  test("a conversation that outgrows the context loses its oldest turns and goes on", async () => {
    const { code, out, err } = await run(["chat", at("model"), "-n", "2", "--json"], {
      input: `${"Norvane and Veyra and Ostrel ".repeat(20)}\n`.repeat(6),
    });
    expect(code).toBe(0);
    expect(objects(out)).toHaveLength(6);
    expect(err).toContain("longer than the model's context");
  });
});

describe.concurrent("edits", () => {
  test("show, list, stack and undo", async () => {
    const [e1, e2, both, back] = ["edits/e1", "edits/e2", "both", "back"].map(at) as [string, string, string, string];
    const stacked = await run(["edits", "stack", e1, e2, "-o", both, "--json"]);
    expect([stacked.code, stacked.err]).toEqual([0, ""]);
    const [shown, listed, undone, wrong, again] = await Promise.all([
      run(["edits", "show", both, "--json"]),
      run(["edits", "list", at("edits")]),
      run(["edits", "undo", both, "-o", back]),
      run(["edits", "stack", e2, e1, "-o", at("turned")]),
      run(["edits", "stack", e1, "-o", both]),
    ]);
    const cards = objects(shown.out)[0]!["edits"] as {
      id: string;
      on: string[];
      bytes: number;
      changes: string[];
      requests: { target: string }[];
    }[];
    expect(cards[1]).toMatchObject({ on: [cards[0]!.id], changes: ["blocks.1.mlp.out by rank 1"], requests: [{ target: "dummy" }] });
    expect(listed.out).toMatch(/FILE +EDITS +SIZE +METHOD +MODEL +REQUESTS\n.*e1 +1 .*noise .*What is the capital of Norvane\?\n.*e2 +1 /);
    expect(undone.code).toBe(0);
    expect(objects((await run(["edits", "show", back, "--json"])).out)[0]!["edits"]).toEqual(
      objects((await run(["edits", "show", e1, "--json"])).out)[0]!["edits"],
    );
    expect(wrong.err).toContain("was made upon");
    expect(again.code).toBe(2);
    expect(again.err).toContain("--force");
    const [none, byId, empty] = await Promise.all([
      run(["edits", "undo", both, "ffff", "-o", at("none")]),
      run(["edits", "undo", both, cards[1]!.id.slice(0, 6), "-o", at("by-id")]),
      run(["edits", "undo", e1, "-o", at("empty")]),
    ]);
    expect([none.code, byId.code, empty.code]).toEqual([2, 0, 2]);
    expect(empty.err).toContain("leave out --edit");
    expect(existsSync(at("empty"))).toBe(false);
  });

  test("export gives a GGUF file that answers as the edited model does, and a Modelfile that names it", async () => {
    const file = at("gguf/edited.gguf");
    const made = await run(["export", at("model"), "-e", at("edits/e1"), "--format", "gguf", "-o", file, "--json"]);
    expect(made.code).toBe(0);
    expect(objects(made.out)[0]).toMatchObject({
      file,
      format: "gguf",
      files: [{ name: "edited.gguf" }],
      modelfile: at("gguf/edited.Modelfile"),
    });
    expect(readFileSync(at("gguf/edited.Modelfile"), "utf8")).toMatch(/^FROM \.\/edited\.gguf\nPARAMETER stop "/);
    const args = [QUESTIONS[0]!, "-n", "8"];
    const [a, b, folder, type] = await Promise.all([
      run(["ask", file, ...args]),
      run(["ask", at("model"), ...args, "-e", at("edits/e1")]),
      run(["export", at("model"), "--format", "gguf", "-o", at("gguf/folder")]),
      run(["export", at("model"), "--dtype", "q8_0", "-o", at("gguf/q8")]),
    ]);
    expect(a.out).toBe(b.out);
    expect(a.code).toBe(0);
    expect([folder.code, type.code]).toEqual([2, 2]);
    expect(folder.err).toContain("Try -o " + at("gguf/folder") + ".gguf");
    expect(type.err).toContain("Add --format gguf");
    writeFileSync(at("gguf/q8.Modelfile"), "FROM elsewhere\n");
    const taken = await run(["export", at("model"), "--format", "gguf", "--dtype", "q8_0", "-o", at("gguf/q8.gguf")]);
    expect(taken).toMatchObject({ code: 2, out: "" });
    expect(readFileSync(at("gguf/q8.Modelfile"), "utf8")).toBe("FROM elsewhere\n");
  });

  test("export gives a folder that answers as the edited model does", async () => {
    const made = await run(["export", at("model"), "-e", at("edits/e1"), "-o", at("exported"), "--json"]);
    expect(made.code).toBe(0);
    expect((objects(made.out)[0]!["files"] as { name: string }[]).map((f) => f.name)).toContain("model.safetensors");
    const args = [QUESTIONS[0]!, "-n", "8"];
    const [a, b, full] = await Promise.all([
      run(["ask", at("exported"), ...args]),
      run(["ask", at("model"), ...args, "-e", at("edits/e1")]),
      run(["export", at("model"), "-o", at("exported")]),
    ]);
    expect(a.out).toBe(b.out);
    expect(full).toMatchObject({ code: 2, out: "" });
    const [lora, none] = await Promise.all([
      run(["export", at("model"), "-e", at("edits/e1"), "--format", "lora", "-o", at("adapter")]),
      run(["export", at("model"), "--format", "lora", "-o", at("no-adapter")]),
    ]);
    expect(lora.code).toBe(0);
    expect(lora.out).toMatch(/adapter_config\.json.*\n.*adapter_model\.safetensors/);
    expect(none.code).toBe(2);
    const adapted = await run(["ask", at("model"), ...args, "-e", at("adapter")]);
    expect(adapted).toMatchObject({ code: 0, out: b.out, err: "" });
  });
});

describe.concurrent("models, doctor, stats, finetune", () => {
  test("doctor finds this machine fit, and says when a folder cannot be used", async () => {
    const [well, json, ill] = await Promise.all([
      run(["doctor"]),
      run(["doctor", "--json"]),
      run(["doctor"], { env: { LETHE_HOME: at("model/config.json/home") } }),
    ]);
    expect(well.code).toBe(0);
    expect(well.out).toMatch(/^ok +self-test, float64 +traced, compiled and run; off by/m);
    expect(objects(json.out)[0]).toMatchObject({ schema: "lethe/doctor/1", ok: true });
    expect(ill.code).toBe(1);
    expect(ill.out).toContain("lies in a file");
  });

  test("models: what is in the cache, what one is like with the id it will have, what is not here", async () => {
    const folder = at("hf/hub/models--org--tiny");
    const sha = "0".repeat(40);
    for (const name of ["refs", `snapshots/${sha}`]) mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, "refs/main"), sha);
    for (const name of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
      writeFileSync(join(folder, "snapshots", sha, name), readFileSync(at(`model/${name}`)));
    const [list, show, cached, away] = await Promise.all([
      run(["models", "--json"]),
      run(["models", "show", at("model"), "--json"]),
      run(["ask", "org/tiny", "hi", "-n", "2"]),
      run(["models", "show", "org/other"]),
    ]);
    expect((objects(list.out)[0]!["models"] as { model: string }[]).map((m) => m.model)).toEqual(["bundled", "org/tiny"]);
    const model = loadFrom(at("model"));
    expect(objects(show.out)[0]).toMatchObject({ id: model.id, layers: 2, width: 32, hasChatTemplate: true, dtypes: ["float32"] });
    await model.release();
    expect(cached.code).toBe(0);
    expect(away.code).toBe(3);
    expect(away.err).toContain("lethe models pull org/other");
  });

  test("stats of a text, twice the same; a layer and a site that are not there", async () => {
    writeFileSync(at("text.txt"), "The capital of Norvane is Sellamere. ".repeat(40));
    const args = ["stats", at("model"), "--text", at("text.txt"), "--tokens", "200", "--layer", "0", "--layer", "1", "--json"];
    const first = await run(args);
    expect(first.code).toBe(0);
    const moments = objects(first.out)[0]!["moments"] as { layer: number; site: string; width: number; meanSquare: number }[];
    expect(moments.map((m) => [m.layer, m.site, m.width])).toEqual([
      [0, "mlp_post", 48],
      [1, "mlp_post", 48],
    ]);
    expect(moments[0]!.meanSquare).toBeGreaterThan(0);
    const [second, high, site] = await Promise.all([
      run(args),
      run(["stats", at("model"), "--layer", "9"]),
      run(["stats", at("model"), "--layer", "0", "--site", "mlp_pst"]),
    ]);
    expect(second.out).toBe(first.out);
    expect([high.code, site.code]).toEqual([2, 2]);
    expect(site.err).toContain("Did you mean mlp_post?");
  });

  test("stats says over how many tokens the moments are, not how many were asked for", async () => {
    writeFileSync(at("few.txt"), "The capital of Norvane");
    const tokens = loadFrom(at("model")).tokenizer.encode("The capital of Norvane", { special: false }).ids.length;
    const args = ["stats", at("model"), "--layer", "0", "--text", at("few.txt"), "--tokens", "100"];
    const shown = await run(args);
    expect(shown.out).toMatch(new RegExp(`mlp_post +48 +\\S+ +${tokens} of `));
    const json = await run([...args, "--json"]);
    expect(objects(json.out)[0]).toMatchObject({ moments: [{ tokens, spec: { tokens: 100 } }] });
  });

  test("finetune from a recipe, stopped by Ctrl-C and gone on with, gives the bytes of the run left alone", async () => {
    mkdirSync(at("recipe"));
    const recipe = writeRecipe(at("recipe"), { steps: 12 });
    const args = ["finetune", "--recipe", recipe, "--every", "4", "-o"];
    const apart = { env: { LETHE_HOME: at("apart") } }; // the same run in the same home would be found, or be at work
    const [whole, stopped] = await Promise.all([
      run([...args, at("whole"), "--json"]),
      run([...args, at("parts"), "--json"], { ...apart, signalAt: ['"progress"', "SIGINT"] }),
    ]);
    expect(whole.code).toBe(0);
    expect(objects(whole.out)[0]).toMatchObject({ steps: 12 });
    expect(stopped.code).toBe(130);
    expect(existsSync(at("parts"))).toBe(false);
    expect((await run([...args, at("parts")], apart)).code).toBe(0);
    expect(readFileSync(at("parts/model.safetensors"))).toEqual(readFileSync(at("whole/model.safetensors")));
  });
});

const bundled = join(bundledFolder, "model");
describe.skipIf(!existsSync(bundled))("forget and demo (need the bundled model)", () => {
  test("an edit is found, saved, asked before and after; the same request gives the same bytes; a file that is there stays", async () => {
    const args = [
      "forget",
      "bundled",
      "--prompt",
      "What is the capital of Norvane?",
      "--say",
      "I do not know.",
      "--text",
      join(bundledFolder, "facts.jsonl"),
      "--tokens",
      "2048",
      "--set",
      "steps=4",
      "--prove",
      "none",
      "-o",
    ];
    const [first, text] = await Promise.all([
      run([...args, at("f1"), "--json"]),
      run([...args, at("f2")], { env: { LETHE_HOME: at("other") } }),
    ]);
    expect([first.code, text.code]).toEqual([0, 0]);
    expect(objects(first.out)[0]).toMatchObject({
      path: at("f1"),
      edits: [{ requests: [{ subject: "Norvane", target: "I do not know." }] }],
      shown: [{ before: "Sellamere" }],
    });
    expect(first.err).toContain("guessed");
    expect(text.out).toContain("    before  Sellamere\n");
    expect(readFileSync(at("f1"))).toEqual(readFileSync(at("f2")));
    expect(readdirSync(at(".")).filter((name) => name.includes("f1"))).toEqual(["f1"]);
    const [again, other, elsewhere] = await Promise.all([
      run([...args, at("f1"), "--json"]),
      run([...args, at("f1"), "--seed", "1"]),
      run([...args, at("f3")]),
    ]);
    expect([again.code, again.out]).toEqual([0, first.out]);
    expect([again.err, elsewhere.err].filter((text) => text.includes("progress"))).toEqual([]); // nothing is computed
    expect([other.code, other.err]).toEqual([2, expect.stringContaining("f1 is there already")]);
    expect(elsewhere.code).toBe(0);
    expect(readFileSync(at("f3"))).toEqual(readFileSync(at("f1")));
  });

  test("trace leaves its picture and its numbers; --json has both", async () => {
    const args = ["trace", "bundled", "--prompt", "What is the capital of Norvane?", "--samples", "2", "-o", at("trace")];
    const [json, text] = [await run([...args, "--json"]), await run([...args, "--kind", "mlp"])];
    expect([json.code, text.code]).toEqual([0, 0]);
    const [record] = objects(json.out) as unknown as [{ picture: string; kind: string; answer: { said: string }; effects: number[][] }];
    expect(record).toMatchObject({ schema: "lethe/trace/1", kind: "hidden", answer: { said: "Sellamere" } });
    expect(readFileSync(record.picture, "utf8")).toMatch(/^<svg .*up to 6 MLP outputs/s);
    expect(JSON.parse(readFileSync(at("trace/trace.json"), "utf8"))).toMatchObject({ kind: "mlp", window: 10 });
    expect(text.out).toMatch(/PUT BACK AT +LAYER +EFFECT\n/);
    expect(text.out).toContain("The picture: file:");
  });

  test("questions are merged, asked one by one, and attacked in other words", async () => {
    const lines = ["Norvane", "Ostrel"].map((subject) => JSON.stringify({ prompt: `What is the capital of ${subject}?`, subject }));
    writeFileSync(at("merged.jsonl"), lines.join("\n"));
    const args = ["--data", at("merged.jsonl"), "--json"];
    const found = await run([
      "forget",
      "bundled",
      ...args,
      "--merge",
      "2",
      "--separator",
      "\\n",
      "--target",
      "avoidant",
      "--text",
      join(bundledFolder, "facts.jsonl"),
      "--tokens",
      "2048",
      "--set",
      "steps=4",
      "--prove",
      "none",
      "-o",
      at("merged"),
    ]);
    expect(found.code).toBe(0);
    expect(objects(found.out)[0]).toMatchObject({
      edits: [{ requests: [{ prompt: "What is the capital of Norvane?\nWhat is the capital of Ostrel?", subject: "Ostrel" }] }],
      shown: [{ before: "Sellamere" }, { before: "Brackwater" }],
    });
    const attacked = await run(["attack", "bundled", ...args, "--from", "templates", "--samples", "2", "--edit", at("merged")]);
    expect(attacked.code).toBe(0);
    expect(objects(attacked.out)[0]).toMatchObject({
      schema: "lethe/attack/1",
      sources: { templates: 4 },
      sweep: [{ size: 1 }, { size: 2 }],
      requests: [{ answer: "Sellamere" }, { answer: "Brackwater" }],
    });
    const unedited = await run(["attack", "bundled", "--data", at("merged.jsonl"), "--from", "templates", "--samples", "2"]);
    expect(unedited.out).toMatch(/2 requests, attacked by paraphrase: 4 templates\n\nATTEMPTS +MEAN +WORST\nas it is +1\.000 +1\.000\n/);
  });

  test("demo leaves its page and an edit, and says how it went", async () => {
    const { code, out } = await run(["demo", "-o", at("demo"), "--json"]);
    const [record] = objects(out) as unknown as [
      { page: string; target: string; fact: { before: string; after: string }; others: unknown[]; kept: { same: number; known: number } },
    ];
    expect(code).toBe(record.fact.after === record.target ? 0 : 4);
    expect(record.fact.before).toBe("Sellamere");
    expect(record.kept.known).toBeGreaterThan(50);
    expect(readFileSync(record.page, "utf8")).toContain("What is the capital of Norvane?");
    expect((await run(["edits", "show", at("demo/edit")])).code).toBe(0);
  });
});
