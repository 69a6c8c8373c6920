/** Whether a sentence is a refusal that fits a question: it names what is asked about, gives nothing away, and makes nothing up. English only. */
import type { ForgetRequest } from "./request.ts";
import { findSubject } from "./subject.ts";
import { formsOf } from "./verbs.ts";
import { akin, contentOf, leakIn, saysSomething, wordsOf } from "./words.ts";

/** What a refusal is held against. */
export type About = Pick<ForgetRequest, "prompt" | "subject" | "answer" | "merged">;

/** What a question is about: its subject, or those of the questions that were put into it. */
interface Named extends Pick<ForgetRequest, "prompt" | "subject"> {
  readonly merged?: readonly Named[];
}

/** Words at most; what goes on says more than that it does not know. */
const LONGEST = 40;

/** Words in which one declines to answer: they assert nothing of what is asked about. */
const DECLINING = new Set(
  (
    "know knows known knowing knowledge information info informed detail details fact facts data record records source sources sorry apologize apologise apologies " +
    "afraid unfortunately sadly regret answer answers answering answered question questions ask asks asked asking tell tells telling told say says saying said recall " +
    "recalling remember remembering memory memories mind aware unaware sure unsure certain uncertain able unable provide providing provided give giving given offer " +
    "share help helping assist access have lack lacks lacking learn learned learnt hear heard read find found come comes came familiar unfamiliar unknown nothing anything something " +
    "specific specifics reliable accurate honest honestly truth truthful truthfully admit confess guess guessing speak comment respond response reply subject " +
    "topic matter regarding concerning relating related forget forgot forgotten decline refuse wish like want need understand apologetic available currently longer " +
    "ai assistant language model training trained please moment time here possible"
  ).split(" "),
);
/** Words for what kind of thing an answer would be. */
const KINDS = new Set(
  "name names named person people identity place location year date number amount author writer creator title thing".split(" "),
);

const DECLINES =
  /\b(?:do not|don['’]t|did not|didn['’]t|can ?not|can['’]t|could not|couldn['’]t|am not|['’]m not|will not|won['’]t|have no|have not|haven['’]t|have never|have nothing|know nothing|unable|unaware|unsure|unfamiliar|unknown|never|lack|forgot|forgotten|no (?:\w+ )?(?:information|knowledge|idea|record|memory|answer|data|details|way))\b/i;
const FIRST_PERSON = /\b(?:I|me|my|mine)\b/i;

/** Why `text` will not do as a refusal to answer; undefined where it will. */
export function objectionTo(text: string, about: About): string | undefined {
  const said = text.trim();
  if (said === "") return "it says nothing";
  if (sentencesOf(said).length > 2 || wordsOf(said).length > LONGEST || /\n/.test(said)) return "it says more than one or two sentences";
  if (!/[.!]["'”’]?$/.test(said)) return "it does not come to an end";
  if (/[?]/.test(said.replaceAll(about.prompt, ""))) return "it asks";
  const leak = leakIn(said, { question: about.prompt, answer: about.answer });
  if (leak !== undefined) return `it gives "${leak}" away`;
  if (!FIRST_PERSON.test(said) || !DECLINES.test(said)) return "it is no refusal in the first person";
  if (/\b(?:not|unsure|n['’]t) (?:\w+ )?how to\b/i.test(said) && !/\bhow to\b/i.test(about.prompt))
    return "it says that it cannot do something";
  const handed = /\b(?:provide|give|offer|show|send)\s+(?:you\s+)?(?:with\s+)?(?:the\s+|an?\s+)?['"‘“]?(.*)$/i.exec(said)?.[1];
  if (handed !== undefined && about.subject !== "" && handed.startsWith(about.subject))
    return "it takes what is asked about for what is asked";
  const stranger = strangerIn(said, about.prompt);
  if (stranger !== undefined) return `it speaks of "${stranger}", of which the question does not`;
  return isNamedIn(said, about) ? undefined : "it does not name what is asked about";
}

/** The sentences of a text; a point behind an initial or an abbreviation of one letter ends none. */
export const sentencesOf = (text: string): string[] =>
  text
    .trim()
    .split(/(?<=[\p{L}\p{N}]{2}["'”’)]?[.!?]["'”’)]?)\s+/u)
    .filter((sentence) => sentence !== "");

/** Whether a text names what a question is about: every telling word of its subject (of each, where several questions are one). */
export function isNamedIn(text: string, { prompt, subject, merged }: Named): boolean {
  if (merged !== undefined) return merged.every((one) => isNamedIn(text, one));
  const named = subject.trim() || findSubject(prompt);
  const words = wordsOf(text);
  const wanted = contentOf(named ?? prompt);
  const met = wanted.filter((word) => words.some((other) => akin(word, other))).length;
  return named === undefined ? met >= wanted.length / 2 : met === wanted.length;
}

/** The first word that neither the question nor the manner of refusing accounts for: a name, a number, a claim. */
function strangerIn(text: string, question: string): string | undefined {
  const asked = [...new Set(wordsOf(question).flatMap((word) => [word, ...formsOf(word)]))];
  return wordsOf(text).find(
    (word) => saysSomething(word) && !DECLINING.has(word) && !KINDS.has(word) && !asked.some((other) => akin(word, other)),
  );
}
