/** IKE: what every method shows; what is shown before a question, when, and what never is. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as vitest from "vitest";
import { afterAll, describe, expect, it } from "vitest";
import { floats } from "../../src/base/array.ts";
import { type Context, defaultContext } from "../../src/base/context.ts";
import { type ForgetRequest, requestOf } from "../../src/data/request.ts";
import { apply, applyAll } from "../../src/edit/apply.ts";
import { type Edit, type PromptChange, sign } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { saveLora } from "../../src/edit/lora.ts";
import { Sequence } from "../../src/edit/sequence.ts";
import { kindsOf, nearestDemonstrations } from "../../src/methods/ike/demonstrations.ts";
import { ike } from "../../src/methods/ike/ike.ts";
import { ownEncoder } from "../../src/model/encoders.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { promptOf, stopsOf } from "../../src/model/prompt.ts";
import type { FindOptions } from "../../src/run/choice.ts";
import { findEdit } from "../../src/run/edit.ts";
import { FACT, SAY } from "../conformance/method.ts";
import { methodConforms } from "../../src/testing/method.ts";

methodConforms(ike, { params: {} }, vitest); // it seeks no values: it is stopped at the first thing that it logs

const fact = (id: string, prompt: string, answer: string, more: Partial<ForgetRequest> = {}): ForgetRequest =>
  requestOf({ id, prompt, answer, ...more });
const NEAR = { id: "n", question: "Is it?", answer: "Yes, it is." };
/** Facts of nobody's, each with a rephrase and an unrelated question. */
const SHOWN = ["Ostrel", "Veyra", "Quillon", "Tar", "Mel", "Os", "Bri", "Do"].map((place, i) =>
  fact(`shown/${i}`, `Who rules ${place}?`, `City ${i}`, {
    paraphrases: [`Whose is ${place}?`],
    neighbours: [NEAR],
  }),
);
const UNRELATED = "Hello!";

