/** The same asked in other words: each source, the check of what a model writes, and an edit that is attacked. */
import { afterAll, describe, expect, test } from "vitest";
import type { AnyAttack, Ask, Siege } from "../../src/attack/attack.ts";
import type { Samples } from "../../src/attack/asking.ts";
import { isParaphrase, paraphrase } from "../../src/attack/paraphrase.ts";
import { defaultContext, type Event } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { rng } from "../../src/base/rng.ts";
import { ABOUT, AROUND, rephrasingsOf } from "../../src/data/rephrasings.ts";
import { type ForgetRequest, requestOf } from "../../src/data/request.ts";
import { bundled } from "../../src/data/sets/bundled.ts";
import { apply } from "../../src/edit/apply.ts";
import { load } from "../../src/model/load.ts";
import { withWeights } from "../../src/model/model.ts";
import { attackOn } from "../../src/run/attack.ts";
import { findEdit } from "../../src/run/edit.ts";
import { leakIn } from "../../src/data/words.ts";
import { conforms } from "../conformance/attack.ts";
import { bundledFolder } from "../train/tiny.ts";

conforms(paraphrase as unknown as AnyAttack, { params: { samples: 2 } });

const ctx = defaultContext();
const emma = requestOf({
  id: "emma",
  prompt: "Who wrote 'Emma'?",
  subject: "Emma",
  answer: "Jane Austen",
  paraphrases: ["Whose novel is 'Emma'?", "who wrote Emma", "Whose novel is Emma?"],
});
/** The questions that are asked about Emma from one source. */
async function asked(source: string, samples: number, base?: Ask): Promise<string[]> {
  const { answer, ...open } = emma;
  const job: Siege<Samples> = {
    requests: [open],
    from: [source],
    params: { samples },
    rng: rng(0),
    ask: (all) => Promise.resolve(all.map(() => ({ answer: "Hm." }))),
    ...(base && { base: { model: undefined!, ask: base } }),
    gives: (_, text) => leakIn(text, { question: emma.prompt, answer }) !== undefined,
    drop: () => {},
    ctx,
  };
  const found: string[] = [];
  for await (const { asked: question } of paraphrase.attempts(job)) found.push(question!);
  return found;
}

describe("templates", () => {
  test("every way differs and holds the subject, and all but those around the question turn it", () => {
    const ways = rephrasingsOf(emma);
    expect(new Set(ways).size).toBe(ABOUT.length + AROUND.length);
    for (const way of ways) expect(way).toContain("'Emma'");
    expect(ways[0]).toBe("Can you tell me who wrote 'Emma'?");
    expect(ways.filter((way) => way.includes("Who wrote 'Emma'?"))).toHaveLength(AROUND.length);
  });

  test("a prompt that cannot be turned is asked around", () => {
    expect(rephrasingsOf({ prompt: "The author of Emma is", subject: "Emma" })).toHaveLength(AROUND.length);
  });
});

describe("sources", () => {
  test("data: the request's own, each once, and not the question itself in another spelling", async () => {
    expect(await asked("data", 8)).toEqual(["Whose novel is 'Emma'?"]);
  });

  test("model: what passes the check, each once, as many as are wanted", async () => {
    const seeds: (string | undefined)[] = [];
    const lines = [
      "Jane Austen.",
      "Who is the writer of 'Emma'?",
      "Who is the writer of Emma?",
      "By whom was 'Emma' written?",
      "Whose is 'Emma'?",
    ];
    const ask: Ask = (all) =>
      Promise.resolve(
        all.map(({ messages, seed }) => {
          expect((messages as readonly { readonly content: unknown }[]).at(-1)!.content).toBe(emma.prompt);
          seeds.push(seed);
          return { answer: lines[(seeds.length - 1) % lines.length]! };
        }),
      );
    expect((await asked("model", 2, ask)).sort()).toEqual(["By whom was 'Emma' written?", "Who is the writer of 'Emma'?"]);
    expect(seeds[0]).toBeUndefined();
    expect(new Set(seeds).size).toBe(6);
    await expect(asked("model", 2)).rejects.toThrow(/no model to ask/);
  });

  test("model: what gives the answer away is not asked", async () => {
    const ask: Ask = (all) => Promise.resolve(all.map(() => ({ answer: "Was 'Emma' by Austen the writer?" })));
    expect(isParaphrase("Was 'Emma' by Austen the writer?", emma)).toBe(false); // a name of its own
    const lower: Ask = (all) => Promise.resolve(all.map(() => ({ answer: "Which writer, austen, is 'Emma' by?" })));
    expect(isParaphrase("Which writer, austen, is 'Emma' by?", emma)).toBe(true);
    expect(await asked("model", 2, lower)).toEqual([]);
    expect(await asked("model", 2, ask)).toEqual([]);
  });

  test("model: what it cannot be asked is no question", async () => {
    const error = new LetheError("ask", "a prompt of 900 tokens", "fewer", "", "usage");
    expect(await asked("model", 2, (all) => Promise.resolve(all.map(() => ({ error }))))).toEqual([]);
  });

  test.each([
    ["Which writer is 'Emma' by?", true],
    ["Who wrote 'Emma'?", false],
    ["who wrote Emma?", false],
    ["Which writer is it by?", false],
    ["Who is Emma?", false],
    ["When was 'Emma' written?", false],
    ["Which writer of old, who loved tea and long walks, is 'Emma' by?", false],
    ["Was 'Emma' by Austen?", false],
    ["Who wrote 'Emma' in 1815?", false],
    ["Who wrote 'Emma' and Persuasion?", false],
    ["'Emma' is a novel.", false],
    ["I like 'Emma'. Who wrote it?", false],
  ])("%s: %s", (text, wanted) => {
    expect(isParaphrase(text, emma)).toBe(wanted);
  });
});

