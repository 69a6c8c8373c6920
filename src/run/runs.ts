/** The folder of runs: lists runs, shows one, compares two, removes some. */
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fail } from "../base/fail.ts";
import { canonical } from "../base/hash.ts";
import { isRecord, tryLock } from "../base/store.ts";
import { chosenIn, LOCK, recordIn, timingsIn } from "./folder.ts";
import type { Chosen, RunRecord, RunTimings } from "./record.ts";

/** A run in a listing. */
export interface RunCard {
  readonly id: string;
  readonly path: string;
  readonly record: RunRecord;
  readonly timings?: RunTimings;
  /** How its method was chosen, if a spec left it open. */
  readonly chosen?: Chosen;
  /** Bytes of everything in its folder. */
  readonly bytes: number;
}

/** The runs of a folder, the one that ended last first; folders without a record are left out. */
export function listRuns(root: string): RunCard[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^[0-9a-f]{32}$/.test(entry.name))
    .flatMap(({ name }) => cardOf(root, name) ?? [])
    .sort((a, b) => (b.timings?.ended ?? "~").localeCompare(a.timings?.ended ?? "~") || a.id.localeCompare(b.id));
}

function cardOf(root: string, id: string): RunCard | undefined {
  const path = join(root, id);
  const record = recordIn(path);
  const [timings, chosen] = [timingsIn(path), chosenIn(path)];
  return record && { id, path, record, bytes: bytesIn(path), ...(timings && { timings }), ...(chosen && { chosen }) };
}

const bytesIn = (path: string): number =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0), 0); // a lock may go

/** The run whose id has this beginning. Refuses a beginning of no run or of several runs. */
export function findRun(root: string, beginning: string): RunCard {
  const ids = existsSync(root) ? readdirSync(root).filter((name) => /^[0-9a-f]{32}$/.test(name) && name.startsWith(beginning)) : [];
  if (ids.length === 0) fail("runs", `no run "${beginning}" in ${root}`, "the beginning of a run's id", "lethe runs list shows them.");
  if (ids.length > 1)
    fail("runs", `${ids.length} runs begin with "${beginning}"`, "one run", `Give more of the id: ${ids.slice(0, 3).join(", ")}.`);
  return cardOf(root, ids[0]!) ?? fail("runs", `${join(root, ids[0]!)} has no record`, "a run", "It was not made by lethe.");
}

/** A difference between two runs; undefined on the side where the value is missing. */
export interface Difference {
  readonly at: string;
  readonly a: unknown;
  readonly b: unknown;
}

/** Where the specs, the code, the outputs and the results of two runs differ. */
export function diffRuns(a: RunCard, b: RunCard): Difference[] {
  const of = ({ record: { step, spec, code, status, outputs, result } }: RunCard) => ({ step, code, status, spec, outputs, result });
  return differences("", of(a), of(b));
}

function differences(at: string, a: unknown, b: unknown): Difference[] {
  if (canonical(a) === canonical(b)) return [];
  if (!isRecord(a) || !isRecord(b)) return [{ at, a, b }];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.flatMap((key) => differences(at ? `${at}.${key}` : key, a[key], b[key]));
}

/** Removes the folders of runs. Removes none if a process works in one of them. */
export function removeRuns(cards: readonly RunCard[]): void {
  const held: (() => void)[] = [];
  try {
    for (const { path, id } of cards) {
      const lock = tryLock(join(path, LOCK));
      if (typeof lock !== "function")
        fail("runs", `${id} is at work in process ${lock.pid} on ${lock.host}`, "a run at rest", "Stop it first.", "unavailable");
      held.push(lock);
    }
    for (const { path } of cards) rmSync(path, { recursive: true, force: true });
  } finally {
    for (const release of held) release();
  }
}
