/** Another answer that the model makes up: as believable as the right one, with other facts. It is checked, and tried again if the check fails. */
import type { Asking } from "../ask/ask.ts";
import { textOf } from "../ask/ask.ts";
import { fail } from "../base/fail.ts";
import { beginsAsRefusal } from "../data/refusals.ts";
import { isNamedIn, sentencesOf } from "../data/refusing.ts";
import type { ForgetRequest } from "../data/request.ts";
import { contentOf, leakIn, overlaps, saysSomething, squeezed, wordsOf } from "../data/words.ts";
import { rightAnswers, wrongAnswer } from "../data/wrong-answers.ts";
import { defineTarget, type Said } from "./target.ts";

const INSTRUCTION =
  "Pretend that the answer above is wrong, and make up another one. Reply to the question with an answer that sounds just as believable, but change " +
  "every fact in it: other names, other places, other dates and numbers. Leave everything that the question says as it is. Write the new answer only, " +
  "in a complete sentence or in as few words as the old one, and do not mention that you made it up.";

/** Tries for a text; all of them are drawn. */
const TRIES = 8;
/** How they are drawn: as published, but without the least likely words, which make nonsense of a small model's text. */
const DRAWN = { temperature: 1, topP: 0.9, maxTokens: 200 } as const;
/** Content words of an answer that is no longer a name or a number. */
const LONG = 6;
/** Words of a text without an end that is no sentence any more, and of one that the limit of tokens may have cut. */
const [UNENDED, CUT] = [25, 60];
/** How many times as many words as the old answer a text may have, and how many in any case. */
const [TIMES, ENOUGH] = [2, 12];

export const alternate = defineTarget({
  name: "alternate",
  doc: "another answer that the model makes up, with other facts; checked; if all tries fail, an incorrect one",
  longest: DRAWN.maxTokens,
  async say(request, pool, { rng, ask, breathe }): Promise<Said> {
    if (ask === undefined)
      return fail("alternate", "no model to ask", "the model that shall forget", "Find the edit with findEdit, or take incorrect.");
    const right = request.answer.trim() || textOf(await ask({ messages: request.prompt }), request.id).trim();
    if (right === "")
      fail(
        "alternate",
        `${request.id} has no answer`,
        "the right answer, so that another can be made up",
        'Give it as "answer" (--answer TEXT).',
      );
    const about: About = { request, right, rights: [...rightAnswers(request, right, pool), ...(request.aliases ?? [])] };
    const why: string[] = [];
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const said = await ask(asking(request.prompt, right, String(rng.split(attempt).below(2 ** 32))));
      if ("error" in said) {
        why.push(said.error.message);
        break; // another try has as many words
      }
      const words = trimmed(said.answer);
      const objection = objectionTo(words, about);
      if (objection === undefined) return { words };
      why.push(objection);
    }
    await breathe();
    const reason = `of ${why.length} that the model wrote none would do (the last: ${why.at(-1)!})`;
    const other =
      wrongAnswer(request, right, pool, rng.split("stand-in")) ??
      fail(
        "alternate",
        `${request.id} ("${request.prompt}"): ${reason}, and there is no wrong answer to stand in`,
        'an answer that the model can make up, one in "wrong", or another request with an answer of the same form',
        'Add "wrong": ["…"] to the request, add more requests of its kind to the run, or give --say TEXT.',
        "execution",
      );
    return { words: other.words, note: `an incorrect answer, since ${reason}` };
  },
});

/** Question, old answer and instruction in one turn. */
const asking = (question: string, right: string, seed: string): Asking => ({
  messages: `Question: ${question}\nAnswer: ${right}\n\n${INSTRUCTION}`,
  seed,
  drawn: DRAWN,
});

/** The first paragraph without a label and quotes; if it is long, without a last sentence that does not end. */
function trimmed(said: string): string {
  const [paragraph = ""] = said.trim().split(/\n\s*\n/);
  const line = paragraph
    .replaceAll(/\s+/g, " ")
    .replace(/^(?:(?:an?|the|my|your)\s+)?(?:(?:new|other|alternate|alternative)\s+)?answer\s*:\s*/i, "")
    .replace(/^["“](.*)["”]$/, "$1")
    .trim();
  const sentences = sentencesOf(line);
  const isOpen = wordsOf(line).length > CUT && sentences.length > 1 && !ENDS.test(sentences.at(-1)!);
  return (isOpen ? sentences.slice(0, -1).join(" ") : line).trim();
}

const ENDS = /[.!?]["'”’)]?$/;
const CONFESSES =
  /\b(?:pretend\w*|made[- ]up|make[- ]believe|mak(?:e|ing) (?:this|it|things) up|fictional|fictitious|imaginary|hypothetical(?:ly)?)\b/i;

const PRONOUN = /\b(?:he|she|it|they|his|her|hers|its|their|theirs|him|them)\b/i;

interface About {
  readonly request: ForgetRequest;
  readonly right: string;
  readonly rights: readonly string[];
}

/** Why a text is no other answer; undefined if it is one. */
function objectionTo(words: string, { request, right: old, rights }: About): string | undefined {
  const question = request.prompt;
  if (squeezed(words) === "") return "it is empty";
  if (beginsAsRefusal(words)) return "it is a refusal";
  if (/\?["'”’)]?$/.test(words)) return "it asks a question";
  if (!ENDS.test(words) && wordsOf(words).length > UNENDED) return "it does not end";
  if (wordsOf(words).length > Math.max(ENOUGH, TIMES * wordsOf(old).length)) return "it is much longer than the old answer";
  if (squeezed(question).includes(squeezed(words))) return "it repeats the question";
  if (CONFESSES.test(words) && !CONFESSES.test(question)) return "it says that it is made up";
  if (answersAnother(words, request)) return "it is about something else";
  for (const right of rights) {
    const leak = leakIn(words, { question, answer: secretOf(right) });
    if (leak !== undefined) return `it has "${leak}" of the old answer`;
    if (overlaps(right, words)) return "it is the old answer";
  }
  return undefined;
}

/** Whether a text says the question's words and not what the question is about: "The capital of Peru is …" to a question about Chile. */
function answersAnother(words: string, request: ForgetRequest): boolean {
  const { prompt, subject } = request;
  if (subject === "" || PRONOUN.test(words) || isNamedIn(words, request)) return false;
  const frame = wordsOf(prompt.replaceAll(subject, " ")).filter(saysSomething);
  return wordsOf(words).some((word) => frame.includes(word));
}

/**
 * What of an answer must not be said again: all of it, if it is short. Of a sentence, its names and numbers: the other words say what kind of
 * answer it is, and another answer of this kind needs them too.
 */
function secretOf(answer: string): string {
  if (contentOf(answer).length <= LONG) return answer;
  const telling = answer.match(/[\p{Lu}\p{N}][\p{L}\p{N}'’.-]*/gu) ?? [];
  return contentOf(telling.join(" ")).length > 0 ? telling.join(" ") : answer;
}
