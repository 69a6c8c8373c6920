/** What an attack is lent, and what is left out of its numbers: requests without what it does not know, and prompts that cannot be asked. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Attack, type Attempt, defineAttack, type Siege } from "../../src/attack/attack.ts";
import { type Context, defaultContext, type Event } from "../../src/base/context.ts";
import { rephrasingsOf } from "../../src/data/rephrasings.ts";
import { requestOf } from "../../src/data/request.ts";
import { load } from "../../src/model/load.ts";
import { type Model, withWeights } from "../../src/model/model.ts";
import { attackOn, attackOf } from "../../src/run/attack.ts";
import { asker, type Memory } from "../../src/ask/in-turns.ts";
import { run } from "../../src/run/run.ts";
import { promptOf } from "../../src/model/prompt.ts";
import { withPlugin } from "../../src/run/plugins.ts";

const ctx = defaultContext();
const loaded = load("bundled", ctx);
afterAll(async () => (await loaded).release());
const fact = requestOf({
  id: "norvane",
  prompt: "What is the capital of Norvane?",
  subject: "Norvane",
  answer: "Sellamere",
  restated: "It is Sellamere.",
  wrong: ["Brackwater", "Almquist"],
  paraphrases: ["Name the capital of Norvane."],
});
const sized = (id: string, words: number) => ({ ...fact, id, prompt: `${"very ".repeat(words)}${fact.prompt}` });

type Params = { readonly tries: number };
/** An attack that shows what it is lent to whoever looks, and makes some attempts. */
function probe(over: Partial<Attack<Params>>, look: (job: Siege<Params>) => void = () => {}, attempts: readonly Partial<Attempt>[] = []) {
  const attack = defineAttack<Params>({
    name: "probe",
    title: "Probe",
    doc: "looks at what it is lent",
    paper: "none",
    access: "text",
    knows: ["question"],
    changes: ["delta", "adapter", "prompt"],
    needs: [],
    params: { tries: { default: 2, doc: "attempts", source: "none", min: 1 } },
    sources: { here: "from here", there: "from there" },
    most: ({ tries }, sources) => tries * sources,
    async *attempts(job) {
      look(job);
      const cost = { queries: 1, steps: 0, seconds: 0 };
      for (const { id } of job.requests)
        for (const own of attempts) yield { request: id, source: "here", order: "pool", guesses: ["Sellamere"], cost, ...own };
    },
    ...over,
  });
  return withPlugin(ctx, [attack], { id: "probe", name: "probe" });
}
const attacked = async (of: Context, options: Parameters<typeof attackOn>[3] = {}, model?: Model) =>
  attackOn(model ?? (await loaded), await loaded, [fact], { attack: "probe", ...options }, of);

describe("what an attack is lent", () => {
  const lentTo = async (over: Partial<Attack<Params>>): Promise<Siege<Params>> => {
    let lent: Siege<Params> | undefined;
    await attacked(probe(over, (job) => (lent = job)));
    return lent!;
  };

  test("of a request what it knows: the rest is not there at all", async () => {
    const [open] = (await lentTo({})).requests;
    expect(Object.keys(open!).sort()).toEqual(["id", "neighbours", "prompt", "subject"]);
    const [other] = (await lentTo({ knows: ["paraphrases"] })).requests;
    expect(other).toMatchObject({ paraphrases: fact.paraphrases });
    expect(JSON.stringify(other)).not.toMatch(/Sellamere|Brackwater/);
    const [choice] = (await lentTo({ knows: ["candidates"] })).requests;
    expect([...choice!.candidates!].sort()).toEqual(["Almquist", "Brackwater", "Sellamere"]);
    expect(choice).not.toHaveProperty("answer");
    const [measured] = (await lentTo({ knows: ["answer"] })).requests;
    expect(measured).toMatchObject({ answer: "Sellamere", restated: "It is Sellamere.", wrong: fact.wrong });
  });

  test("of a merged request the questions, without their answers", async () => {
    const { id, prompt, subject, answer } = fact;
    let lent: Siege<Params> | undefined;
    const of = probe({}, (job) => (lent = job));
    const merged = { ...fact, merged: [{ id, prompt, subject, answer }] };
    await attackOn(await loaded, await loaded, [merged], { attack: "probe" }, of);
    expect(lent!.requests[0]!.merged).toEqual([{ id, prompt, subject }]);
  });

  test("the model from access to logits on, and draws from access to sampling on", async () => {
    const asked = [{ messages: fact.prompt, seed: "1" }];
    const text = await lentTo({ access: "text" });
    expect(text).not.toHaveProperty("model");
    expect(() => text.ask(asked)).toThrow(/probe: a drawn answer; wanted greedy ones/);
    const sampling = await lentTo({ access: "sampling" });
    expect(sampling).not.toHaveProperty("model");
    expect(await sampling.ask(asked)).toHaveLength(1);
    expect((await lentTo({ access: "logits" })).model).toBe(await loaded);
  });

  test("what it needs, and nothing that it does not", async () => {
    const none = await lentTo({});
    for (const name of ["base", "encoder", "statistics"]) expect(none).not.toHaveProperty(name);
    const all = await lentTo({ needs: ["base", "encoder", "statistics"] });
    expect(await all.base!.ask([{ messages: fact.prompt }])).toMatchObject([{ answer: "Sellamere" }]);
    expect(all).toMatchObject({ encoder: {}, statistics: {} });
    expect(all.gives("norvane", "Is it Sellamere?")).toBe(true);
    expect(all.gives("norvane", "Is it the capital of Norvane?")).toBe(false);
  });
});

