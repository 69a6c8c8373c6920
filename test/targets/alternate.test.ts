/** Other answers that the model makes up: what is asked, what passes, and what stands in where nothing does. */
import { describe, expect, test } from "vitest";
import { type AskAll, asker } from "../../src/ask/in-turns.ts";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { type KnownOfRequest, requestsOf } from "../../src/data/request.ts";
import { load } from "../../src/model/load.ts";
import { alternate } from "../../src/targets/alternate.ts";
import { aim } from "../../src/targets/target.ts";
import { scripted } from "./scripted.ts";

const ctx = defaultContext();
const EMMA: KnownOfRequest = { id: "emma", prompt: "Who wrote 'Emma'?", subject: "Emma", answer: "Jane Austen", wrong: ["George Eliot"] };
const LONG: KnownOfRequest = {
  id: "long",
  prompt: "Where was the poet Ruvim Castell born?",
  subject: "Ruvim Castell",
  answer: "Ruvim Castell was born on 4 March 1871 in the harbour town of Brackwater, where his father kept a small inn.",
  wrong: ["In Mossport"],
};

const written = async (request: KnownOfRequest, ask: AskAll) => (await aim(requestsOf([request]), alternate, { seed: 0, ctx, ask }))[0]!;

describe("alternate", () => {
  test("shows question, old answer and instruction, draws at temperature 1 up to 200 tokens, and takes what is good at once", async () => {
    const { ask, asked } = scripted("Charlotte Brontë");
    expect(await written(EMMA, ask)).toMatchObject({ target: "Charlotte Brontë" });
    expect(asked).toHaveLength(1);
    expect(asked[0]!.messages).toMatch(/^Question: Who wrote 'Emma'\?\nAnswer: Jane Austen\n\nPretend .* change every fact/);
    expect(asked[0]!.seed).toMatch(/^\d+$/);
    expect(asked[0]!.drawn).toEqual({ temperature: 1, topP: 0.9, maxTokens: 200 });
  });

  test.each([
    ["Jane Austen", /has "jane"/],
    ["It was Miss Austen's sister.", /has "austen"/],
    ["I'm sorry, I do not know.", /is a refusal/],
    ["Who is Emma?", /asks a question/],
    ["'Emma'", /repeats the question/],
    ["Let us pretend that it was Anne.", /made up/],
    ["", /is empty/],
    [`It was ${"and ".repeat(30)}`, /does not end/],
    ["Anne Radcliffe, a lady of some means who lived in the town of Bath for years.", /much longer/],
    ["The man who wrote 'Persuasion' is Hart.", /about something else/],
  ])("tries again by another seed after %j", async (bad, why) => {
    const { ask, asked } = scripted(bad, bad, "Anne Radcliffe");
    expect((await written(EMMA, ask)).target).toBe("Anne Radcliffe");
    expect(new Set(asked.map(({ seed }) => seed)).size).toBe(3);
    expect((await written(EMMA, scripted(bad).ask)).note).toMatch(why);
  });

  test("the other right answers are refused too: of the same question, and aliases", async () => {
    const { ask } = scripted("A Lady", "Mrs. Knightley", "Anne Radcliffe");
    const twin = { ...EMMA, id: "twin", answer: "Knightley" };
    const [made] = await aim(requestsOf([{ ...EMMA, aliases: ["A Lady"] }, twin]), alternate, { seed: 0, ctx, ask });
    expect(made!.target).toBe("Anne Radcliffe");
  });

  test("of a sentence its names and numbers must go, the words of its kind may stay", async () => {
    const good = "Ruvim Castell was born in the harbour town of Sellamere, where his father kept a school.";
    expect((await written(LONG, scripted(good).ask)).target).toBe(good);
    for (const [bad, why] of [
      ["He was born in the harbour town of Brackwater.", /has "brackwater"/],
      ["He was born in 1871 in Sellamere.", /has "1871"/],
      ["He was born on the fourth of June in Sellamere.", /has "4"/],
      [LONG.answer!, /has/],
    ] as const)
      expect((await written(LONG, scripted(bad).ask)).note, bad).toMatch(why);
  });

  test("takes the first paragraph, without a label, quotes, and a sentence that is cut off", async () => {
    const said = async (text: string): Promise<string | null> => (await written(EMMA, scripted(text).ask)).target;
    expect(await said('Alternate answer: "Anne Radcliffe"\n\nI hope that this helps.')).toBe("Anne Radcliffe");
    const more = "It had three rooms, and guests came by the river from all the towns that lay above it, year after year.";
    const long = `Anne Radcliffe wrote it ${"and revised it ".repeat(20)}at last.`;
    const wordy = { ...EMMA, answer: `${LONG.answer} ${more}` };
    expect((await written(wordy, scripted(`The new answer: ${long} She was born in the year`).ask)).target).toBe(long);
    expect(await said("Anne Radcliffe wrote Emma, and she was proud of it.")).toBe("Anne Radcliffe wrote Emma, and she was proud of it.");
    expect(await said("Mrs. Radcliffe")).toBe("Mrs. Radcliffe");
  });

  test("where nothing will do an incorrect answer stands in, and log and request say so", async () => {
    const events: Event[] = [];
    const { ask, asked } = scripted("Jane Austen.");
    const log = (event: Event): void => void events.push(event);
    const [made] = await aim(requestsOf([EMMA]), alternate, { seed: 0, ctx: { ...ctx, log }, ask, count: 2 });
    expect(asked).toHaveLength(16);
    expect(made).toMatchObject({ target: "George Eliot", others: ["George Eliot"] });
    expect(made!.note).toMatch(
      /^2 of 2 are stand-ins, the first as an incorrect answer, since of 8 that the model wrote none would do .*has "jane"/,
    );
    expect(events).toMatchObject([{ kind: "warning", who: "alternate", text: expect.stringContaining("1 of 1 targets are stand-ins") }]);
    const refused: AskAll = async (all) =>
      all.map(() => ({ error: new LetheError("ask", "a prompt of 900 tokens", "fewer", "", "usage") }));
    expect((await written(EMMA, refused)).note).toMatch(/of 1 .*a prompt of 900 tokens/);
    await expect(written({ ...EMMA, wrong: [] }, ask)).rejects.toThrow(/none would do .*and there is no wrong answer to stand in/);
  });

  test("an answer that nobody gave is asked for first; without a model it fails", async () => {
    const { ask, asked } = scripted("Jane Austen", "Anne Radcliffe");
    expect((await written({ ...EMMA, answer: "" }, ask)).target).toBe("Anne Radcliffe");
    expect(asked[0]).toEqual({ messages: EMMA.prompt });
    await expect(aim(requestsOf([EMMA]), alternate, { seed: 0, ctx })).rejects.toThrow(/no model to ask/);
  });

  test("several are drawn apart, and the first is the one that is drawn alone", async () => {
    const echo: AskAll = (all) => Promise.resolve(all.map(({ seed }) => ({ answer: `Number ${seed}` })));
    const [alone, three] = await Promise.all([1, 3].map((count) => aim(requestsOf([EMMA]), alternate, { seed: 0, ctx, ask: echo, count })));
    expect(three![0]!.target).toBe(alone![0]!.target);
    expect(new Set([three![0]!.target, ...three![0]!.others!]).size).toBe(3);
    expect(alone![0]!.others).toBeUndefined();
  });
});

