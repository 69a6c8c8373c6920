/** The tokens of a subject or an answer in a prompt. */
import { fail, nearest } from "../base/fail.ts";
import type { Encoding } from "./tokenizer.ts";

/** Indexes of the first and the last token that overlap a span of text. */
export interface Span {
  first: number;
  last: number;
}

/**
 * The tokens that overlap `subject` in `text`: at its last occurrence, or at the given one, counted from 0.
 * Refuses a subject that is not literally in `text`; `advice` is appended to the message, for instance methods that need no subject.
 */
export function subjectSpan(encoding: Encoding, text: string, subject: string, occurrence: "last" | number = "last", advice = ""): Span {
  const way = ["Quote it as the prompt spells it, or use a method that needs no subject.", advice].filter(Boolean).join(" ");
  if (!subject.trim()) fail("subject", "the subject is empty", "words of the prompt", way);
  const places = occurrencesOf(text, subject);
  if (places.length === 0) {
    const near = nearestSpelling(text, subject);
    fail(
      "subject",
      `${JSON.stringify(subject)} is not in the prompt ${quote(text)}`,
      near ? `perhaps ${JSON.stringify(near)}` : "words of the prompt",
      way,
    );
  }
  const start = occurrence === "last" ? places.at(-1)! : places[occurrence];
  if (start === undefined)
    return fail(
      "subject",
      `${JSON.stringify(subject)} occurs ${places.length} time${places.length > 1 ? "s" : ""} in the prompt`,
      `an occurrence from 0 to ${places.length - 1}`,
      "",
    );
  return (
    tokensOver(encoding, start, start + subject.length) ??
    fail("subject", `no token covers ${JSON.stringify(subject)}`, "a subject that the tokenizer keeps", way)
  );
}

/** The tokens that overlap the characters [start, end); undefined when none does. */
export function tokensOver({ offsets }: Encoding, start: number, end: number): Span | undefined {
  const overlaps = ([from, to]: [number, number]): boolean => from < end && to > start;
  const first = offsets.findIndex(overlaps);
  return first < 0 ? undefined : { first, last: offsets.findLastIndex(overlaps) };
}

/** A prompt and its target as one sequence of tokens; `ids[first..]` are the target's. */
export interface Answered extends Encoding {
  text: string;
  first: number;
}

/**
 * Encodes prompt and target as one text and finds the target's tokens: those that end after the prompt.
 * They are joined by `join`; by default one space, if there is no white space already. Equal to encoding the
 * target by itself on byte-level tokenizers, and right on SentencePiece (methods 0.4).
 */
export function targetTokens(
  encode: (text: string) => Encoding,
  promptText: string,
  target: string,
  join = joinOf(promptText, target),
): Answered {
  if (!target) fail("target", "the target is empty", "at least one character", "");
  const text = promptText + join + target;
  const { ids, offsets } = encode(text);
  const first = offsets.findIndex(([, end]) => end > promptText.length);
  if (first < 0) fail("target", `${quote(target)} gives no token`, "text that the tokenizer keeps", "");
  return { text, ids, offsets, first };
}

const joinOf = (prompt: string, target: string): string => (prompt === "" || /\s$/.test(prompt) || /^\s/.test(target) ? "" : " ");

/** The positions of `subject` in `text`; overlapping occurrences all count. */
export function occurrencesOf(text: string, subject: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(subject); at >= 0; at = text.indexOf(subject, at + 1)) places.push(at);
  return places;
}

/** The words of `text` that look most like `subject`: by case and Unicode form first, then by edit distance. */
function nearestSpelling(text: string, subject: string): string | undefined {
  const words = [...text.slice(0, 20_000).matchAll(/[\p{L}\p{N}\p{M}'’.-]+/gu)];
  const length = Math.max(1, subject.trim().split(/\s+/).length);
  const plain = (s: string): string =>
    s.normalize("NFKD").replace(/\p{M}/gu, "").replace(/[’`]/g, "'").toLowerCase().replace(/\s+/g, " ").trim();
  const candidates = [length, length + 1, length - 1]
    .filter((n) => n > 0)
    .flatMap((n) =>
      words.slice(0, Math.max(0, words.length - n + 1)).map((word, k) => {
        const last = words[k + n - 1]!;
        return text.slice(word.index, last.index + last[0].length).replace(/[.'’-]+$/, "");
      }),
    );
  const same = candidates.find((c) => plain(c) === plain(subject));
  return same ?? nearest(subject, [...new Set(candidates)].slice(0, 2_000));
}

const quote = (text: string): string => JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}…` : text);
