/** Requests as a command names them: a file of our own format, or a published dataset's file behind the dataset's name. */
import { existsSync } from "node:fs";
import { fail, nearest } from "../base/fail.ts";
import { type QA, readQuestions, readRequests } from "../data/request.ts";
import { registry } from "../data/sets/registry.ts";
import type { DataSet, Loaded } from "../data/sets/set.ts";

const SETS: Readonly<Record<string, DataSet>> = registry;

/** Questions whose answers must stay: a file of our own format, or a published dataset's as for requests. */
export function questionsIn(spec: string): QA[] {
  const { name } = named(spec);
  return name === undefined
    ? readQuestions(spec)
    : requestsIn(spec).requests.map(({ id, prompt, answer }) => ({ id, question: prompt, answer }));
}

/** `FILE`, or `SET:FILE` with a dataset's id; refuses an id that no dataset has. A file of that very name goes before. */
export function requestsIn(spec: string): Loaded {
  const { name, path } = named(spec);
  if (name === undefined) return { requests: readRequests(spec), guessed: [] };
  if (Object.hasOwn(SETS, name)) return SETS[name]!.read({ path });
  const near = nearest(name, Object.keys(SETS));
  fail("--data", `there is no dataset "${name}"`, `one of ${Object.keys(SETS).join(", ")}`, near ? `Did you mean "${near}"?` : "");
}

/** A dataset's name and the file behind it; without a name, the file alone. */
function named(spec: string): { readonly name?: string; readonly path: string } {
  const [, name, path] = /^([A-Za-z][\w-]+):(.+)$/s.exec(spec) ?? [];
  return name === undefined || path === undefined || existsSync(spec) ? { path: spec } : { name, path };
}