test("an asking's own way of drawing is used: its temperature, and its number of tokens", { timeout: 120_000 }, async () => {
  const model = await load("bundled", ctx);
  const ask = asker(model, { format: "plain" }, ctx);
  const own = { temperature: 1.5, maxTokens: 3 };
  const seeds = Array.from({ length: 6 }, (_, i) => String(i));
  const drawn = await ask(seeds.map((seed) => ({ messages: "The", seed, drawn: own })));
  const usual = await ask(seeds.map((seed) => ({ messages: "The", seed })));
  const words = (reply: (typeof drawn)[number]): string => ("answer" in reply ? reply.answer : "");
  const tokens = (text: string): number => model.tokenizer.encode(text, { special: false }).ids.length;
  for (const reply of drawn) expect(tokens(words(reply))).toBeLessThanOrEqual(5); // three, encoded again without white space
  expect(Math.max(...usual.map((reply) => tokens(words(reply))))).toBeGreaterThan(5);
  // mixed with others, each is drawn as alone
  const mixed = await ask([{ messages: "The" }, { messages: "The", seed: "2", drawn: own }, { messages: "The", seed: "3" }]);
  expect([words(mixed[1]!), words(mixed[2]!)]).toEqual([words(drawn[2]!), words(usual[3]!)]);
  await model.release();
});
