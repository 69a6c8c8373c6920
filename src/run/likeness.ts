/** Which requests are worded alike: the same kind of fact about something else. */
import type { ForgetRequest } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";

/** A question's words without its subject. */
const frameOf = ({ prompt, subject }: ForgetRequest): string[] =>
  tokenize(subject.trim() === "" ? prompt : prompt.replaceAll(subject, " "));

/** The requests of `among` whose questions are worded most like one's own, subjects left out; of two that are alike the earlier one first. */
export function nearestOf(request: ForgetRequest, among: readonly ForgetRequest[], count: number): ForgetRequest[] {
  const own = frameOf(request);
  return among
    .filter(({ id }) => id !== request.id)
    .map((other, place) => ({ other, place, like: rougeN(own, frameOf(other), 1).f1 }))
    .sort((a, b) => b.like - a.like || a.place - b.place)
    .slice(0, count)
    .map(({ other }) => other);
}
