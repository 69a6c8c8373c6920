/** Finds requests with similar wording: the same kind of fact about another subject. */
import type { ForgetRequest } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";

/** A question's words without its subject. */
const frameOf = ({ prompt, subject }: ForgetRequest): string[] =>
  tokenize(subject.trim() === "" ? prompt : prompt.replaceAll(subject, " "));

/**
 * The requests of `among` with the most similar wording, without their subjects. Of two equally similar requests, the earlier one comes
 * first.
 */
export function nearestOf(request: ForgetRequest, among: readonly ForgetRequest[], count: number): ForgetRequest[] {
  const own = frameOf(request);
  return among
    .filter(({ id }) => id !== request.id)
    .map((other, place) => ({ other, place, like: rougeN(own, frameOf(other), 1).f1 }))
    .sort((a, b) => b.like - a.like || a.place - b.place)
    .slice(0, count)
    .map(({ other }) => other);
}
