/** Merged requests: several questions with one target make one edit; its effect is still measured question by question. */
import { fail } from "../base/fail.ts";
import type { ForgetRequest, Question } from "../data/request.ts";

/** Whose subject an edit uses: the last question's, the first's, or each (one request per subject, with one target). */
export type MergedSubject = "last" | "first" | "all";
const MERGED_SUBJECTS: readonly MergedSubject[] = ["last", "first", "all"];

export interface Merge {
  /** Questions per merged request; the last one may have fewer. */
  readonly size: number;
  /** The text between them; a space by default. */
  readonly separator?: string;
  /** By default the last, because no other question follows it. */
  readonly subject?: MergedSubject;
}

/** Merges requests in order, `size` at a time; a group of one stays unchanged. Answers are joined in the same way as questions. */
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

/** Refuses a merged request whose subject has no unique place: it is missing, or a later question names it again. */
export function checkMerged({ prompt, subject, merged = [] }: ForgetRequest): void {
  const at = merged.findIndex((one) => one.subject === subject);
  const own = merged[at];
  if (own === undefined) return;
  if (subject.trim() === "")
    fail(
      "merge",
      `question ${own.id} has no subject`,
      "the words of the prompt that it is about",
      "Give it, or use another question's subject: --merge-subject first or last.",
    );
  // if a subject occurs several times, the last occurrence counts
  const again = merged.findLast((one) => one.prompt.includes(subject))!;
  if (own.subject === merged.at(-1)!.subject || again === own) return;
  fail(
    "merge",
    `subject "${subject}" of ${own.id} occurs again in ${again.id}, later in "${prompt}"`,
    "a subject that no later question names",
    "Use --merge-subject last, or merge questions about different things.",
  );
}

/** The requests with distinct texts: merged requests with the same prompt count once. */
export const leadsOf = <R extends ForgetRequest>(requests: readonly R[]): R[] => {
  const seen = new Set<string>();
  return requests.filter(({ merged, prompt }) => merged === undefined || (!seen.has(prompt) && seen.add(prompt)));
};

/** The questions of requests, in order, each once: those of merged requests, and the others unchanged. */
export function questionsOf<R extends Question & { readonly merged?: readonly Question[] | undefined }>(
  requests: readonly R[],
): { readonly question: Question; readonly of: R }[] {
  const seen = new Set<string>();
  return requests.flatMap((of) =>
    (of.merged ?? [of]).flatMap((question) => (seen.has(question.id) ? [] : [{ question: (seen.add(question.id), question), of }])),
  );
}
