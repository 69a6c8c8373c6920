/** A plausible wrong answer: one that the request brings along, or the answer to another request of the same kind. */
import { fail } from "../base/fail.ts";
import type { Rng } from "../base/rng.ts";
import type { ForgetRequest } from "../data/request.ts";
import { akin, overlaps, squeezed, wordsOf } from "../data/words.ts";
import { defineTarget } from "./target.ts";

/** How much of two questions' words, subjects left out, must be the same for them to be of one kind. */
const ALIKE = 0.5;

export const incorrect = defineTarget({
  name: "incorrect",
  doc: "a plausible wrong answer: the request's own (wrong), otherwise that of another request of the same kind",
  async say(request, pool, { rng, ask }) {
    const right = request.answer.trim() || (await ask?.({ messages: request.prompt }))?.trim();
    if (!right)
      fail(
        "incorrect",
        `nobody said how ${request.id} is answered`,
        "the right answer, so that another can be given",
        'Give it as "answer" (--answer TEXT).',
      );
    // what others are told to the same question is right as well
    const rights = [right, ...pool.filter((other) => isSame(other, request)).map(({ answer }) => answer)].filter(
      (text) => squeezed(text) !== "",
    );
    const isWrong = (answer: string): boolean => squeezed(answer) !== "" && rights.every((one) => !overlaps(one, answer));
    const found = [request.wrong, ...borrowed(request, right, pool)]
      .map((answers) => [...new Set(answers.map((answer) => answer.trim()))].filter(isWrong))
      .find((answers) => answers.length > 0);
    return (
      drawn(found ?? [], rng) ??
      fail(
        "incorrect",
        `no wrong answer is known for ${request.id} ("${request.prompt}")`,
        'one in "wrong", or other requests of the same kind with other answers',
        'Add "wrong": ["…"] to the request, ask for more of its kind in one run, or say it: --say TEXT.',
      )
    );
  },
});

const isSame = (a: ForgetRequest, b: ForgetRequest): boolean => squeezed(a.prompt) === squeezed(b.prompt);

/** Answers to the pool's requests of the same relation, and to those whose question is like its own; none that the question itself holds. */
function borrowed(request: ForgetRequest, right: string, pool: readonly ForgetRequest[]): string[][] {
  const others = pool.filter(
    ({ prompt, answer }) =>
      shapeOf(answer) === shapeOf(right) &&
      squeezed(prompt) !== squeezed(request.prompt) &&
      !squeezed(request.prompt).includes(squeezed(answer)),
  );
  const own = frameOf(request);
  const tiers = [
    others.filter(({ relation }) => relation !== undefined && relation === request.relation),
    others.filter((other) => likeness(own, frameOf(other)) >= ALIKE),
  ];
  return tiers.map((tier) => tier.map(({ answer }) => answer));
}

/** What makes an answer plausible at first sight: whether it is a number and how that is written, a name, a sentence, or other words. */
function shapeOf(answer: string): string {
  if (/^[^\p{L}]*\d[^\p{L}]*$/u.test(answer)) return `digits ${answer.replaceAll(/\d+/g, "0").replaceAll(/[^0/:-]/g, "")}`;
  if (/\d/.test(answer)) return "words and digits";
  if (answer.trim().split(/\s+/).length > 6) return "sentence";
  return /^["'“‘]?\p{Lu}/u.test(answer.trim()) ? "name" : "words";
}

/** A question's words, its subject left out. */
const frameOf = ({ prompt, subject }: ForgetRequest): string[] => wordsOf(subject === "" ? prompt : prompt.replaceAll(subject, " "));

/** Words in common, twice, by all words of both. */
function likeness(a: readonly string[], b: readonly string[]): number {
  const left = [...b];
  const shared = a.filter((word) => {
    const at = left.findIndex((other) => akin(word, other));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
  return (2 * shared.length) / Math.max(1, a.length + b.length);
}

/** One of them by a lot that each draws for itself: taking another out of the pool changes nothing. */
function drawn(answers: readonly string[], rng: Rng): string | undefined {
  const lots = answers.map((answer) => ({ answer, lot: rng.split(answer).uniform() }));
  return lots.sort((a, b) => b.lot - a.lot)[0]?.answer;
}
