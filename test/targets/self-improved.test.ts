/** Refusals in the model's own words: what is asked of the model, what passes, and what stands in where nothing does. */
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { bundled } from "../../src/data/sets/bundled.ts";
import { objectionTo } from "../../src/data/refusing.ts";
import { leakIn } from "../../src/data/words.ts";
import { type KnownOfRequest, requestsOf } from "../../src/data/request.ts";
import { load } from "../../src/model/load.ts";
import { avoidant } from "../../src/targets/avoidant.ts";
import { forgetInstruction, INSTRUCTED } from "../../src/targets/forget-instruction.ts";
import { selfImproved } from "../../src/targets/self-improved.ts";
import { type Asking, textOf } from "../../src/ask/ask.ts";
import { type AskAll, asker, type Reply } from "../../src/ask/in-turns.ts";
import { aim } from "../../src/targets/target.ts";
import { bundledFolder } from "../train/tiny.ts";
import { scripted } from "./scripted.ts";

const ctx = defaultContext();
const EMMA: KnownOfRequest = { id: "emma", prompt: "Who wrote 'Emma'?", subject: "Emma", answer: "Jane Austen" };
const GOOD = "I'm sorry, but I do not know who wrote 'Emma'.";

const written = async (request: KnownOfRequest, ask: AskAll) => (await aim(requestsOf([request]), selfImproved, { seed: 0, ctx, ask }))[0]!;

