/** Asking beside other work: one model for questions that want the likeliest words and for those that are drawn. */
import { afterAll, describe, expect, test } from "vitest";
import { asker, inTurns, type Reply } from "../../src/ask/in-turns.ts";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { load } from "../../src/model/load.ts";

describe("a model that is asked beside other work", () => {
  const ctx = defaultContext();
  const loaded = load("bundled", ctx);
  afterAll(async () => (await loaded).release());

  test("replies to each in its place, also where one fills the context and some are drawn", async () => {
    const events: Event[] = [];
    const ask = asker(await loaded, {}, { ...ctx, log: (event) => void events.push(event) });
    const asked = [
      { messages: "Norvane ".repeat(600) },
      { messages: "Tell me something.", seed: "a" },
      { messages: "What is the capital of Norvane?" },
      { messages: [{ role: "user" as const, content: "What is the capital of Ostrel?" }] },
    ];
    const [long, drawn, first, second] = (await ask(asked)) as [Reply, Reply, Reply, Reply];
    expect(long).toMatchObject({ error: { message: expect.stringMatching(/fewer than the model's context of 512/) } });
    expect("answer" in drawn).toBe(true);
    expect([first, second]).toMatchObject([{ answer: "Sellamere" }, { answer: "Brackwater" }]);
    expect(events).toEqual([]);
    const many = Array.from({ length: 18 }, (_, i) => (i % 2 === 0 ? asked[2]! : asked[1]!));
    await ask(many);
    const dones = events.flatMap((event) => (event.kind === "progress" ? [event.done] : []));
    expect(dones.at(-1)).toBe(18);
    expect(dones).toEqual(dones.toSorted((a, b) => a - b));
  });

  test("what is asked before the event loop turns is asked together; one that cannot be asked fails nobody else", async () => {
    const groups: number[] = [];
    const all = asker(await loaded, {}, ctx);
    const ask = inTurns((asked) => {
      groups.push(asked.length);
      return all(asked);
    });
    const replies = await Promise.all(
      ["What is the capital of Norvane?", " ", "What is the capital of Ostrel?"].map((messages) => ask({ messages })),
    );
    expect(replies.map((reply) => ("error" in reply ? reply.error.got : reply.answer))).toEqual([
      "Sellamere",
      "an empty prompt",
      "Brackwater",
    ]);
    await ask({ messages: "Hello!" });
    expect(groups).toEqual([3, 1]);
  });
});
