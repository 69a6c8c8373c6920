/** A plausible wrong answer: one that the request brings along, or the answer to another request of the same kind. */
import { textOf } from "../ask/ask.ts";
import { fail } from "../base/fail.ts";
import type { Rng } from "../base/rng.ts";
import type { ForgetRequest } from "../data/request.ts";
import { asksAlike } from "../data/kind.ts";
import { akin, contentOf, overlaps, squeezed } from "../data/words.ts";
import { defineTarget, type Said } from "./target.ts";

/** How much of two questions' telling words, subjects left out, must be the same for them to be worded alike. */
const ALIKE = 0.5;

export const incorrect = defineTarget({
  name: "incorrect",
  doc: "a plausible wrong answer: the request's own (wrong), otherwise that of another request of the same kind",
  async say(request, pool, { rng, ask }): Promise<Said> {
    const right = request.answer.trim() || (ask && textOf(await ask({ messages: request.prompt }), request.id).trim());
    if (!right)
      fail(
        "incorrect",
        `nobody said how ${request.id} is answered`,
        "the right answer, so that another can be given",
        'Give it as "answer" (--answer TEXT).',
      );
    // what others are told to the same question is right as well, and of several questions in one each answer
    const twins = pool.filter((other) => other !== request && isSame(other, request));
    const rights = [right, ...[...twins, ...(request.merged ?? [])].map(({ answer }) => answer)].filter((text) => squeezed(text) !== "");
    const isWrong = (answer: string): boolean => squeezed(answer) !== "" && rights.every((one) => !overlaps(one, answer));
    const own = byLot(request.wrong, (answer) => answer, rng).find(isWrong);
    if (own !== undefined) return { words: own.trim() };
    const found = borrowed(
      request,
      right,
      byLot(pool, ({ answer }) => answer, rng),
      isWrong,
    );
    return (
      found ??
      fail(
        "incorrect",
        `no wrong answer is known for ${request.id} ("${request.prompt}")`,
        'one in "wrong", or other requests with answers of the same form',
        'Add "wrong": ["…"] to the request, ask for more of its kind in one run, or say it: --say TEXT.',
      )
    );
  },
});

const isSame = (a: ForgetRequest, b: ForgetRequest): boolean => squeezed(a.prompt) === squeezed(b.prompt);

/**
 * The answer to a request of the same relation, else to one that asks for the same kind of thing in like words, else to one that asks for it in
 * any; at last, as a stand-in, one of the same form. Of several the first of the pool; none that the question itself holds.
 */
function borrowed(
  request: ForgetRequest,
  right: string,
  pool: readonly ForgetRequest[],
  isWrong: (answer: string) => boolean,
): Said | undefined {
  const [own, form] = [frameOf(request), shapeOf(right)];
  const others = pool.filter((other) => other !== request && shapeOf(other.answer) === form);
  const isAlike = ({ prompt }: ForgetRequest): boolean => asksAlike(request.prompt, prompt);
  const tiers: readonly ((other: ForgetRequest) => boolean)[] = [
    ({ relation }) => relation !== undefined && relation === request.relation,
    (other) => likeness(own, frameOf(other)) >= ALIKE && isAlike(other),
    isAlike,
    () => true,
  ];
  const asked = squeezed(request.prompt);
  for (const [i, isOfTier] of tiers.entries()) {
    const found = others.find((other) => isOfTier(other) && isWrong(other.answer) && !asked.includes(squeezed(other.answer)));
    if (found === undefined) continue;
    const words = found.answer.trim();
    return i < tiers.length - 1 ? { words } : { words, note: "an answer to a question of another kind, since there is none of its own" };
  }
  return undefined;
}

/** What makes an answer plausible at first sight: whether it is a number and how that is written, a name, a sentence, or other words. */
function shapeOf(answer: string): string {
  if (/^[^\p{L}]*\d[^\p{L}]*$/u.test(answer)) return `digits ${answer.replaceAll(/\d+/g, "0").replaceAll(/[^0/:-]/g, "")}`;
  if (/\d/.test(answer)) return "words and digits";
  if (answer.trim().split(/\s+/).length > 6) return "sentence";
  return /^["'“‘]?\p{Lu}/u.test(answer.trim()) ? "name" : "words";
}

/** A question's telling words, its subject left out. */
const frameOf = ({ prompt, subject }: ForgetRequest): string[] => contentOf(subject === "" ? prompt : prompt.replaceAll(subject, " "));

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

/** Things in the order of lots that each draws for itself by its words: taking one out changes nothing for the others. */
function byLot<T>(things: readonly T[], wordsOf: (thing: T) => string, rng: Rng): T[] {
  const lots = things.map((thing) => ({ thing, lot: rng.split(wordsOf(thing)).uniform() }));
  return lots.sort((a, b) => b.lot - a.lot).map(({ thing }) => thing);
}
