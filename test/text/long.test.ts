/** Tokens of long texts read in windows: the same as those of the whole, and signals are heard in between. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { breather } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { firstTokens } from "../../src/text/long.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

const tokenizer = createTokenizer(
  JSON.parse(readFileSync(new URL("../../bundled/model/tokenizer.json", import.meta.url), "utf8")) as unknown,
  {},
);
const quiet = { signal: new AbortController().signal, now: () => performance.now() };
const chance = rng("long");
const WORDS = ["the", "keeper", "of", "Norvane", "lamp 12", "\n\n", "—", "Zürich", "🙂", "  ", "unforgettable", "42"];
const words = Array.from({ length: 20_000 }, () => WORDS[chance.below(WORDS.length)]!).join(" ");

describe("the first tokens of a long text", () => {
  test.each([
    ["words", words],
    ["one word without end", "a".repeat(80_000)],
    ["characters of two halves", "🙂".repeat(36_000)],
  ])("%s: those of the whole", { timeout: 60_000 }, async (_, text) => {
    const whole = tokenizer.encode(text, { special: false }).ids;
    const found = await firstTokens(tokenizer, text, Infinity, breather(quiet, "test"));
    expect(found.length).toBe(whole.length);
    expect(found).toEqual(whole);
    expect(await firstTokens(tokenizer, text, 1_000, breather(quiet, "test"))).toEqual(whole.slice(0, 1_000));
  });

  test("ends when it is asked to stop", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 10);
    const work = firstTokens(tokenizer, words.repeat(8), Infinity, breather({ ...quiet, signal: stop.signal }, "test"));
    await expect(work).rejects.toMatchObject({ trouble: "aborted" });
  });

  test("a text that no model reads at a time is refused", () => {
    expect(() => tokenizer.encode("a".repeat(17_000_000))).toThrow(/a text of 17000000 characters; wanted at most 16777216/);
  });
});
