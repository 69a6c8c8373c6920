/** Requests and their wordings: joined from questions that ask the same, and divided into a request for each wording. */
import { isParaphrase } from "../attack/paraphrase.ts";
import { fail } from "../base/fail.ts";
import type { ForgetRequest } from "../data/request.ts";
import { squeezed } from "../data/words.ts";
import { wordingId } from "./wording-id.ts";

/** A request for the question and one for each paraphrase, all with the same answer. */
export const wordingsOf = ({ prompt, paraphrases, ...rest }: ForgetRequest): ForgetRequest[] =>
  [prompt, ...paraphrases].map((wording, i) => ({
    ...rest,
    id: wordingId(rest.id, i),
    prompt: wording,
    paraphrases: [],
    neighbours: i === 0 ? rest.neighbours : [],
  }));

/** Two lists as one. Refuses an id that both have. */
export function both(first: readonly ForgetRequest[], second: readonly ForgetRequest[]): ForgetRequest[] {
  const known = new Set(first.map(({ id }) => id));
  const twin = second.find(({ id }) => known.has(id));
  if (twin) fail("select", `--data and --also both have ${twin.id}`, "unique ids", "Leave out one of them, or rename its ids.");
  return [...first, ...second];
}

/** What a request is about: its group if the data has groups, else its subject. */
const aboutOf = ({ group, subject }: ForgetRequest): string => squeezed(group ?? subject);

/**
 * Requests of which those that ask the same are one: of one group or subject, with the same answer, and the later question is a paraphrase
 * of the first by its words. Their other wordings come behind those that the first has.
 */
export function paired(requests: readonly ForgetRequest[]): ForgetRequest[] {
  const kept: ForgetRequest[] = [];
  const places = new Map<string, number[]>();
  for (const request of requests) {
    const key = `${aboutOf(request)}\n${squeezed(request.answer)}`;
    const like = places.get(key) ?? [];
    places.set(key, like);
    const at = request.answer.trim() === "" ? undefined : like.find((place) => isParaphrase(request.prompt, kept[place]!));
    if (at === undefined) like.push(kept.push(request) - 1);
    else kept[at] = { ...kept[at]!, paraphrases: [...new Set([...kept[at]!.paraphrases, request.prompt, ...request.paraphrases])] };
  }
  return kept;
}

/** The first request of each subject, and of each group if the data has groups. A request without both is refused. */
export function firstOfEach(requests: readonly ForgetRequest[]): ForgetRequest[] {
  const seen = new Set<string>();
  return requests.filter(({ id, subject, group }) => {
    const named = { subject: squeezed(subject), group: squeezed(group ?? "") };
    const names = Object.entries(named).flatMap(([kind, name]) => (name === "" ? [] : [`${kind} ${name}`]));
    if (names.length === 0)
      fail("select", `${id} has no subject and no group`, "a subject", "Leave out --once, or name subjects (--subjects).");
    const isNew = !names.some((name) => seen.has(name));
    if (isNew) for (const name of names) seen.add(name);
    return isNew;
  });
}
