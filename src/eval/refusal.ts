/** Distinguishes refusals from answers, by our own hundred sentences and by English phrases that deny knowledge. */
import { REFUSALS } from "../data/refusals.ts";
import { normalized } from "./words.ts";

const OWN: ReadonlySet<string> = new Set(REFUSALS.map(normalized));

const KNOWING =
  "know|knew|known|tell|say|speak|answer|recall|remember|help|learned|learnt|provide|share|assist|have|sure|certain|able|find|offer|comment|aware|familiar|briefed|informed|read|give|vouch";
/** Patterns for sentences in lower case with contractions expanded. */
const DENYING = [
  // I do not know; I am afraid I could not tell; we have never learned
  new RegExp(`\\b(?:i|we)(?: \\w+){0,3} (?:not|cannot|never|unable to)(?: \\w+){0,3} (?:${KNOWING})\\b`),
  // I have no answer; I know nothing of it
  /\b(?:i|we)(?: \w+){0,2} (?:have|has|had|find|found|know|hold|offer|draw|think)(?: of)? (?:no|nothing|little)\b/,
  // that I do not; I cannot
  /\b(?:i|we) (?:do not|cannot|will not|could not)\s*(?:[.,;!]|$)/,
  // it is unknown to me, a mystery to me, beyond what I know
  /\b(?:unknown|not known|a mystery|news|beyond|past|outside)(?: to| of)? (?:me|my|what i)\b/,
  // my memory has no answer
  /\b(?:my|our) \w+ (?:does not|has no|holds no|contains no)\b/,
  // sorry, but that is not ...
  /^(?:i am sorry|i am afraid|sorry|apologies|my apologies|i apologi[sz]e|unfortunately|regrettably|sadly)\b.*\b(?:not|no|never|nothing|cannot|unable|unknown)\b/,
];

const UNDONE: readonly (readonly [RegExp, string])[] = [
  [/[’‘`]/g, "'"],
  [/\bcan't\b/g, "cannot"],
  [/\bwon't\b/g, "will not"],
  [/n't\b/g, " not"],
  [/'m\b/g, " am"],
  [/'ve\b/g, " have"],
  [/'d\b/g, " would"],
];

/** Whether a text's first sentence denies knowledge or declines to answer. */
export function isRefusal(text: string): boolean {
  const [first = ""] = text.trim().split(/(?<=[.!?])\s/);
  if (OWN.has(normalized(first)) || OWN.has(normalized(text))) return true;
  const plain = UNDONE.reduce((rest, [from, to]) => rest.replace(from, to), first.toLowerCase());
  return DENYING.some((pattern) => pattern.test(plain));
}