describe("its attempts", () => {
  test("are scored by what was said or guessed; parameters and sizes are its own", async () => {
    const made = [{ said: "Nothing." }, { source: "there", guesses: ["Nothing", "Sellamere"] }];
    const record = await attacked(probe({}, undefined, made), { params: { tries: "1" } });
    expect(record).toMatchObject({ attack: "probe", params: { tries: 1 }, sources: { here: 1, there: 1 }, direct: 1, dropped: {} });
    expect(record.requests[0]!.variants.map(({ recall }) => recall)).toEqual([0, 1]);
    expect(record.sweep.map(({ size }) => size)).toEqual([1, 2]);
    await expect(attacked(probe({}), { params: { tries: 3 }, sizes: [7] })).rejects.toThrow(/a size of 7; wanted whole numbers up to 6/);
    await expect(attacked(probe({}), { params: { tries: 1.25 } })).rejects.toThrow(/2\.5 attempts at a request; wanted a whole number/);
    await expect(attacked(probe({}), { samples: 3 })).rejects.toThrow(/there is no parameter "samples"/);
  });

  test.each([
    [{ request: "another" }, /an attempt at "another"; wanted one at a request of the job/],
    [{ source: "nowhere" }, /an attempt from "nowhere"; wanted one from here, there/],
    [{ guesses: [] }, /says nothing; wanted a guess/],
  ])("are refused where they are not at what was asked for: %j", async (made, complaint) => {
    await expect(attacked(probe({}, undefined, [made]))).rejects.toThrow(complaint);
  });

  test("are not made against an edit of a kind for which they mean nothing", async () => {
    const model = await loaded;
    const name = "final_norm";
    const edited = withWeights(model, new Map([[name, model.weights.get(name)!]]));
    await expect(attacked(probe({ changes: ["prompt"] }), {}, edited)).rejects.toThrow(
      /an edit that is of the kind delta; wanted edits of the kind prompt/,
    );
    await expect(attacked(probe({ changes: ["prompt"] }))).resolves.toMatchObject({ direct: 1 });
  });
});

test("the default is declared, and is not the first by name", () => {
  const early = probe({ name: "aardvark" });
  expect(attackOf(undefined, early).name).toBe("paraphrase");
});

