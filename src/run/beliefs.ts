/** A belief: what a model says to a question in two wordings, in the same words. */
import type { ForgetRequest } from "../data/request.ts";
import { sentencesOf } from "../data/refusing.ts";
import { akin, saysSomething, wordsOf } from "../data/words.ts";
import { isRefusal } from "../eval/refusal.ts";

/** Words of a shared answer at most: a longer one is a text, and no short fact. */
const MOST_WORDS = 8;
/** A word with the punctuation inside it. */
const WORD = /[\p{L}\p{M}\p{N}]+(?:[.,'’](?=[\p{L}\p{N}])[\p{L}\p{M}\p{N}]+)*/gu;
/** A sentence with one of these says that something is not so, or not known. */
const DENIES = /\b(?:not|no|never|none|nothing|unknown|unclear|uncertain)\b|n['’]t\b/i;
/** A name or a number. */
const NAMES = /\p{Lu}|\p{N}/u;

/** A word of an answer: as it is compared, where it stands, and whether it is a name or a number that no wording of the question has. */
interface Told {
  readonly word: string;
  readonly from: number;
  readonly to: number;
  readonly tells: boolean;
}

/** The first sentence of an answer; empty if the answer is empty, a refusal, or denies something. */
export function statementIn(said: string): string {
  const [line = ""] = said.trim().split("\n");
  const [sentence = ""] = sentencesOf(line);
  return isRefusal(said) || DENIES.test(sentence) ? "" : sentence;
}

function toldIn(sentence: string, asked: readonly string[]): Told[] {
  return [...sentence.matchAll(WORD)].map(({ 0: text, index }) => {
    const words = wordsOf(text);
    const isNew = words.some((word) => saysSomething(word) && !asked.some((other) => akin(word, other)));
    return { word: words.join(" "), from: index, to: index + text.length, tells: isNew && NAMES.test(text) };
  });
}

const telling = (told: readonly Told[]): number => told.filter(({ tells }) => tells).length;

/**
 * The answer that two sentences share: the run of words in both that begins and ends with a name or a number of `first` that the question
 * does not have, and that holds the most of them; of equal runs the first. Undefined if there is none, if it has more than eight words, or if it lacks
 * half or more of such names and numbers of the sentence that has fewer of them. Spelled as in `first`.
 */
export function sharedAnswer(first: string, second: string, asked: readonly string[]): string | undefined {
  const [a, b] = [toldIn(first, asked), toldIn(second, asked)];
  let best = { text: "", words: 0, told: 0 };
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < b.length; j++)
      for (let n = 0; a[i]!.tells && a[i + n] !== undefined && a[i + n]!.word === b[j + n]?.word; n++) {
        const told = telling(a.slice(i, i + n + 1));
        if (a[i + n]!.tells && told > best.told) best = { text: first.slice(a[i]!.from, a[i + n]!.to), words: n + 1, told };
      }
  const isMost = 2 * best.told > Math.min(telling(a), telling(b));
  return best.told > 0 && best.words <= MOST_WORDS && isMost ? best.text : undefined;
}

/**
 * The request with the answer that the model's answers to its question and to its first paraphrase share, and with this paraphrase alone.
 * Undefined without a paraphrase or a shared answer. `saidTo` is the answer to the question (0) and to the paraphrase (1).
 */
export function beliefOf(request: ForgetRequest, saidTo: (wording: number) => string): ForgetRequest | undefined {
  const { paraphrases, aliases: _, restated: __, ...rest } = request; // they are other wordings of the answer that is replaced
  const [paraphrase] = paraphrases;
  if (paraphrase === undefined) return undefined;
  const asked = [request.prompt, paraphrase, request.subject].flatMap(wordsOf);
  const answer = sharedAnswer(statementIn(saidTo(0)), statementIn(saidTo(1)), asked);
  return answer === undefined ? undefined : { ...rest, answer, paraphrases: [paraphrase], wrong: [] };
}