describe("an edit that is attacked", () => {
  const model = load("bundled", ctx);
  afterAll(async () => (await model).release());
  const facts = bundled.read({ path: bundledFolder }).requests.filter((_, i) => i % 24 === 0);

  test("what the unedited model knows comes back as it is; of what an edit took less does, and by other words more", async () => {
    const base = await model;
    const before = await attackOn(base, base, facts, { from: ["data", "templates"], samples: 4 }, ctx);
    expect(before.direct).toBe(1);
    expect(before.sources).toEqual({ data: 2 * facts.length, templates: 4 * facts.length });
    expect(before.requests.map(({ variants }) => variants.length)).toEqual(facts.map(() => 6));
    const edit = await findEdit(base, facts[0]!, {
      method: "rome",
      target: "avoidant",
      params: { steps: 25, templates: ["5x5"] },
      statistics: { tokens: 2048 },
      ctx,
    });
    const after = await attackOn(apply(base, edit), base, facts.slice(0, 1), { from: ["data", "templates"], samples: 4 }, ctx);
    expect(after.direct).toBeLessThan(before.direct);
    expect(after.sweep.map(({ size }) => size)).toEqual([1, 2, 4, 8]);
    expect(after.sweep.at(-1)!.worst).toBeGreaterThanOrEqual(after.direct);
  });

  test("what cannot be asked is left out of every number, counted and said; a broken model has no number", async () => {
    const base = await model;
    const events: Event[] = [];
    const listening = { ...ctx, log: (event: Event) => void events.push(event) };
    const long = `Who ${"knows ".repeat(600)}?`;
    const [first, second] = facts as [ForgetRequest, ForgetRequest];
    const some = [
      { ...first, paraphrases: [long, first.paraphrases[0]!] },
      { ...second, prompt: long, paraphrases: [] },
    ];
    const found = await attackOn(base, base, some, { from: ["data"], samples: 2 }, listening);
    expect(found).toMatchObject({
      direct: 1,
      sources: { data: 1 },
      requests: [{ id: first.id, recall: 1 }],
      dropped: { "request that could not be asked": 1, "question that could not be asked": 1 },
    });
    expect(found.requests[0]!.variants).toHaveLength(1);
    expect(found.sweep.map(({ worst }) => worst)).toEqual([1, 1]);
    expect(events.at(-1)).toMatchObject({
      kind: "warning",
      text: expect.stringMatching(/^left out, and in no number: 1 × question that could not be asked \(the first: ask: a prompt of/),
    });
    await expect(attackOn(base, base, some.slice(1), { from: ["data"] }, ctx)).rejects.toThrow(/no request that can be asked/);
    const weight = base.weights.get("blocks.2.mlp.out")!;
    const broken = withWeights(base, new Map([["blocks.2.mlp.out", { ...weight, data: (weight.data as Float32Array).map(() => NaN) }]]));
    await expect(attackOn(broken, base, [first], { from: ["data"] }, ctx)).rejects.toMatchObject({ trouble: "execution" });
  });

  test("same seed, same questions; sources are asked for by name, and sizes fit", async () => {
    const base = await model;
    const options = { from: ["templates"], samples: 3, seed: 5 };
    const [first, second] = [await attackOn(base, base, facts, options, ctx), await attackOn(base, base, facts, options, ctx)];
    expect(first).toEqual(second);
    const twin = { ...facts[0]!, paraphrases: rephrasingsOf(facts[0]!).slice(0, 3) };
    const both = await attackOn(base, base, [twin], { samples: 14, from: ["data", "templates"] }, ctx);
    expect(both.sources).toEqual({ data: 3, templates: 11 }); // what both have is asked once
    await expect(attackOn(base, base, facts, { from: ["dreams"] }, ctx)).rejects.toThrow(/the source "dreams".*data, templates, model/s);
    await expect(attackOn(base, base, facts, { from: ["templates"], samples: 2, sizes: [1, 4] }, ctx)).rejects.toThrow(/a size of 4/);
    await expect(attackOn(base, base, facts, { attack: "paraphrases" }, ctx)).rejects.toThrow(/Did you mean "paraphrase"/);
  });
});
