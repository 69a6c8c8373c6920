/** What is known of a spec before it is run. */
import type { Context } from "../base/context.ts";
import { canonical } from "../base/hash.ts";
import type { NestedSpec } from "./fields.ts";
import { finishedIn, recordIn } from "./folder.ts";
import type { Finished, RunRecord } from "./record.ts";
import { type Make, prepare, type Ready } from "./run.ts";
import type { Shared } from "./shared.ts";

/** What is known of a spec before anything is run. */
export type Looked =
  | { readonly state: "finished"; readonly finished: Finished }
  /** It failed when it was run last; it is tried again. */
  | { readonly state: "failed"; readonly record: RunRecord }
  /** It was stopped before its end, or never started. */
  | { readonly state: "begun" | "open" };

/** Looks for the run of a spec and for the runs of the specs that it contains. Runs nothing. Fails if the step cannot be resolved. */
export async function look(spec: NestedSpec, ctx: Context, shared: Shared): Promise<Looked> {
  const known = shared.finished.get(canonical(spec));
  if (known) return { state: "finished", finished: known };
  let isOpen = false;
  const make: Make = async (nested) => {
    const found = await look(nested, ctx, shared);
    if (found.state === "finished") return found.finished;
    isOpen = true;
    throw new Error("a step before it is not finished");
  };
  let ready: Ready;
  try {
    ready = await prepare(spec, ctx, { force: true, shared, make });
  } catch (error) {
    if (isOpen) return { state: "open" };
    throw error;
  }
  const record = recordIn(ready.path);
  if (record?.status === "error") return { state: "failed", record };
  const kept = await finishedIn(ready.path);
  if (!kept) return { state: record ? "begun" : "open" };
  const finished: Finished = { record: kept, path: ready.path, isFound: true };
  shared.finished.set(canonical(spec), finished);
  return { state: "finished", finished };
}
