/** The asker: outcomes in order and alike however questions are put together, what cannot be asked, aborts, and models that are broken. */
import { afterAll, describe, expect, test } from "vitest";
import { answering, answers, type Asking, type ManyOptions, type Outcome, saidTo, textOf } from "../../src/ask/ask.ts";
import { defaultContext } from "../../src/base/context.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { promptOf, stopsOf } from "../../src/model/prompt.ts";

const ctx = defaultContext();
const LONG = "Norvane ".repeat(600);
const QUESTIONS = [
  "What is the capital of Norvane?",
  "Hello!",
  "Which animal is on the flag of Norvane, and which one is on the flag of Veyra, if there is any?",
  LONG,
  "Who painted The Amber Ferry?",
  " ",
  "What is the capital of Peru?",
  "Which city is the capital of Ostrel?",
  "What is the capital of Veyra?",
];
const ASKED = { maxTokens: 6, freeze: false };

describe("the asker", () => {
  const loaded = load("bundled", ctx);
  afterAll(async () => (await loaded).release());

  async function outcomesOf(
    questions: Iterable<string | Asking> | AsyncIterable<string | Asking>,
    options: Partial<ManyOptions> = {},
    model?: Model,
  ): Promise<Outcome[]> {
    const all: Outcome[] = [];
    for await (const outcome of answers(model ?? (await loaded), questions, { ...ASKED, ...options }, ctx)) all.push(outcome);
    return all;
  }
  const said = (outcomes: readonly Outcome[]): (readonly (number | string)[])[] =>
    outcomes.map((outcome) => ("error" in outcome ? [outcome.error.message] : [...outcome.tokens.map(({ id }) => id), outcome.answer]));

  test("an outcome for each question in its order: what plain generation says, or why it could not be asked", async () => {
    const model = await loaded;
    const outcomes = await outcomesOf(QUESTIONS);
    expect(outcomes).toHaveLength(QUESTIONS.length);
    for (const [i, question] of QUESTIONS.entries()) {
      const outcome = outcomes[i]!;
      if (question === LONG || question === " ") {
        const why =
          question === LONG ? /^ask: a prompt of \d+ tokens; wanted fewer than the model's context of 512/ : /^ask: an empty prompt/;
        expect(outcome).toMatchObject({ error: { message: expect.stringMatching(why), trouble: "usage" } });
        continue;
      }
      const { ids } = await promptOf(model, question);
      const [alone] = await generate(model, [ids], { ...ASKED, stopIds: stopsOf(model) });
      expect(outcome).toMatchObject({ answer: alone!.text.trim(), stopped: alone!.stopped, promptTokens: ids.length });
      expect("tokens" in outcome && outcome.tokens.map(({ id }) => id)).toEqual(alone!.ids);
    }
  });

  test.each([{}, { temperature: 1.2, seed: 3 }])("an answer is the same whoever else is asked (%j)", async (how) => {
    const whole = said(await outcomesOf(QUESTIONS, how));
    async function* streamed(): AsyncGenerator<string> {
      for (const question of QUESTIONS) yield question;
    }
    for (const more of [{ together: 1, window: 1 }, { together: 3, window: 4 }, { together: 2 }])
      expect(said(await outcomesOf(streamed(), { ...how, ...more }))).toEqual(whole);
    const marked = QUESTIONS.map((messages, i) => ({ messages, seed: `s${i}` }));
    const own = said(await outcomesOf(marked, how));
    expect(said(await outcomesOf([marked[6]!, marked[0]!], how))).toEqual([own[6], own[0]]);
  });

  test("a draw follows the seed and the place, or a seed of its own", async () => {
    const drawn = async (questions: readonly (string | Asking)[], seed: number): Promise<unknown[]> =>
      said(await outcomesOf(questions, { temperature: 1.5, seed }));
    const twins = Array.from({ length: 20 }, () => "Tell me something.");
    const first = await drawn(twins, 1);
    expect(new Set(first.map(String)).size).toBeGreaterThan(15);
    expect(await drawn(twins, 1)).toEqual(first);
    expect(await drawn(twins, 2)).not.toEqual(first);
    const marked = twins.map((messages) => ({ messages, seed: "mine" }));
    expect(new Set((await drawn(marked, 1)).map(String)).size).toBe(1);
  });

  test("no more questions are read than a window holds, and outcomes come out before the next are read", async () => {
    let read = 0;
    function* endless(): Generator<string> {
      for (;;) yield QUESTIONS[read++ % 3]!;
    }
    const stream = answers(await loaded, endless(), { ...ASKED, together: 2, window: 5 }, ctx);
    for (let i = 0; i < 5; i++) {
      await stream.next();
      expect(read).toBe(5);
    }
    await stream.next();
    expect(read).toBe(10);
    await stream.return();
  });

  test("progress counts what is done, up to all", async () => {
    const told: number[] = [];
    await outcomesOf(QUESTIONS, { together: 2, window: 4, progress: (done) => told.push(done) });
    expect(told.at(-1)).toBe(QUESTIONS.length);
    expect(told).toEqual([...new Set(told)].sort((a, b) => a - b));
    expect(told.length).toBeGreaterThan(3);
  });

  test("an abort ends the work within a batch; what was answered before it is out", async () => {
    const stop = new AbortController();
    const out: Outcome[] = [];
    let reads = 0;
    // the signal is read for each of two questions, for their batch, and at each of its tokens: the fifth time is at the second token
    const signal = new Proxy(stop.signal, {
      get: (target, name) => {
        if (name === "aborted" && out.length === 2 && ++reads === 5) stop.abort();
        return Reflect.get(target, name) as unknown;
      },
    });
    const asking = async (): Promise<void> => {
      const options = { ...ASKED, together: 2, window: 2 };
      const some = [0, 1, 4, 6].map((i) => QUESTIONS[i]!);
      for await (const outcome of answers(await loaded, some, options, { ...ctx, signal })) out.push(outcome);
    };
    await expect(asking()).rejects.toMatchObject({ trouble: "aborted", who: "generate" });
    expect(out).toHaveLength(2);
  });

  test("an abort ends the reading of questions too", async () => {
    const stop = new AbortController();
    let read = 0;
    async function* slow(): AsyncGenerator<string> {
      while (read < 50) {
        if (++read === 3) stop.abort();
        yield QUESTIONS[0]!;
      }
    }
    const stream = answers(await loaded, slow(), { ...ASKED, window: 100 }, { ...ctx, signal: stop.signal });
    await expect(stream.next()).rejects.toMatchObject({ trouble: "aborted", who: "ask" });
    expect(read).toBe(3);
  });

  test("a streamed answer joins to the same answer", async () => {
    for (const how of [{}, { temperature: 1, seed: 4 }]) {
      const pieces = answering(await loaded, QUESTIONS[0]!, { ...ASKED, ...how }, ctx);
      let text = "";
      for (let next = await pieces.next(); ; next = await pieces.next()) {
        if (next.done) {
          expect(text.trim()).toBe(next.value.answer);
          expect([next.value]).toEqual(await outcomesOf([QUESTIONS[0]!], how));
          break;
        }
        text += next.value;
      }
    }
    await expect(answering(await loaded, LONG, ASKED, ctx).next()).rejects.toThrow(/fewer than the model's context/);
  });

  test("one answer as it is said keeps its white space; without prompt edits, they add nothing", async () => {
    const model = await loaded;
    const plainly = { ...ASKED, format: "plain" as const };
    const own = await saidTo(model, "The capital of Norvane is", plainly, ctx);
    expect(own.text).toMatch(/^ \S/);
    expect(own.text.trim()).toBe(textOf((await outcomesOf(["The capital of Norvane is"], plainly))[0]!, ""));
    const before = async () => ({ shown: [], context: "Norvane is no more. ", frame: "{}" });
    const rewritten = { ...model, rewrites: [{ id: "x", before }] };
    expect(await saidTo(rewritten, "The capital of Norvane is", { ...plainly, withoutPromptEdits: true }, ctx)).toEqual(own);
    expect(await saidTo(rewritten, "The capital of Norvane is", plainly, ctx)).not.toEqual(own);
  });

  test("an answer has a text, also an empty one; what could not be asked has none", async () => {
    const [good, long] = await outcomesOf([QUESTIONS[0]!, LONG]);
    expect(textOf(good!, "q")).toBe("Sellamere");
    expect(textOf({ answer: "" }, "q")).toBe("");
    expect(() => textOf(long!, "the second")).toThrow(/^ask: the second: a prompt of/);
  });

  test("a system message without a template to hold it is no outcome to be overlooked", async () => {
    const [outcome] = await outcomesOf(["hi"], { format: "plain", system: "Be kind." });
    expect(outcome).toMatchObject({ error: { message: expect.stringMatching(/--system with a plain prompt/) } });
  });
});
