/**
 * Gates that compare words, for edits without a sentence encoder: a question passes if it names the edit's subject and asks the same about
 * it.
 */
import { asksAlike, kindAsked } from "../data/kind.ts";
import { withoutManners } from "../data/question.ts";
import { formsOf } from "../data/verbs.ts";
import { akin, saysSomething, squeezed } from "../data/words.ts";

/** Used as an edit's encoder id. The number is the version of the rule; an edit of another version is not read by this rule. */
export const BY_WORDS = "words:1";

/** The question of an entry, in words. */
export interface WordGate {
  readonly question: string;
  /** The subject, in any spelling; empty if the question has none. */
  readonly subject: string;
  /** For a question without a subject: the weight of each word, from 0 to 1. A word that is not listed has the weight 1. */
  readonly telling?: Readonly<Record<string, number>>;
}

/** A word of a text, without case and accents, and its place. */
interface Token {
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/** Scripts that write words without spaces, or particles without spaces behind words: each character counts as a word. */
const UNSPACED = ["Han", "Hiragana", "Katakana", "Hangul", "Thai", "Lao", "Khmer", "Myanmar"].map((name) => `\\p{Script=${name}}`).join("");
const TOKEN = new RegExp(`[${UNSPACED}]\\p{M}*|(?:(?![${UNSPACED}])[\\p{L}\\p{N}\\p{M}])+`, "gu");
/** Words that occur in most questions, whatever they ask. */
const ASKING = new Set("name named names call called calls known know tell say give given people please".split(" "));
/** Words that say where or when a thing is, as "where" and "when" do. */
const PLAIN = new Set("city town country place year date located situated".split(" "));
/** The same in scripts without spaces: Japanese particles and endings, and some Chinese characters. */
const PARTICLE = /^(?:\p{Script=Hiragana}|[的是什么麼谁誰哪里裡个個吗嗎呢了在有为為多少何])$/u;
const ARTICLE = /^(?:the|an?)$/;
/** "Which river is the longest?", without its subject: asks no more than "What is the longest river?" */
const WHICH = /^\s*which\s+(?:\p{L}+\s+){1,3}(?:is|are|was|were|became)\s+(?:the\s*)?[\s?.!]*$/iu;
const SENTENCE = /(?<=[.!?])\s+|(?<=[。！？])|\n+/u;

/**
 * The similarity of a question to an entry's own question, from 0 to 1. It is 0 if the question does not name the subject, and 1 for the own
 * question. Otherwise it depends on the share of the other words that both have, and on whether both ask for the same kind of answer. In a
 * text of several sentences, the most similar one counts. A question without a subject is compared by all of its words.
 */
export function nearness(gate: WordGate, asked: string): number {
  if (gate.subject === "") return shared(...comparedBy(gate.question, asked), gate.telling);
  const theirs = without(gate.subject, asked);
  if (theirs === undefined) return 0;
  const own = without(gate.subject, gate.question) ?? gate.question;
  const parts = new Set([theirs, ...theirs.split(SENTENCE)]);
  return [...parts].reduce((best, part) => Math.max(best, agreement(own, part)), 0);
}

/** Whether a text names a subject: its words in a row, or those of a description in any order. */
export const names = (text: string, subject: string): boolean => mentioned(subject, text.normalize("NFC")) !== undefined;

/** The words by which a question without a subject is compared with others: those that say something, or all if none does. */
export const wordsIn = (question: string): readonly string[] => comparedBy(question, question)[0];

/** The words by which two questions without a subject are compared. */
function comparedBy(own: string, asked: string): [ours: readonly string[], theirs: readonly string[]] {
  const [all, others] = [own, asked].map((text) => tokensOf(text.normalize("NFC")).map(({ word }) => word)) as [string[], string[]];
  const ours = all.filter(tells);
  return ours.length > 0 ? [ours, others.filter(tells)] : [all, others];
}

/** The similarity of two questions from which the subject was removed. */
function agreement(own: string, asked: string): number {
  const [ours, theirs] = [own, asked].map((text) => tokensOf(text).flatMap(({ word }) => (tells(word) ? word : []))) as [
    string[],
    string[],
  ];
  const [one, other] = [own, asked].map(withoutManners) as [string, string];
  if (ours.length === 0 && theirs.length === 0) {
    const kinds = new Set([one, other].map(kindAsked));
    return kinds.size === 1 || kinds.has("thing") ? 1 : 0;
  }
  if (ours.length === 0 && WHICH.test(other)) return 1;
  const alike = shared(ours, theirs);
  // "Where is it?" asks all that "In which city is it?" does, but less than "What is its capital?"
  const asksAsMuch = theirs.length > 0 || ours.every((word) => PLAIN.has(word));
  return asksAsMuch && asksAlike(one, other) ? (1 + alike) / 2 : alike;
}

/** The share of words that two questions have in common: the geometric mean of the share of either. */
function shared(ours: readonly string[], theirs: readonly string[], telling: Readonly<Record<string, number>> = {}): number {
  const part = (some: readonly string[], others: readonly string[]): number => {
    const isAmong = finder(others);
    let [common, all] = [0, 0];
    for (const word of new Set(some)) {
      const weight = Object.hasOwn(telling, word) ? telling[word]! : 1;
      all += weight;
      if (isAmong(word)) common += weight;
    }
    return common === 0 ? 0 : common / all;
  };
  return Math.sqrt(part(ours, theirs) * part(theirs, ours));
}

/** Whether a word, or another form of it, is among others. Forms of one word begin alike, or are a verb's. */
function finder(others: readonly string[]): (word: string) => boolean {
  const beginning = (word: string): string => word.slice(0, 4);
  const known = new Set(others);
  const byBeginning = new Map<string, string[]>();
  for (const word of known) {
    const like = byBeginning.get(beginning(word));
    if (like) like.push(word);
    else byBeginning.set(beginning(word), [word]);
  }
  return (word) =>
    known.has(word) ||
    (byBeginning.get(beginning(word)) ?? []).some((other) => akin(word, other, "far")) ||
    formsOf(word).some((form) => known.has(form));
}

const tells = (word: string): boolean => saysSomething(word) && !ASKING.has(word) && !PARTICLE.test(word);

/** A text without the subject and the 's after it; undefined if it does not name the subject. */
function without(subject: string, asked: string): string | undefined {
  const text = asked.normalize("NFC");
  const found = mentioned(subject, text);
  if (found === undefined) return undefined;
  let rest = "";
  let from = 0;
  for (const { start, end } of found) {
    rest += text.slice(from, start);
    from = end + (/^['’]s\b/iu.exec(text.slice(end, end + 3))?.[0].length ?? 0);
  }
  return rest + text.slice(from);
}

/** Where a text names a subject; undefined where it does not. */
function mentioned(subject: string, text: string): readonly Pick<Token, "start" | "end">[] | undefined {
  const wanted = tokensOf(subject.normalize("NFC")).map(({ word }) => word);
  const bare = wanted.length > 1 && ARTICLE.test(wanted[0]!) && wanted.slice(1).some(saysSomething) ? wanted.slice(1) : wanted;
  if (!bare.some(saysSomething)) return undefined;
  const tokens = tokensOf(text);
  const runs = runsOf(bare.join(""), tokens);
  if (runs.length > 0) return runs;
  const isDescribed = /^\p{Ll}/u.test(subject.trim());
  const telling = bare.filter(saysSomething);
  if (!isDescribed || telling.length < 2) return undefined;
  const found = tokens.filter(({ word }) => telling.includes(word));
  return new Set(found.map(({ word }) => word)).size === new Set(telling).size ? found : undefined;
}

/** Runs of whole words that spell a text, however they divide it: "Moby-Dick", "Moby Dick", "MobyDick". */
function runsOf(spelled: string, tokens: readonly Token[]): Pick<Token, "start" | "end">[] {
  const runs: Pick<Token, "start" | "end">[] = [];
  for (let first = 0; first < tokens.length; first++) {
    let [text, last] = ["", first];
    while (last < tokens.length && text.length < spelled.length && spelled.startsWith(text)) text += tokens[last++]!.word;
    if (text !== spelled) continue;
    runs.push({ start: tokens[first]!.start, end: tokens[last - 1]!.end });
    first = last - 1;
  }
  return runs;
}

/** The words of a text with their places. What of a word is only accents is none. */
const tokensOf = (text: string): Token[] =>
  [...text.matchAll(TOKEN)].flatMap(({ 0: found, index: start }) => {
    const word = /^[\dA-Za-z]+$/.test(found) ? found.toLowerCase() : squeezed(found);
    return word === "" ? [] : [{ word, start, end: start + found.length }];
  });