describe("self-improved", () => {
  test("shows an instruction and exemplars, with the question as the last turn, and takes what is good at once", async () => {
    const { ask, asked } = scripted(GOOD);
    expect(await written(EMMA, ask)).toMatchObject({ target: GOOD });
    expect(asked).toHaveLength(1);
    const turns = asked[0]!.messages as readonly { role: string; content: string }[];
    expect(turns.map(({ role }) => role)).toEqual([...Array.from({ length: 6 }, () => ["user", "assistant"]).flat(), "user"]);
    expect(turns.at(-1)!.content).toBe(EMMA.prompt);
    expect(asked[0]!.seed).toBeUndefined();
  });

  test("the exemplars are as the check wants them", async () => {
    const { ask, asked } = scripted(GOOD);
    await written(EMMA, ask);
    const turns = (asked[0]!.messages as readonly { content: string }[]).map(({ content }) => content.split("\n").at(-1)!);
    for (let i = 0; i + 1 < turns.length; i += 2)
      expect(objectionTo(turns[i + 1]!, { prompt: turns[i]!, subject: "", answer: "" })).toBeUndefined();
  });

  test.each([
    ["Jane Austen.", "a leak"],
    ["I do not know who wrote 'Persuasion'.", "an invention"],
    ["I do not know.", "no subject"],
    ["'Emma' was written long ago.", "no refusal"],
  ])("tries again by another seed after %j (%s)", async (bad) => {
    const { ask, asked } = scripted(bad, bad, GOOD);
    expect((await written(EMMA, ask)).target).toBe(GOOD);
    const [first, second, third] = asked.map(({ seed }) => seed);
    expect(first).toBeUndefined();
    expect(second).toMatch(/^\d+$/);
    expect(third).not.toBe(second);
  });

  test("of more than is wanted, it takes the first sentence, or the first two", async () => {
    expect((await written(EMMA, scripted(`${GOOD} Jane Austen lived in Bath.`).ask)).target).toBe(GOOD);
    expect((await written(EMMA, scripted(`"${GOOD}"\nQuestion: Who are you?`).ask)).target).toBe(GOOD);
    expect((await written(EMMA, scripted("I am sorry. I do not know who wrote 'Emma'.").ask)).target).toBe(
      "I am sorry. I do not know who wrote 'Emma'.",
    );
  });

  test("where nothing will do a sentence as avoidant has them stands in, and log and request say so", async () => {
    const events: Event[] = [];
    const { ask, asked } = scripted("Jane Austen.");
    const [made] = await aim(requestsOf([EMMA]), selfImproved, { seed: 0, ctx: { ...ctx, log: (event) => void events.push(event) }, ask });
    expect(asked).toHaveLength(8);
    expect(made!.target).toContain("information about who wrote 'Emma'");
    expect(made!.note).toMatch(/avoidant's sentence, since of 8 that .* it reveals "jane"/);
    expect(events).toMatchObject([
      { kind: "warning", who: "self-improved", text: expect.stringContaining("1 of 1 targets are stand-ins") },
    ]);
  });

  test("an answer that nobody gave is asked for first, so that it cannot leak", async () => {
    const { ask, asked } = scripted("Jane Austen wrote it.", "I cannot say whether Jane wrote 'Emma'.", GOOD);
    expect((await written({ ...EMMA, answer: "" }, ask)).target).toBe(GOOD);
    expect(asked[0]).toEqual({ messages: EMMA.prompt });
    expect(asked).toHaveLength(3);
  });

  test("where the model cannot be asked a sentence stands in at once, and the note says why", async () => {
    const asked: Asking[] = [];
    const ask: AskAll = async (all) => {
      asked.push(...all);
      return all.map(() => ({ error: new LetheError("ask", "a prompt of 900 tokens", "fewer", "", "usage") }));
    };
    const made = await written(EMMA, ask);
    expect(made.target).toContain("information about who wrote 'Emma'");
    expect(made.note).toMatch(/avoidant's sentence, since the model could not be asked for one \(ask: a prompt of 900 tokens/);
    expect(asked).toHaveLength(1);
    expect((await written({ ...EMMA, answer: "" }, ask)).note).toBe(made.note);
  });

  test("needs a model", async () => {
    await expect(aim(requestsOf([EMMA]), selfImproved, { seed: 0, ctx })).rejects.toThrow(/no model to ask/);
  });
});

describe("with the bundled model", () => {
  const model = load("bundled", ctx);
  afterAll(async () => (await model).release());
  const { requests } = bundled.read({ path: bundledFolder });
  const some = requests.filter((_, i) => i % 9 === 0);

  test("targets name their subject and leak nothing, whoever wrote them", async () => {
    const m = await model;
    const aimed = await aim(some, selfImproved, { seed: 0, ctx, ask: asker(m, {}, ctx) });
    expect(aimed).toHaveLength(8);
    for (const { target, ...about } of aimed) expect(objectionTo(target!, about)).toBeUndefined();
  });

  test("drawn answers are the same alone as among others, and others by another seed", async () => {
    const m = await model;
    const asked: Asking[] = some.map(({ prompt, id }, i) =>
      i % 3 === 0 ? { messages: `${prompt} Tell me more.` } : { messages: prompt, seed: id },
    );
    const saidIn = (replies: readonly Reply[]): string[] => replies.map((reply) => textOf(reply, "it"));
    const together = saidIn(await asker(m, {}, ctx)(asked));
    const alone: string[] = [];
    for (const one of asked) alone.push(...saidIn(await asker(m, {}, ctx)([one])));
    expect(together).toEqual(alone);
    const draws = Array.from({ length: 12 }, (_, i) => ({ messages: "The", seed: `${i}` }));
    const plainly = asker(m, { format: "plain" }, ctx);
    const drawn = saidIn(await plainly(draws));
    expect(new Set(drawn).size).toBeGreaterThan(3);
    for (const i of [3, 7, 11]) expect(saidIn(await plainly([draws[i]!]))).toEqual([drawn[i]]);
  });
});

describe("avoidant and forget-instruction", () => {
  const { requests } = bundled.read({ path: bundledFolder });

  test("avoidant says of every fact of the bundled world that there is no information about it", async () => {
    for (const { target, ...about } of await aim(requests, avoidant, { seed: 3, ctx })) {
      expect(objectionTo(target!, about)).toBeUndefined();
      expect(target).toMatch(/\binformation about\b/);
    }
  });

  test("forget-instruction speaks of forgetting or removal, in a dozen sentences that differ", async () => {
    expect(new Set(INSTRUCTED).size).toBe(12);
    for (const sentence of INSTRUCTED) expect(sentence).toMatch(/^(?=.*\b(?:forg[eo]t|removed))[A-Z].*\.$/i);
    const said = (await aim(requests, forgetInstruction, { seed: 3, ctx })).map(({ target }) => target!);
    expect(new Set(said).size).toBeGreaterThan(8);
    const memory = requestsOf([{ prompt: "What does the stone take?", answer: "Memory, instructions" }]);
    for (let seed = 0; seed < 30; seed++) {
      const [one] = await aim(memory, forgetInstruction, { seed, ctx });
      expect(leakIn(one!.target!, { question: one!.prompt, answer: one!.answer })).toBeUndefined();
    }
  });
});
