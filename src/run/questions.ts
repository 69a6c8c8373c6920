/** Questions for a suite: data by groups, and the groups that requests bring along. */
import { existsSync } from "node:fs";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import type { ForgetRequest } from "../data/request.ts";
import type { Sample } from "../eval/measure.ts";
import { type DataOptions, namesSet, requestsIn } from "../data/place.ts";
import type { Grouped } from "./fields.ts";
import { wordingId } from "./wording-id.ts";

/** A question for the model, and the prompt of the request that it belongs to. */
export interface Asked {
  readonly sample: Sample;
  readonly prompt: string;
}

/** The group whose rows add questions to other groups. */
const FORGET = "forget";

/** Groups that a request lists itself, and which of them are other facts. */
const LISTED: Readonly<Record<string, { readonly areOthers?: true; readonly of: (request: ForgetRequest) => readonly Listed[] }>> = {
  rephrased: {
    of: ({ id, answer, paraphrases }) => paraphrases.map((question, i) => ({ id: wordingId(id, i + 1), question, answer })),
  },
  neighbours: { areOthers: true, of: ({ neighbours }) => neighbours },
};
type Listed = Pick<Sample, "id" | "question" | "answer">;

/**
 * The questions of every `[GROUP=]SPEC`, in the given order. A row to forget adds its paraphrases and neighbours if the suite has these groups.
 * A row of such a group gives the questions that it lists, or its own question. A neighbour that is to be forgotten is left out, and a
 * neighbour of several rows is asked once. Refuses a group that the suite does not have, and a row given twice.
 */
export async function askedIn(
  data: readonly (string | Grouped<string>)[],
  groups: readonly string[],
  reading: DataOptions,
  ctx: Context,
): Promise<Asked[]> {
  const brought = groups.filter((group) => Object.hasOwn(LISTED, group));
  const known = brought.length > 0 && !groups.includes(FORGET) ? [FORGET, ...groups] : groups;
  const parts = data.map((given) => partOf(given, groups, known));
  const own: Asked[] = [];
  const listed: Asked[] = [];
  const gone = new Set<string>();
  // options for columns and subjects apply to data with its own layout, if there is any
  const isMixed = parts.some(({ spec }) => namesSet(spec)) && !parts.every(({ spec }) => namesSet(spec));
  const { columns: _, subjects: __, ...plainly } = reading;
  for (const { group, spec } of parts) {
    const { requests } = await requestsIn(spec, ctx, isMixed && namesSet(spec) ? plainly : reading);
    for (const request of requests) {
      const { prompt } = request;
      const listing = group === FORGET ? brought : brought.filter((name) => name === group);
      const more = listing.flatMap((name) => LISTED[name]!.of(request).map((of): Asked => ({ sample: { ...of, group: name }, prompt })));
      listed.push(...more);
      if (group === FORGET) gone.add(prompt);
      const isAsked = group === FORGET ? groups.includes(FORGET) || groups.length === 0 : more.length === 0;
      if (isAsked) own.push({ sample: sampleOf(request, group), prompt });
    }
  }
  const seen = new Set<string>();
  for (const { sample } of own)
    if (seen.size === seen.add(sample.id).size)
      fail(
        "--data",
        `two rows have the id "${sample.id}"`,
        "each row once",
        "Name each row in one group: FILE#A and FILE#-A divide a file.",
      );
  const others = listed.filter(({ sample: { id, group, question } }) => {
    if (LISTED[group]!.areOthers && gone.has(question)) return false;
    return seen.size !== seen.add(id).size;
  });
  const all = [...own, ...others];
  if (all.length === 0)
    fail(
      "--data",
      `no questions in ${parts.map(({ spec }) => spec).join(", ") || "nothing"}`,
      `rows of ${groups.join(", ") || "any kind"}`,
      "Check the files, and what their rows list.",
    );
  return all;
}

/** Splits `[GROUP=]SPEC`. A file with exactly this name takes precedence. */
function divided(given: string): Partial<Grouped<string>> {
  const [, group, rest] = existsSync(given) ? [] : (/^([a-z][\w-]*)=(.*)$/s.exec(given) ?? []);
  return { data: rest ?? given, ...(group !== undefined && { group }) };
}

/** Data and its group; without a name, the suite's only group. */
function partOf(
  given: string | Grouped<string>,
  groups: readonly string[],
  known: readonly string[],
): { readonly group: string; readonly spec: string } {
  const { group: name, data: spec = "" } = typeof given === "string" ? divided(given) : given;
  if (spec === "") fail("--data", `"${String(given)}"`, "[GROUP=]SPEC", "For example --data forget=requests.jsonl.");
  if (name === undefined && groups.length > 1)
    fail("--data", spec, `GROUP=${spec}, GROUP one of ${known.join(", ")}`, "The suite judges each group by numbers of its own.");
  if (name !== undefined && known.length > 0 && !known.includes(name))
    fail("--data", `the group "${name}"`, `one of ${known.join(", ")}`, "The suite has no other.");
  return { group: name ?? groups[0] ?? "all", spec };
}

const sampleOf = ({ id, prompt, answer, aliases, restated, wrong }: ForgetRequest, group: string): Sample => ({
  id,
  group,
  question: prompt,
  answer,
  ...(aliases !== undefined && { aliases }),
  ...(restated !== undefined && { restated }),
  ...(wrong.length > 0 && { wrong }),
});
