/** Finds requests with similar wording: the same kind of fact about another subject. */
import type { Breathe } from "../base/context.ts";
import type { ForgetRequest } from "../data/request.ts";
import { rougeN, tokenize } from "../eval/rouge.ts";

/** A question's words without its subject. */
const frameOf = ({ prompt, subject }: ForgetRequest): string[] =>
  tokenize(subject.trim() === "" ? prompt : prompt.replaceAll(subject, " "));

/** Number of requests that are compared before signals are handled again. */
const SLICE = 256;

/**
 * For each request: the `count` requests of `among` with the most similar wording, without their subjects. Of two equally similar requests, the
 * earlier one comes first. `told` is called with the number of requests that are done.
 */
export async function nearestOf(
  requests: readonly ForgetRequest[],
  among: readonly ForgetRequest[],
  count: number,
  { breathe, told }: { readonly breathe: Breathe; readonly told: (done: number) => void },
): Promise<ForgetRequest[][]> {
  const frames: string[][] = [];
  const nearest: ForgetRequest[][] = [];
  for (const request of requests) {
    const own = frameOf(request);
    const alike: { readonly other: ForgetRequest; readonly place: number; readonly like: number }[] = [];
    for (const [place, other] of among.entries()) {
      if (place % SLICE === 0) await breathe();
      frames[place] ??= frameOf(other);
      if (other.id !== request.id) alike.push({ other, place, like: rougeN(own, frames[place], 1).f1 });
    }
    alike.sort((a, b) => b.like - a.like || a.place - b.place);
    nearest.push(alike.slice(0, count).map(({ other }) => other));
    told(nearest.length);
  }
  return nearest;
}
