/** The store of a queue: a folder that all machines reach. A run's folder arrives in one step, and its hashes are checked. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fail } from "../../base/fail.ts";
import { codeOf, complain, discard, sweepUnfinished } from "../../base/store.ts";
import { copyRun, finishedIn, RECORD, recordIn } from "../folder.ts";
import type { Finished, RunRecord } from "../record.ts";

/** The file of a store that tells it from every other one; its path may differ from machine to machine. */
const NAME = ".store";

/** The id of a store; undefined if it has none yet. */
export function storeId(store: string): string | undefined {
  const path = join(store, NAME);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

/** The id of a store, which gets one if it has none. */
export function madeStoreId(store: string): string {
  try {
    mkdirSync(store, { recursive: true });
    writeFileSync(join(store, NAME), `${randomUUID()}\n`, { flag: "wx" });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") complain("store", store, error);
  }
  return storeId(store)!;
}

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

/** Copies a run. A run that another worker has put there meanwhile stays. */
function arrive(from: string, to: string, record: RunRecord): void {
  try {
    sweepUnfinished(dirname(to));
    copyRun(from, to, record);
  } catch (error) {
    if (!existsSync(join(to, RECORD))) complain("store", to, error);
  }
}
