/** Wrong answers: the request's own, then those of the same relation, then those of like questions; never the right one in another spelling. */
import { describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { type KnownOfRequest, requestsOf } from "../../src/data/request.ts";
import { overlaps } from "../../src/data/words.ts";
import { incorrect } from "../../src/targets/incorrect.ts";
import type { AskAll } from "../../src/ask/in-turns.ts";
import { mergeRequests } from "../../src/targets/merge.ts";
import { aim } from "../../src/targets/target.ts";

const ctx = defaultContext();
const capital = (country: string, answer: string, more: Partial<KnownOfRequest> = {}): KnownOfRequest => ({
  id: country,
  prompt: `What is the capital of ${country}?`,
  subject: country,
  answer,
  ...more,
});
const wrongs = async (known: readonly KnownOfRequest[], seed = 0, ask?: AskAll): Promise<Map<string, string | null>> =>
  new Map((await aim(requestsOf(known), incorrect, { seed, ctx, ...(ask && { ask }) })).map(({ id, target }) => [id, target]));

const COUNTRIES = [
  capital("Norvane", "Sellamere"),
  capital("Ostrel", "Brackwater"),
  capital("Tamberly", "Hollin Cross"),
  capital("Peru", "Lima"),
];

describe("incorrect", () => {
  test("takes one of the request's own, but not one that is right in another spelling", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const said = await wrongs(
        [capital("Peru", "Lima", { wrong: ["LIMA.", "Lima, Peru", "Cusco", "?"] }), ...COUNTRIES.slice(0, 2)],
        seed,
      );
      expect(said.get("Peru")).toBe("Cusco");
    }
  });

  test("otherwise that of a like question, never its own; other seeds draw others", async () => {
    const drawn = new Set<string>();
    for (let seed = 0; seed < 30; seed++) {
      const said = await wrongs(COUNTRIES, seed);
      for (const { id, answer } of COUNTRIES) expect(overlaps(said.get(id!)!, answer!)).toBe(false);
      drawn.add(said.get("Peru")!);
    }
    expect(drawn).toEqual(new Set(["Sellamere", "Brackwater", "Hollin Cross"]));
  });

  test("the relation goes before the wording", async () => {
    const said = await wrongs([
      { id: "a", prompt: "Which town governs Norvane?", subject: "Norvane", answer: "Sellamere", relation: "capital" },
      { id: "b", prompt: "Of Ostrel, name the seat.", subject: "Ostrel", answer: "Brackwater", relation: "capital" },
      { id: "c", prompt: "Which town governs Wend?", subject: "Wend", answer: "Mossport", relation: "county" },
    ]);
    expect(said.get("a")).toBe("Brackwater");
  });

  test("where no question is worded alike, one that asks for the same kind of thing will do", async () => {
    const said = await wrongs([
      { id: "a", prompt: "Who keeps the lighthouse at Cape Tallow?", subject: "Cape Tallow", answer: "Simon Drift" },
      { id: "b", prompt: "Which painter made The Amber Ferry so famous?", subject: "The Amber Ferry", answer: "Wanda Quist" },
      { id: "c", prompt: "In which town did it happen?", answer: "Mossport", wrong: ["Wend"] },
    ]);
    expect([said.get("a"), said.get("b")]).toEqual(["Wanda Quist", "Simon Drift"]);
  });

  test("at last one of the same form, which is a stand-in and says so", async () => {
    const requests = requestsOf([
      { id: "a", prompt: "Who keeps the lighthouse at Cape Tallow?", subject: "Cape Tallow", answer: "Simon Drift" },
      { id: "b", prompt: "What is the capital of Norvane?", subject: "Norvane", answer: "Sellamere" },
      { id: "c", prompt: "When was Wend founded?", subject: "Wend", answer: "1688", wrong: ["1731"] },
    ]);
    const made = await aim(requests, incorrect, { seed: 0, ctx });
    expect(made.map(({ target }) => target)).toEqual(["Sellamere", "Simon Drift", "1731"]);
    expect(made.map(({ note }) => note !== undefined)).toEqual([true, true, false]);
  });

  test("an answer of another form is not plausible", async () => {
    const founded = (town: string, answer: string): KnownOfRequest => ({
      id: town,
      prompt: `When was ${town} founded?`,
      subject: town,
      answer,
    });
    const said = await wrongs([
      founded("Mossport", "1731"),
      { ...founded("Wend", "Long ago"), wrong: ["Recently"] },
      founded("Sellamere", "1688"),
    ]);
    expect(said.get("Mossport")).toBe("1688");
  });

  test("what is right for the same question elsewhere is not taken, nor what the question holds", async () => {
    const twice = [
      capital("Peru", "Lima", { wrong: ["Callao", "Cusco"] }),
      { ...capital("peru", "Cusco", { wrong: ["Arequipa"] }), id: "again", prompt: "what is the capital of PERU" },
    ];
    expect((await wrongs(twice)).get("Peru")).toBe("Callao");
    const seller = (a: string, b: string, answer: string): KnownOfRequest => ({
      id: `${a}${b}`,
      prompt: `Who sells in the contract of ${a} and ${b}?`,
      subject: a,
      answer,
    });
    const said = await wrongs([seller("Arl", "Bem", "Arl"), seller("Bem", "Arl", "Bem"), seller("Cor", "Dun", "Dun")]);
    expect(said.get("ArlBem")).toBe("Dun");
  });

  test("taking another request out changes nothing, unless its answer was the one", async () => {
    const all = await wrongs(COUNTRIES);
    for (const gone of COUNTRIES.slice(0, 3)) {
      const rest = await wrongs(COUNTRIES.filter(({ id }) => id !== gone.id));
      if (all.get("Peru") !== gone.answer) expect(rest.get("Peru")).toBe(all.get("Peru"));
      else expect(rest.get("Peru")).not.toBe(gone.answer);
    }
  });

  test("for several questions in one no answer to any of them is taken", async () => {
    const pairs = [
      ["A", "Arl"],
      ["B", "Bem"],
      ["C", "Arl"],
      ["D", "Cor"],
      ["E", "Dun"],
      ["F", "Eel"],
    ].map(([country, answer]) => capital(country!, answer!));
    const merged = mergeRequests(requestsOf(pairs), { size: 2 });
    for (let seed = 0; seed < 10; seed++) {
      const made = await aim(merged, incorrect, { seed, ctx });
      expect(made.map(({ target }) => target)).toEqual(["Dun Eel", "Dun Eel", expect.stringMatching(/^Arl (Bem|Cor)$/)]);
    }
  });

  test("asks the model for a right answer that nobody gave", async () => {
    const asked: string[] = [];
    const ask: AskAll = async (all) => {
      asked.push(...all.map(({ messages }) => String(messages)));
      return all.map(() => ({ answer: "It is Brackwater." }));
    };
    const said = await wrongs([capital("Ostrel", "", { wrong: ["Brackwater", "Lima"] })], 0, ask);
    expect(asked).toEqual(["What is the capital of Ostrel?"]);
    expect(said.get("Ostrel")).toBe("Lima");
  });

  test("a question that cannot be asked is an error that names it, not an answer that is unknown", async () => {
    const error = new LetheError("ask", "a prompt of 900 tokens", "fewer than 512", "Shorten it.", "usage");
    const ask: AskAll = async (all) => all.map(() => ({ error }));
    await expect(wrongs([capital("Ostrel", "", { wrong: ["Lima"] })], 0, ask)).rejects.toThrow(/^ask: Ostrel: a prompt of 900 tokens/);
  });

  test("says what to do where nothing fits, and where nobody knows the answer", async () => {
    await expect(wrongs([capital("Peru", "Lima")])).rejects.toThrow(/there is no wrong answer for Peru.*--say/s);
    await expect(wrongs([capital("Peru", "")])).rejects.toThrow(/Peru has no answer/);
  });
});
