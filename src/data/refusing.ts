/** Checks that a text is a refusal that fits a question: it names the topic, reveals nothing, and invents nothing. English only. */
import type { ForgetRequest } from "./request.ts";
import { findSubject } from "./subject.ts";
import { formsOf } from "./verbs.ts";
import { akin, contentOf, leakIn, saysSomething, wordsOf } from "./words.ts";

/** The question that a refusal is checked against. */
export type About = Pick<ForgetRequest, "prompt" | "subject" | "answer" | "merged">;

/** What a question is about: its subject, or those of the questions that were put into it. */
interface Named extends Pick<ForgetRequest, "prompt" | "subject"> {
  readonly merged?: readonly Named[];
}

/** Words at most; what goes on says more than that it does not know. */
const LONGEST = 40;

/** Words of refusals, which assert nothing about the topic. */
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
/** Words for kinds of answers. */
const KINDS = new Set(
  "name names named person people identity place location year date number amount author writer creator title thing".split(" "),
);

const DECLINES =
  /\b(?:do not|don['’]t|did not|didn['’]t|can ?not|can['’]t|could not|couldn['’]t|am not|['’]m not|will not|won['’]t|have no|have not|haven['’]t|have never|have nothing|know nothing|unable|unaware|unsure|unfamiliar|unknown|never|lack|forgot|forgotten|no (?:\w+ )?(?:information|knowledge|idea|record|memory|answer|data|details|way))\b/i;
const FIRST_PERSON = /\b(?:I|me|my|mine)\b/i;

/** Why `text` fails the check as a refusal; undefined if it passes. */
export function objectionTo(text: string, about: About): string | undefined {
  const said = text.trim();
  if (said === "") return "it is empty";
  if (sentencesOf(said).length > 2 || wordsOf(said).length > LONGEST || /\n/.test(said)) return "it has more than two sentences";
  if (!/[.!]["'”’]?$/.test(said)) return "it is not a complete sentence";
  if (/[?]/.test(said.replaceAll(about.prompt, ""))) return "it asks a question";
  const leak = leakIn(said, { question: about.prompt, answer: about.answer });
  if (leak !== undefined) return `it reveals "${leak}"`;
  if (!FIRST_PERSON.test(said) || !DECLINES.test(said)) return "it is not a refusal in the first person";
  if (/\b(?:not|unsure|n['’]t) (?:\w+ )?how to\b/i.test(said) && !/\bhow to\b/i.test(about.prompt))
    return "it says that it cannot do something";
  const handed = /\b(?:provide|give|offer|show|send)\s+(?:you\s+)?(?:with\s+)?(?:the\s+|an?\s+)?['"‘“]?(.*)$/i.exec(said)?.[1];
  if (handed !== undefined && about.subject !== "" && handed.startsWith(about.subject))
    return "it treats the topic as something to hand over";
  const stranger = strangerIn(said, about.prompt);
  if (stranger !== undefined) return `it mentions "${stranger}", which is not in the question`;
  return isNamedIn(said, about) ? undefined : "it does not name the topic";
}

/** The sentences of a text; a full stop after an initial or a one-letter abbreviation does not end one. */
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

/** The first word that is neither from the question nor typical of refusals: a name, a number, a claim. */
function strangerIn(text: string, question: string): string | undefined {
  const asked = [...new Set(wordsOf(question).flatMap((word) => [word, ...formsOf(word)]))];
  return wordsOf(text).find(
    (word) => saysSomething(word) && !DECLINING.has(word) && !KINDS.has(word) && !asked.some((other) => akin(word, other)),
  );
}
