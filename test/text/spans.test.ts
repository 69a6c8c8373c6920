/** Where subjects and targets stand: by characters, on every kind of tokenizer. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { subjectSpan, targetTokens, tokensOver } from "../../src/text/spans.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";

const golden = JSON.parse(readFileSync(new URL("tokenizers.golden.json", import.meta.url), "utf8")) as {
  tokenizers: Record<string, { json: Record<string, unknown> }>;
};
const kinds = Object.keys(golden.tokenizers);
const make = (kind: string): Tokenizer => createTokenizer(golden.tokenizers[kind]!.json, {});
const PROMPT = "Kirkuk, an oil city: who founded Kirkuk in Iraq?";

describe.each(kinds)("%s", (kind) => {
  const tokenizer = make(kind);
  const encoding = tokenizer.encode(PROMPT);
  const shown = (first: number, last: number): string => PROMPT.slice(encoding.offsets[first]![0], encoding.offsets[last]![1]);

  it("the last occurrence by default, or the one that is counted", () => {
    const last = subjectSpan(encoding, PROMPT, "Kirkuk");
    expect(shown(last.first, last.last).trim()).toBe("Kirkuk");
    expect(encoding.offsets[last.last]![1]).toBe(PROMPT.lastIndexOf("Kirkuk") + 6);
    const first = subjectSpan(encoding, PROMPT, "Kirkuk", 0);
    expect(encoding.offsets[first.last]![1]).toBe(6);
    expect(first.last).toBeLessThan(last.first);
    expect(() => subjectSpan(encoding, PROMPT, "Kirkuk", 2)).toThrow(
      /"Kirkuk" occurs 2 times in the prompt; wanted an occurrence from 0 to 1/,
    );
  });

  it("a subject that ends inside a token takes that token", () => {
    const span = subjectSpan(encoding, PROMPT, "oil ci");
    expect(encoding.offsets[span.last]![0]).toBeLessThan(PROMPT.indexOf("oil ci") + 6);
    expect(encoding.offsets[span.last]![1]).toBeGreaterThanOrEqual(PROMPT.indexOf("oil ci") + 6);
  });

  it("a target's tokens are those past the prompt; ids and offsets agree", () => {
    const { ids, first, text, offsets } = targetTokens((t) => tokenizer.encode(t, { special: false }), "The city is", "Baghdad, Iraq");
    expect(text).toBe("The city is Baghdad, Iraq");
    expect(tokenizer.decode(ids.slice(first)).trim().toLowerCase()).toMatch(/^baghdad ?, iraq$/);
    expect(offsets[first - 1]![1]).toBeLessThanOrEqual(11);
    expect(targetTokens((t) => tokenizer.encode(t, { special: false }), "assistant\n", "No.").text).toBe("assistant\nNo.");
    expect(targetTokens((t) => tokenizer.encode(t, { special: false }), "[/INST]", "No.", "").text).toBe("[/INST]No.");
  });
});

describe("against the reference's own way", () => {
  it.each(["gpt2", "llama3", "qwen"])("%s: a target encoded alone is the same tokens", (kind) => {
    const tokenizer = make(kind);
    for (const target of ["Baghdad", "I'm sorry, I do not know.", "1969", "naïve 中文 😀"]) {
      const { ids, first } = targetTokens((t) => tokenizer.encode(t, { special: false }), "The answer is", target);
      expect(ids.slice(first)).toEqual(tokenizer.encode(` ${target}`, { special: false }).ids);
    }
  });

  it("SentencePiece: no stray piece for the space, unlike a target encoded alone", () => {
    const tokenizer = make("llama2");
    const { ids, first } = targetTokens((t) => tokenizer.encode(t), "The answer is", "dummy");
    expect(tokenizer.tokenOf(ids[first]!)).toMatch(/^▁d/);
    expect(tokenizer.encode(" dummy", { special: false }).ids.map((id) => tokenizer.tokenOf(id))[0]).toBe("▁");
  });

  it.each(["gpt2", "llama2"])("%s: the subject's last token is the last of the prompt cut after it", (kind) => {
    const tokenizer = make(kind);
    for (const [prompt, subject] of [
      ["The mother tongue of Danielle Darrieux is", "Danielle Darrieux"],
      ["Where is the Eiffel Tower", "Eiffel Tower"],
      ["  José  lives", "José"],
    ] as const) {
      const cut = prompt.slice(0, prompt.indexOf(subject) + subject.length);
      expect(subjectSpan(tokenizer.encode(prompt), prompt, subject).last).toBe(tokenizer.encode(cut).ids.length - 1);
    }
  });
});

describe("advice", () => {
  const prompt = "What is the mother tongue of José García-Márquez in Åland?";
  const encoding = make("gpt2").encode(prompt);
  it.each([
    ["josé garcía-márquez", "José García-Márquez"],
    ["Jose Garcia-Marquez", "José García-Márquez"],
    ["José Garcia-Marques", "José García-Márquez"],
    ["A\u030aland", "Åland"],
    ["mother tung", "mother tongue"],
  ])("%s → %s", (subject, near) => {
    expect(() => subjectSpan(encoding, prompt, subject)).toThrow(
      new RegExp(
        `is not in the prompt .*perhaps "${near}"\\. Quote it as the prompt spells it, or use a method that needs no subject\\.`,
        "s",
      ),
    );
  });
  it("says which methods need none, when told; refuses an empty subject", () => {
    expect(() => subjectSpan(encoding, prompt, "Basil Mahfouz Al-Kuwaiti", "last", "Methods without a subject: ga, gd.")).toThrow(
      /needs no subject\. Methods without a subject: ga, gd\.$/,
    );
    expect(() => subjectSpan(encoding, prompt, " ")).toThrow(/the subject is empty/);
    expect(() => targetTokens(() => encoding, prompt, "")).toThrow(/the target is empty/);
    expect(tokensOver(encoding, prompt.length, prompt.length + 3)).toBeUndefined();
  });
});
