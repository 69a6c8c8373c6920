/** The store of a queue: a folder that all machines reach. A run's folder arrives in one step, and its hashes are checked. */
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fail } from "../../base/fail.ts";
import { complain, discard, sweepUnfinished, unfinishedName } from "../../base/store.ts";
import { finishedIn, linkOrCopy, RECORD, recordIn, SPEC, TIMINGS } from "../folder.ts";
import type { Finished, RunRecord } from "../record.ts";

/** Whether a store has the finished run of an id. */
export const isStored = (store: string, id: string): boolean => recordIn(join(store, id))?.status === "success";

/** Brings a run from the store into the own folder of runs. Refuses a run with a file that does not have its hash. */
export async function bring(store: string, runs: string, id: string): Promise<Finished> {
  const [from, to] = [join(store, id), join(runs, id)];
  if (!(await finishedIn(to))) {
    const record = recordIn(from);
    if (record?.status !== "success")
      fail("store", `${from} is not there`, "a run that was finished before", "Check --store.", "unavailable");
    discard(to);
    arrive(from, to, record!);
  }
  const record = await finishedIn(to);
  if (!record) {
    discard(to);
    fail(
      "store",
      `a file of ${from} does not have its hash`,
      "the bytes that were written",
      `Remove ${from}; its step is run again.`,
      "unavailable",
    );
  }
  return { record, path: to, isFound: true };
}

/** Puts a run into the store. A run that is there stays; a failed one is replaced. */
export function publishRun(path: string, store: string): void {
  const record = recordIn(path)!;
  const to = join(store, record.id);
  const there = recordIn(to);
  if (there?.status === "success") return;
  if (there) discard(to);
  arrive(path, to, record);
}

/** Copies a run under a hidden name, which then gets the name of the run. */
function arrive(from: string, to: string, { outputs }: RunRecord): void {
  const folder = dirname(to);
  const making = join(folder, unfinishedName("run"));
  try {
    mkdirSync(making, { recursive: true });
    sweepUnfinished(folder);
    for (const name of [...Object.keys(outputs), SPEC, TIMINGS, RECORD]) {
      if (!statSync(join(from, name), { throwIfNoEntry: false })) continue;
      mkdirSync(dirname(join(making, name)), { recursive: true });
      linkOrCopy(join(from, name), join(making, name));
    }
    renameSync(making, to);
  } catch (error) {
    if (!existsSync(join(to, RECORD))) complain("store", to, error); // otherwise another worker was faster
  } finally {
    discard(making);
  }
}
