/** Requests as a command names them: a file of our own format, or a published dataset's file behind the dataset's name. */
import { existsSync } from "node:fs";
import { fail, nearest } from "../base/fail.ts";
import { readRequests } from "../data/request.ts";
import { registry } from "../data/sets/registry.ts";
import type { DataSet, Loaded } from "../data/sets/set.ts";

const SETS: Readonly<Record<string, DataSet>> = registry;

/** `FILE`, or `SET:FILE` with a dataset's id; refuses an id that no dataset has. A file of that very name goes before. */
export function requestsIn(spec: string): Loaded {
  const [, name, path] = /^([A-Za-z][\w-]+):(.+)$/s.exec(spec) ?? [];
  if (name === undefined || path === undefined || existsSync(spec)) return { requests: readRequests(spec), guessed: [] };
  if (Object.hasOwn(SETS, name)) return SETS[name]!.read({ path });
  const near = nearest(name, Object.keys(SETS));
  fail("--data", `there is no dataset "${name}"`, `one of ${Object.keys(SETS).join(", ")}`, near ? `Did you mean "${near}"?` : "");
}