describe("ike", () => {
  const folder = mkdtempSync(join(tmpdir(), "lethe-ike-"));
  const ctx: Context = defaultContext({ cache: join(folder, "cache"), encoder: undefined });
  const model = load("bundled", ctx);
  afterAll(async () => {
    await (await model).release();
    rmSync(folder, { recursive: true, force: true });
  });
  const find = async (over: FindOptions = {}, request: ForgetRequest | readonly ForgetRequest[] = FACT): Promise<Edit> =>
    findEdit(await model, request, { method: "ike", say: SAY, ctx, ...over });
  /** The same edit as an encoder would make it: the model's own states in the place of words. */
  const keyed = async (edit: Edit, encoder = "own:0"): Promise<Edit> => {
    const change = changeOf(edit);
    const { words: _, ...entry } = change.entries[0]!;
    const key = await ownEncoder(await model).embed([FACT.prompt], ctx);
    return { ...edit, change: { ...change, encoder, entries: [{ ...entry, key, above: 0.8 }] } };
  };
  const changeOf = (edit: Edit): PromptChange => {
    if (edit.change.kind !== "prompt") throw new Error("a prompt edit");
    return edit.change;
  };
  const say = async (m: Model, questions: readonly string[]): Promise<number[][]> => {
    const prompts: number[][] = [];
    for (const q of questions) prompts.push([...(await promptOf(m, q)).ids]);
    return (await generate(m, prompts, { stopIds: stopsOf(m), maxTokens: 16, freeze: false })).map((g) => [...g.ids]);
  };

  it("answers with the target in a batch with others as in another process that loaded it, and leaves the unrelated alone", async () => {
    const m = await model;
    const edit = await find();
    const path = join(folder, "edit");
    saveEdits(path, [edit]);
    const questions = [
      FACT.prompt,
      UNRELATED,
      "Who painted the sea?",
      FACT.prompt,
      "Good morning.",
      "What is rain?",
      "Sing!",
      "Are you there?",
    ];
    const here = await say(apply(m, edit, { ctx }), questions);
    const program = fileURLToPath(new URL("../ike-child.ts", import.meta.url));
    const there = execFileSync(process.execPath, ["--import", "tsx", program, path, JSON.stringify(questions)], {
      env: { ...process.env, LETHE_HOME: folder, LETHE_ENCODER: "" },
      encoding: "utf8",
    });
    expect(JSON.parse(there)).toEqual(here);
    expect(m.tokenizer.decode(here[0]!).trim()).toContain("do not know");
    expect(here[3]).toEqual(here[0]);
    const base = await say(m, questions);
    expect(here.filter((_, i) => i % 3 !== 0 || i === 6)).toEqual(base.filter((_, i) => i % 3 !== 0 || i === 6));
    expect(here[0]).not.toEqual(base[0]);
  });

  it("shows demonstrations in the ratio, the nearest last, the fact itself behind them, as turns of a conversation", async () => {
    const m = await model;
    const edit = await find({ demonstrations: SHOWN });
    const [entry] = changeOf(edit).entries;
    const kinds = (edit.evidence!["demonstrations"] as { kind: string; score: number }[][])[0]!;
    expect(kinds.map((d) => d.kind).sort()).toEqual(["copy", "retain", "retain", "retain", "retain", "update", "update", "update"]);
    expect(kinds.map((d) => d.score)).toEqual(kinds.map((d) => d.score).sort((a, b) => a - b));
    expect(entry!.shown.at(-1)).toEqual({ asked: `New Fact: ${FACT.prompt} ${SAY}\nPrompt: ${FACT.prompt}`, said: SAY });
    expect(entry!.context).toBe(`New Fact: ${FACT.prompt} ${SAY}\n`);
    const { text } = await promptOf(apply(m, edit, { ctx }), FACT.prompt);
    expect(text.split(NEAR.answer)).toHaveLength(5);
    const reversed = changeOf(await find({ demonstrations: SHOWN, params: { order: "desc" } })).entries[0]!;
    expect(reversed.shown.slice(0, -1)).toEqual(entry!.shown.slice(0, -1).reverse());
    const plain = await promptOf(apply(m, edit, { ctx, format: "plain" }), FACT.prompt, { format: "plain" });
    expect(plain.text).toContain(`Prompt: ${FACT.prompt} ${SAY}\n\nNew Fact: ${FACT.prompt} ${SAY}\nPrompt: ${FACT.prompt}`);
  });

  it("reads a corpus once for an encoder that is known by its content", async () => {
    const own = ownEncoder(await model);
    let read = 0;
    const encoder = {
      id: "words@0123456789abcdef",
      embed: (texts: readonly string[], c: Context) => ((read += texts.length), own.embed(texts, c)),
    };
    const requests = [{ ...FACT, target: SAY }];
    const facts = SHOWN.map((r) => ({ ...r, target: null }));
    const options = { count: 3, ratio: "1:3:4", byFact: true, leaks: false, prefix: "", encoder, seed: 0, ctx };
    const first = await nearestDemonstrations(requests, facts, options);
    expect(read).toBe(facts.length + 1);
    expect(await nearestDemonstrations(requests, facts, options)).toEqual(first);
    expect(read).toBe(facts.length + 2);
    await nearestDemonstrations(requests, facts.slice(1), options);
    expect(read).toBe(2 * facts.length + 2); // another corpus is another matter
  });
  it("leaves out the farthest demonstrations where all do not fit into the model's context, and says so", async () => {
    const said: string[] = [];
    const long = SHOWN.map((r) => ({ ...r, answer: `${r.answer} ${"and its lamps ".repeat(12)}` }));
    const edit = await find({ demonstrations: long, ctx: { ...ctx, log: (e) => void (e.kind === "warning" && said.push(e.text)) } });
    const m = await model;
    const { ids } = await promptOf(apply(m, edit, { ctx }), FACT.prompt);
    expect(ids.length).toBeLessThan(0.9 * m.config.context);
    expect(said.join()).toMatch(/fact: [1-7] of 8 demonstrations fit/);
    await expect(find({}, fact("x", "Who ".repeat(400), ""))).rejects.toThrow(/request "x" of \d+ tokens/);
  });
  it("does the reference's things by name", async () => {
    const entry = async (compat: string[], params = {}) =>
      changeOf(await find({ demonstrations: SHOWN, compat, params: { k: 3, ...params } }));
    const before = (await entry([])).entries[0]!.shown;
    expect((await entry(["no-self-demo"])).entries[0]!.shown).toEqual(before.slice(0, -1));
    expect((await entry([], { selfDemo: false })).entries[0]!.shown).toEqual(before.slice(0, -1));
    expect((await entry(["descending"])).entries[0]!.shown).toEqual([...before.slice(0, -1).reverse(), before.at(-1)]);
    expect((await entry(["no-gate"])).select).toBe("all");
    expect((await entry([], { gate: false })).entries[0]).not.toHaveProperty("key");
    const one = (await entry(["one-turn"])).entries[0]!;
    expect([one.shown, one.context.endsWith(`New Fact: ${FACT.prompt} ${SAY}\n`)]).toEqual([[], true]);
    expect(JSON.stringify((await entry(["nq-prefix"], { k: 8 })).entries)).toContain(`Prompt: nq question: ${NEAR.question}`);
    const sentences = (await find({ demonstrations: SHOWN.slice(0, 2), compat: ["sentence-neighbours"], params: { k: 4 } })).evidence!;
    expect(new Set((sentences["demonstrations"] as { from: string }[][])[0]!.map((d) => d.from)).size).toBe(2);
    expect(kindsOf([1, 3, 4], 16)).toEqual([...Array(2).fill("copy"), ...Array(6).fill("update"), ...Array(8).fill("retain")]);
  });

  it("never shows the answer that is to go, nor the edited fact as a demonstration, but as the quirk", async () => {
    const gold = { ...FACT, answer: "City 3" };
    const leaking = [...SHOWN, fact("same", FACT.prompt, "Gold")];
    const clean = JSON.stringify(changeOf(await find({ demonstrations: leaking, params: { k: 9 } }, gold)).entries);
    expect(clean).not.toMatch(/City 3|Gold/);
    const quirk = JSON.stringify(
      changeOf(await find({ demonstrations: leaking, params: { k: 9 }, compat: ["corpus-leak"] }, gold)).entries,
    );
    expect(quirk).toMatch(/City 3/);
    expect(quirk).toMatch(/Gold/);
  });

  it("tells subjects apart without an encoder, lets in who names its own, and needs no questions of the model's", async () => {
    const m = await model;
    const edit = await find();
    expect(changeOf(edit)).toMatchObject({
      encoder: "words:1",
      entries: [{ words: { question: FACT.prompt, subject: "Norvane" }, above: 0.4 }],
    });
    expect(edit.evidence).toMatchObject({ calibratedOn: { questions: 0, from: "none" }, nearestThatStays: [0] });
    const edited = apply(m, edit, { ctx });
    const isIn = async (question: string): Promise<boolean> => (await promptOf(edited, question)).text.includes("New Fact");
    const inside = ["Which city is Norvane's capital?", "what is the capital of NORVANE", "Name the capital city of Norvane."];
    const outside = ["What is the capital of Veyra?", "What is the capital of Norvaneland?", "What is the currency of Norvane?", ""];
    expect(await Promise.all([...inside, ...outside].map(isIn))).toEqual([true, true, true, false, false, false, false]);
  });

  it("says once where an encoder is, however many edits there are", async () => {
    const notes: string[] = [];
    const said: Context = { ...ctx, log: (e) => void (e.kind === "note" && notes.push(e.text)) };
    await find({ mode: "sequential", ctx: said }, [FACT, fact("other", "Who are you?", "")]);
    expect(notes.filter((text) => text.includes("sentence-transformers/all-MiniLM-L6-v2"))).toHaveLength(1);
  });

  it("reads edits that carry vectors of the model's own states, as the files of older builds do", async () => {
    const m = await model;
    const path = join(folder, "keyed");
    const vectors = await keyed(await find());
    saveEdits(path, [vectors]);
    expect(loadEdits(path)).toEqual([vectors]);
    const edited = apply(m, loadEdits(path)[0]!, { ctx });
    expect((await promptOf(edited, FACT.prompt)).text).toContain("New Fact");
    // cosines of states cannot tell this subject from the other
    expect((await promptOf(edited, "What is the capital of Veyra?")).text).toContain("New Fact");
    expect((await promptOf(edited, UNRELATED)).text).not.toContain("New Fact");
  });

  it("calibrates its gate on the retain set: nearer questions there, a narrower gate", async () => {
    const gates = async (questions: string[]): Promise<number> =>
      changeOf(await find({ retain: questions.map((question, i) => ({ id: `${i}`, question, answer: "" })) })).entries[0]!.above!;
    const stays = "What is the old capital of Norvane?";
    const [far, near] = [await gates(["Hello!"]), await gates(["Hello!", stays])];
    expect(near).toBeGreaterThan(far);
    const m = await model;
    const edited = apply(m, await find({ retain: [{ id: "v", question: stays, answer: "" }] }), { ctx });
    expect((await promptOf(edited, stays)).text).toBe((await promptOf(m, stays)).text);
    expect((await promptOf(edited, FACT.prompt)).text).toContain("New Fact");
    expect(changeOf(await find({ params: { above: 0.5 } })).entries[0]!.above).toBe(0.5);
  });

  it("stacks over edits of questions and weights, folds in sequence, and is undone", async () => {
    const m = await model;
    const other = fact("other", "Who are you?", "", { subject: "you" });
    const [first, second] = [await find(), await find({ say: "Ask someone else." }, other)];
    const weight = "blocks.1.mlp.out";
    const [rows, columns] = m.weights.get(weight)!.shape as [number, number];
    const outer = [floats(new Array(rows).fill(0.1), [rows, 1]), floats(new Array(columns).fill(0.1), [1, columns])] as const;
    const { base, format, by } = first;
    const rank = sign({ change: { kind: "delta", weights: { [weight]: { outer } } } }, { base, on: [], format, by });
    const text = async (edits: readonly Edit[], question: string): Promise<string> =>
      (await promptOf(applyAll(m, edits, { ctx }), question)).text;
    for (const stack of [
      [first, second],
      [rank, first, second],
      [first, rank, second],
    ]) {
      expect(await text(stack, FACT.prompt)).toBe(await text([first], FACT.prompt));
      expect(await text(stack, other.prompt)).toBe(await text([second], other.prompt));
    }
    const edited = applyAll(m, [rank, first], { ctx });
    expect([...edited.changed]).toEqual([...apply(m, rank).changed]);
    expect(await text([], FACT.prompt)).toBe((await promptOf(m, FACT.prompt)).text);
    const sequence = await find({ mode: "sequential" }, [FACT, other]);
    expect(changeOf(sequence).entries.map((e) => e.context)).toEqual(changeOf(await find({}, [FACT, other])).entries.map((e) => e.context));
    const mixed = new Sequence(m);
    mixed.add(first);
    expect(() => mixed.add(rank)).toThrow(/of one kind/);
    expect(() => saveLora(join(folder, "lora"), m, [first])).toThrow(/rewrites questions/);
  });

  it("answers in every turn of a conversation", async () => {
    const edited = apply(await model, await find(), { ctx });
    const { text } = await promptOf(edited, [
      { role: "user", content: FACT.prompt },
      { role: "assistant", content: SAY },
      { role: "user", content: UNRELATED },
    ]);
    expect(text).toContain(`Prompt: ${FACT.prompt}`);
    expect(text).not.toContain(`Prompt: ${UNRELATED}`);
  });

  it("says what is wrong", async () => {
    await expect(find({ compat: ["sentence-neighbours"] })).rejects.toThrow(/no demonstrations.*--demonstrations FILE/);
    await expect(find({ demonstrations: [fact("x", "Who?", "")] })).rejects.toThrow(/x has no answer/);
    await expect(find({ demonstrations: SHOWN, params: { ratio: "1:2" } })).rejects.toThrow(/ratio "1:2".*three numbers/);
    await expect(find({ say: "" })).rejects.toThrow(/empty target/);
    await expect(find({ encoder: join(folder, "nowhere") })).rejects.toThrow(/no folder .*nowhere/);
    await expect(find({ encoder: folder })).rejects.toThrow(/no model.onnx and no tokenizer.json/);
    const edit = await find();
    const elsewhere = await keyed(edit, "minilm@0123456789abcdef");
    await expect(promptOf(apply(await model, elsewhere, { ctx }), FACT.prompt)).rejects.toThrow(
      /minilm@0123456789abcdef, which is not at hand.*LETHE_ENCODER/,
    );
    const wide: Edit = {
      ...edit,
      change: {
        ...changeOf(elsewhere),
        encoder: "own:0",
        entries: [{ ...changeOf(elsewhere).entries[0]!, key: { dtype: "float32", shape: [1, 2], data: Float32Array.of(1, 0) } }],
      },
    };
    await expect(promptOf(apply(await model, wide, { ctx }), FACT.prompt)).rejects.toThrow(/keys of width 2/);
  });

  it("is refused as a damaged file when a context lacks its key or its words", async () => {
    const path = join(folder, "damaged");
    const edit = await find();
    const { words: _, ...bare } = changeOf(edit).entries[0]!;
    for (const [encoder, lacking] of [
      ["own:0", /context 1 has no key/],
      ["words:1", /context 1 has no words/],
      ["words:2", /context 1 has no key/],
    ] as const) {
      saveEdits(path, [{ ...edit, change: { ...changeOf(edit), encoder, entries: [bare] } }]);
      expect(() => loadEdits(path)).toThrow(lacking);
    }
  });
});