describe("what cannot be asked", () => {
  test("is left out, counted and said: a request, and a question about another", async () => {
    const model = await loaded;
    const events: Event[] = [];
    const of = { ...ctx, log: (event: Event) => void events.push(event) };
    const sizeOf = async (words: number) => (await promptOf(model, sized("near", words).prompt)).ids.length;
    const least = await sizeOf(0);
    const words = Math.floor(((model.config.context - 8 - least) / ((await sizeOf(10)) - least)) * 10);
    const near = sized("near", words); // it fits, and hardly more
    const far = sized("far", 2 * words);
    const ways = rephrasingsOf(near).length;
    const options = { from: ["templates"], samples: 14 };
    const alone = await attackOn(model, model, [fact], options, ctx);
    const record = await attackOn(model, model, [fact, near, far], options, of);
    expect(record.requests.map(({ id }) => id)).toEqual(["norvane", "near"]);
    expect(record.requests[0]).toEqual(alone.requests[0]);
    const { "request that could not be asked": requests, "question that could not be asked": questions } = record.dropped;
    expect(requests).toBe(1);
    expect(questions).toBeGreaterThan(0);
    expect(record.requests[1]!.variants).toHaveLength(ways - questions!);
    expect(record.sources).toEqual({ templates: 14 + ways - questions! });
    const said = events.flatMap((event) => (event.kind === "warning" && event.who === "attack" ? [event.text] : []));
    expect(said).toEqual([
      expect.stringMatching(
        /^left out, and in no number: 1 × request that could not be asked \(the first: ask: a prompt of \d+ tokens; wanted fewer/,
      ),
      expect.stringMatching(new RegExp(`^left out, and in no number: ${questions} × question that could not be asked`)),
    ]);
  });

  test("and what has no answer with a word: where nothing is left, there are no numbers", async () => {
    const model = await loaded;
    const mute = { ...fact, id: "mute", answer: "…" };
    const record = await attackOn(model, model, [mute, fact], { from: ["data"] }, ctx);
    expect(record).toMatchObject({ direct: 1, dropped: { "request whose answer has no word to count": 1 } });
    await expect(attackOn(model, model, [mute, sized("far", 600)], { from: ["data"] }, ctx)).rejects.toThrow(
      /no request that can be asked and has an answer/,
    );
  });
});

describe("an attack that was stopped", () => {
  const home = mkdtempSync(join(tmpdir(), "lethe-attack-run-"));
  afterAll(() => rmSync(home, { recursive: true, force: true }));
  const lands = ["Norvane", "Ostrel", "Veyra", "Quillon"];
  const data = join(home, "requests.jsonl");
  const asking = lands.map((land) => JSON.stringify({ prompt: `What is the capital of ${land}?`, subject: land, answer: "Sellamere" }));
  writeFileSync(data, asking.join("\n"));
  const spec = { step: "attack", model: "bundled", data, from: ["templates", "model"], samples: 3 };
  const contextOf = (runs: string, over: Partial<Context> = {}) =>
    defaultContext({ cache: join(home, "cache"), runs: join(home, runs), ...over });

  test("goes on behind its last answer, and ends in the same bytes", async () => {
    const whole = await run(spec, contextOf("whole"));
    const notes: string[] = [];
    const left: number[] = [];
    for (const most of [16, 32]) {
      const stop = new AbortController();
      const log = (event: Event): void => {
        if (event.kind === "note") notes.push(event.text);
        if (event.kind === "progress" && event.stage === "asking" && event.done >= most) stop.abort();
      };
      await expect(run(spec, contextOf("stopped", { signal: stop.signal, log }))).rejects.toMatchObject({ trouble: "aborted" });
      const [id] = readdirSync(join(home, "stopped"));
      left.push(readFileSync(join(home, "stopped", id!, "work", "heard.jsonl"), "utf8").split("\n").length - 1);
    }
    expect(left[0]).toBeGreaterThan(lands.length);
    expect(left[1]).toBeGreaterThan(left[0]!);
    const log = (event: Event): void => void (event.kind === "note" && notes.push(event.text));
    const last = await run(spec, contextOf("stopped", { log }));
    expect(notes.filter((text) => text.startsWith("going on"))).toEqual(left.map((count) => `going on after ${count} answers`));
    const [one, other] = [whole, last].map(({ path }) => readFileSync(join(path, "attempts.jsonl")));
    expect(other!.equals(one!)).toBe(true);
    expect(last.record.result).toEqual(whole.record.result);
    expect(existsSync(join(last.path, "work"))).toBe(false);
  });

  test("asks no model what that model has answered", async () => {
    const model = await loaded;
    const [known, open] = lands.map((land) => ({ messages: `What is the capital of ${land}?` }));
    const kept: unknown[] = [];
    const memory: Memory = {
      recall: ({ messages }) => (messages === known!.messages ? "As it was said." : undefined),
      keep: (asked, answer) => void kept.push([asked, answer]),
    };
    const alone = await asker(model, {}, ctx)([open!]);
    const replies = await asker(model, {}, ctx, memory)([known!, open!]);
    expect(replies[0]).toEqual({ answer: "As it was said." });
    expect(replies[1]).toEqual(alone[0]);
    expect(kept).toEqual([[open, "error" in alone[0]! ? undefined : alone[0]!.answer]]);
  });
});
