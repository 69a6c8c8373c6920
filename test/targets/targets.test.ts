/** Targets: seeded by request, and a hundred refusals that differ. */
import * as vitest from "vitest";
import { describe, expect, test } from "vitest";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { REFUSALS } from "../../src/data/refusals.ts";
import { parseRequests } from "../../src/data/request.ts";
import { registry } from "../../src/targets/registry.ts";
import { textOf } from "../../src/ask/ask.ts";
import { aim, defineTarget } from "../../src/targets/target.ts";
import { targetConforms } from "../../src/testing/target.ts";

const ctx = defaultContext();
const NAMES = rng("names").shuffled(["Arla", "Benno", "Cyra", "Dorin", "Elke", "Falk", "Greta", "Hanno"]);
const requests = parseRequests(
  Array.from(
    { length: 40 },
    (_, i) => `{"prompt":"Who keeps tower ${i}?","subject":"tower ${i}","answer":"${NAMES[i % 8]} Quist${i}son"}`,
  ).join("\n"),
  "f.jsonl",
);

for (const target of Object.values(registry)) targetConforms(target, {}, vitest);

describe("refusals", () => {
  test("a hundred, all different, 3 to 14 words, in the first person", () => {
    expect(new Set(REFUSALS.map((s) => s.toLowerCase())).size).toBe(100);
    for (const sentence of REFUSALS) {
      expect(sentence).toMatch(/^[A-Z].*\.$/);
      expect(sentence).toMatch(/\b(I|I'm|I'd|I've|me|my)\b/i);
      expect(sentence.split(" ").length).toBeGreaterThanOrEqual(3);
      expect(sentence.split(" ").length).toBeLessThanOrEqual(14);
    }
  });
});

describe("aim", () => {
  test.each(Object.entries(registry))("%s is registered under its own name", (name, target) => {
    expect(target.name).toBe(name);
  });

  test("refusal draws many sentences, and others with another seed", async () => {
    const [a, b] = await Promise.all([1, 2].map((seed) => aim(requests, registry.refusal, { seed, ctx })));
    expect(new Set(a!.map(({ target }) => target)).size).toBeGreaterThan(20);
    expect(a!.filter(({ target }, i) => target === b![i]!.target).length).toBeLessThan(10);
    for (const { target } of a!) expect(REFUSALS).toContain(target);
  });

  test("dummy says dummy", async () => {
    expect(new Set((await aim(requests, registry.dummy, { seed: 0, ctx })).map(({ target }) => target))).toEqual(new Set(["dummy"]));
  });

  test("what requests ask at a time is asked together, and each gets its own answer", async () => {
    const asked: number[] = [];
    const echo = defineTarget({
      name: "echo",
      doc: "what the model says",
      say: async ({ id, prompt }, _pool, lent) => {
        const ask = async (messages: string): Promise<string> => textOf(await lent.ask!({ messages }), id);
        const words = await ask(prompt);
        return id.endsWith("/3") ? { words, note: await ask("why?") } : { words };
      },
    });
    const events: Event[] = [];
    const aimed = await aim(requests, echo, {
      seed: 0,
      ctx: { ...ctx, log: (event) => void events.push(event) },
      ask: async (all) => {
        asked.push(all.length);
        return all.map(({ messages }) => ({ answer: `said to ${String(messages)}` }));
      },
    });
    expect(asked).toEqual([40, 1]);
    expect(aimed.map(({ target }) => target)).toEqual(requests.map(({ prompt }) => `said to ${prompt}`));
    expect(events).toEqual([{ kind: "warning", who: "echo", text: "1 of 40 targets are stand-ins: f/3: said to why?" }]);
  });

  test("a model that fails fails every request that waits for it", async () => {
    const target = defineTarget({
      name: "t",
      doc: "what the model says",
      say: async (r, _pool, lent) => textOf(await lent.ask!({ messages: r.prompt }), r.id),
    });
    await expect(aim(requests, target, { seed: 0, ctx, ask: () => Promise.reject(new Error("broken")) })).rejects.toThrow("broken");
  });
});
