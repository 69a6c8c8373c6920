/** Several questions in one: fewer edits, each with one target, whose effect is still asked question by question. */
import { fail } from "../base/fail.ts";
import type { ForgetRequest, Question } from "../data/request.ts";

/** Which question's subject an edit goes by: of the last, of the first, or of each (one request for each, with one target). */
export type MergedSubject = "last" | "first" | "all";
export const MERGED_SUBJECTS: readonly MergedSubject[] = ["last", "first", "all"];

export interface Merge {
  /** Questions put into one; what is left over at the end is one of fewer. */
  readonly size: number;
  /** What stands between them; a space by default. */
  readonly separator?: string;
  /** By default the last, behind which nothing else is asked. */
  readonly subject?: MergedSubject;
}

/** Requests put together in their order, `size` at a time; a group of one stays as it is. Answers are joined as the questions are. */
export function mergeRequests(requests: readonly ForgetRequest[], { size, separator = " ", subject = "last" }: Merge): ForgetRequest[] {
  if (!Number.isInteger(size) || size < 1) fail("merge", `${size} questions in one`, "a whole number of at least 1", "");
  if (!MERGED_SUBJECTS.includes(subject)) fail("merge", `the subject "${String(subject)}"`, `one of ${MERGED_SUBJECTS.join(", ")}`, "");
  const groups = Array.from({ length: Math.ceil(requests.length / size) }, (_, i) => requests.slice(i * size, (i + 1) * size));
  return groups.flatMap((group) => {
    if (group.length === 1) return group;
    const whole = joined(group, separator);
    if (subject !== "all") return [{ ...whole, subject: group.at(subject === "last" ? -1 : 0)!.subject }];
    const seen = new Set<string>();
    return group
      .filter((one) => !seen.has(one.subject) && seen.add(one.subject))
      .map(({ id, subject: own }) => ({ ...whole, id, subject: own }));
  });
}

function joined(group: readonly ForgetRequest[], separator: string): ForgetRequest {
  const [first] = group as [ForgetRequest];
  const inCommon = (key: "relation" | "group"): string | undefined =>
    group.every((one) => one[key] === first[key]) ? first[key] : undefined;
  const [relation, of] = [inCommon("relation"), inCommon("group")];
  return {
    id: group.map(({ id }) => id).join("+"),
    subject: "",
    prompt: group.map(({ prompt }) => prompt.trim()).join(separator),
    answer: group.every(({ answer }) => answer.trim() !== "") ? group.map(({ answer }) => answer.trim()).join(separator) : "",
    paraphrases: [],
    neighbours: group.flatMap(({ neighbours }) => neighbours),
    wrong: group.flatMap(({ wrong }) => wrong),
    ...(relation === undefined ? {} : { relation }),
    ...(of === undefined ? {} : { group: of }),
    merged: group.map(({ id, prompt, subject, answer }): Question => ({ id, prompt, subject, answer })),
  };
}

/** Refuses a merged request by whose subject no place can be told: one that nobody gave, or that a later question names again. */
export function checkMerged({ prompt, subject, merged = [] }: ForgetRequest): void {
  const at = merged.findIndex((one) => one.subject === subject);
  const own = merged[at];
  if (own === undefined) return;
  if (subject.trim() === "")
    fail(
      "merge",
      `question ${own.id} has no subject`,
      "the words of the prompt that it is about",
      "Give it, or take another's: --merge-subject first or last.",
    );
  // the last place counts where a subject stands several times
  const again = merged.findLast((one) => one.prompt.includes(subject))!;
  if (own.subject === merged.at(-1)!.subject || again === own) return;
  fail(
    "merge",
    `subject "${subject}" of ${own.id} stands again in ${again.id}, behind it in "${prompt}"`,
    "a subject that no later question names",
    "Take --merge-subject last, or put questions about different things together.",
  );
}

/** How many requests with words of their own there are: merged ones that share a question count once. */
export const leadsOf = <R extends ForgetRequest>(requests: readonly R[]): R[] => {
  const seen = new Set<string>();
  return requests.filter(({ merged, prompt }) => merged === undefined || (!seen.has(prompt) && seen.add(prompt)));
};

/** The questions behind requests, in their order, each once: those that merged ones were made of, and the others as they are. */
export function questionsOf<R extends Question & { readonly merged?: readonly Question[] | undefined }>(
  requests: readonly R[],
): { readonly question: Question; readonly of: R }[] {
  const seen = new Set<string>();
  return requests.flatMap((of) =>
    (of.merged ?? [of]).flatMap((question) => (seen.has(question.id) ? [] : [{ question: (seen.add(question.id), question), of }])),
  );
}
