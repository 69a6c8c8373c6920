/** Wrong answers to a question: one that the request lists, or the answer to another request of the same kind. */
import type { Rng } from "../base/rng.ts";
import { asksAlike } from "./kind.ts";
import type { ForgetRequest } from "./request.ts";
import { akin, contentOf, overlaps, squeezed } from "./words.ts";

/** A wrong answer; `note` says what is the matter with it, if anything is. */
export interface Wrong {
  readonly words: string;
  readonly note?: string;
}

/** The share of content words, without subjects, that two similarly worded questions have in common. */
const ALIKE = 0.5;

/**
 * The right answers: the given one, other requests' answers to the same question, and each answer of a merged request. `pool` are all requests
 * of the run.
 */
export function rightAnswers(request: ForgetRequest, right: string, pool: readonly ForgetRequest[]): string[] {
  const twins = pool.filter((other) => other !== request && isSame(other, request));
  return [right, ...[...twins, ...(request.merged ?? [])].map(({ answer }) => answer)].filter((text) => squeezed(text) !== "");
}

/** A wrong answer, drawn; undefined if there is none. */
export function wrongAnswer(request: ForgetRequest, right: string, pool: readonly ForgetRequest[], rng: Rng): Wrong | undefined {
  const rights = rightAnswers(request, right, pool);
  const isWrong = (answer: string): boolean => squeezed(answer) !== "" && rights.every((one) => !overlaps(one, answer));
  const own = byLot(request.wrong, (answer) => answer, rng).find(isWrong);
  if (own !== undefined) return { words: own.trim() };
  return borrowed(
    request,
    right,
    byLot(pool, ({ answer }) => answer, rng),
    isWrong,
  );
}

const isSame = (a: ForgetRequest, b: ForgetRequest): boolean => squeezed(a.prompt) === squeezed(b.prompt);

/**
 * The answer to a request of the same relation; else to a similarly worded request for the same kind of thing; else to any request for that
 * kind; else, as a stand-in, an answer of the same form. The first of the pool is taken; never an answer that the question contains.
 */
function borrowed(
  request: ForgetRequest,
  right: string,
  pool: readonly ForgetRequest[],
  isWrong: (answer: string) => boolean,
): Wrong | undefined {
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
    return i < tiers.length - 1
      ? { words }
      : { words, note: "an answer to a question of another kind, because there is none of the same kind" };
  }
  return undefined;
}

/** The form of an answer: a number and its format, a name, a sentence, or other words. */
function shapeOf(answer: string): string {
  if (/^[^\p{L}]*\d[^\p{L}]*$/u.test(answer)) return `digits ${answer.replaceAll(/\d+/g, "0").replaceAll(/[^0/:-]/g, "")}`;
  if (/\d/.test(answer)) return "words and digits";
  if (answer.trim().split(/\s+/).length > 6) return "sentence";
  return /^["'“‘]?\p{Lu}/u.test(answer.trim()) ? "name" : "words";
}

/** A question's content words without its subject. */
const frameOf = ({ prompt, subject }: ForgetRequest): string[] => contentOf(subject === "" ? prompt : prompt.replaceAll(subject, " "));

/** The number of common words, times two, divided by the number of words of both. */
function likeness(a: readonly string[], b: readonly string[]): number {
  const left = [...b];
  const shared = a.filter((word) => {
    const at = left.findIndex((other) => akin(word, other));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
  return (2 * shared.length) / Math.max(1, a.length + b.length);
}

/** Things in a random order; each one's random number depends on its own words only, so removing one keeps the order of the others. */
function byLot<T>(things: readonly T[], wordsOf: (thing: T) => string, rng: Rng): T[] {
  const lots = things.map((thing) => ({ thing, lot: rng.split(wordsOf(thing)).uniform() }));
  return lots.sort((a, b) => b.lot - a.lot).map(({ thing }) => thing);
}
