/** The requests that a spec names: one in words, or a file of them. */
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type ForgetRequest, requestOf } from "../data/request.ts";
import type { Loaded } from "../data/sets/set.ts";
import { findSubject } from "../data/subject.ts";
import { requestsIn } from "../data/place.ts";
import { given } from "./fields.ts";

/** The fields of a spec that define its requests. */
export interface Wanted {
  readonly prompt?: string | undefined;
  readonly subject?: string | undefined;
  readonly answer?: string | undefined;
  /** A file of requests, or SET:PLACE for a published dataset, instead of the fields above. */
  readonly data?: string | undefined;
  /** Which column holds which field, for a file with its own layout. */
  readonly columns?: string | undefined;
  /** A file of subjects by row. */
  readonly subjects?: string | undefined;
  /** The number of requests to read, from the first. */
  readonly limit?: number | undefined;
}

/** Reads the requests. Refuses an empty list, and a question together with a file. */
export async function readRequests(
  who: string,
  { prompt, subject, answer, data, limit, columns, subjects }: Wanted,
  ctx: Context,
): Promise<Loaded> {
  if (data !== undefined) {
    const both = Object.entries({ prompt, subject, answer }).find(([, value]) => value !== undefined);
    if (both) fail(who, `--data and --${both[0]}`, "one of them", "Write the request into the file, or leave out --data.");
    return requestsIn(data, ctx, given({ limit, columns, subjects }));
  }
  const stray = Object.entries({ columns, subjects, limit }).find(([, value]) => value !== undefined);
  if (stray) fail(who, `--${stray[0]} without --data`, "a file of rows", "Name the file with --data, or leave the option out.");
  if (prompt === undefined || prompt.trim() === "")
    fail(
      who,
      who === "forget" ? "nothing to forget" : `nothing to ${who}`,
      "--prompt and --subject, or --data FILE",
      'For example --prompt "What is the capital of Australia?" --subject Australia.',
    );
  return { requests: [requestOf({ prompt, ...given({ subject, answer }) })], guessed: [] };
}

/** Guesses missing subjects from the prompt's spelling. A note lists them. */
export function withSubjects({ requests, guessed: already }: Loaded, ctx: Context): ForgetRequest[] {
  const guessed: string[] = [];
  const out = requests.map((request) => {
    const isGiven = request.subject.trim() !== "";
    const subject = isGiven ? request.subject : findSubject(request.prompt);
    if (subject === undefined) return request;
    if (!isGiven || already.includes(request.id)) guessed.push(`"${subject}" (${request.id})`);
    return { ...request, subject };
  });
  const rest = guessed.length > 5 ? ` and ${guessed.length - 5} more` : "";
  if (guessed.length)
    ctx.log({ kind: "note", who: "forget", text: `the subject is guessed from the prompt: ${guessed.slice(0, 5).join(", ")}${rest}` });
  return out;
}
