/** The folder of one run: its lock, its unfinished work, its outputs and its record. A file is complete or absent. */
import { copyFileSync, createReadStream, existsSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { LetheError } from "../base/fail.ts";
import {
  complain,
  discard,
  isRecord,
  isUnfinished,
  readJson,
  sweepUnfinished,
  tryLock,
  unfinishedName,
  writeAtomic,
} from "../base/store.ts";
import type { Chosen, Layout, RunRecord, RunTimings } from "./record.ts";

export const [RECORD, SPEC, TIMINGS, CHOSEN, LOCK, WORK] = ["record.json", "spec.json", "timings.json", "chosen.json", "lock", "work"];
const OWN: readonly string[] = [RECORD, SPEC, TIMINGS, CHOSEN, LOCK, WORK];

/** A run's folder while the run holds its lock. */
export interface RunFolder {
  readonly path: string;
  /** The path of a file or folder that the step makes; it must appear whole. */
  at(name: string): string;
  /** A path for unfinished work. It is kept when the run is stopped and deleted when the run succeeds. */
  work(name: string): string;
  /** Moves finished work to its name among the results. */
  finish(workName: string, name: string): void;
}

/** The record of a run; undefined if there is none that can be read. */
export function recordIn(path: string): RunRecord | undefined {
  const file = join(path, RECORD);
  const value = existsSync(file) ? readJson(file, "runs") : undefined;
  return isRunRecord(value) ? value : undefined;
}

const isRunRecord = (value: unknown): value is RunRecord =>
  isRecord(value) &&
  ["schema", "id", "step", "code", "status"].every((key) => typeof value[key] === "string") &&
  isRecord(value["spec"]) &&
  isRecord(value["outputs"]);

export function timingsIn(path: string): RunTimings | undefined {
  const file = join(path, TIMINGS);
  return existsSync(file) ? (readJson(file, "runs") as RunTimings) : undefined;
}

/** The seconds of all attempts together; 0 if nothing is known. */
export const secondsOf = (timings: RunTimings | undefined): number => (timings?.seconds ?? []).reduce((sum, one) => sum + one, 0);

/** A value as JSON. A number that JSON does not have, such as NaN, becomes a text. */
const asText = (value: object): string =>
  `${JSON.stringify(value, (_, part: unknown) => (typeof part === "number" && !Number.isFinite(part) ? String(part) : part), 1)}\n`;

/** Thrown where another process works in the folder of a run. */
export class Busy extends LetheError {
  constructor(who: string, lock: string, { pid, host }: { readonly pid: number; readonly host: string }) {
    const hint = `Wait for it, or remove ${lock} if that process has ended.`;
    super(who, `${lock} is held by process ${pid} on ${host}`, "no other process at work here", hint, "unavailable");
  }
}

/** Locks a run's folder for one process and deletes temporary files of dead processes. Fails as {@link Busy} if another process works there. */
export function holdFolder(path: string, who: string): { readonly folder: RunFolder; readonly release: () => void } {
  make(path);
  const release = tryLock(join(path, LOCK));
  if (typeof release !== "function") throw new Busy(who, join(path, LOCK), release);
  sweepUnfinished(path);
  const at = (name: string): string => join(path, name);
  const work = (name: string): string => {
    make(join(path, WORK));
    return join(path, WORK, name);
  };
  const finish = (from: string, to: string): void => {
    rmSync(at(to), { recursive: true, force: true });
    renameSync(work(from), at(to));
  };
  return { folder: { path, at, work, finish }, release };
}

function make(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    complain("runs", path, error);
  }
}

export const writeRecord = (path: string, record: RunRecord): void => writeAtomic(join(path, RECORD), asText(record));
export const writeSpec = (path: string, spec: object): void => writeAtomic(join(path, SPEC), asText(spec));
export const writeTimings = (path: string, timings: RunTimings): void => writeAtomic(join(path, TIMINGS), asText(timings));

export const writeChosen = (path: string, chosen: Chosen): void => writeAtomic(join(path, CHOSEN), asText(chosen));

/** How the method of a run was chosen; undefined if it was named. */
export function chosenIn(path: string): Chosen | undefined {
  const file = join(path, CHOSEN);
  return existsSync(file) ? (readJson(file, "runs") as Chosen) : undefined;
}

/** Removes unfinished work. */
export const clearWork = (path: string): void => rmSync(join(path, WORK), { recursive: true, force: true });

/** The files that a step made, below the run's folder, in order. */
export const outputsIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .filter((name) => !OWN.includes(name.split(/[\\/]/)[0]!) && !isUnfinished(basename(name)))
    .sort();

/** SHA-256 of a file's bytes. */
export async function hashFile(path: string): Promise<string> {
  const sha = createHash("sha256");
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 22 })) sha.update(piece as Buffer);
  } catch (error) {
    complain("runs", path, error);
  }
  return sha.digest("hex");
}

/** SHA-256 of every output by its name. */
export async function hashOutputs(path: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of outputsIn(path)) found[name.replaceAll("\\", "/")] = await hashFile(join(path, name));
  return found;
}

/** Whether a file of a run is unchanged since the run. */
const isIntact = async (path: string, name: string, sum: string): Promise<boolean> =>
  existsSync(join(path, name)) && (await hashFile(join(path, name))) === sum;

/** The record of a run that succeeded and whose files are unchanged. */
export async function finishedIn(path: string): Promise<RunRecord | undefined> {
  const record = recordIn(path);
  if (record?.status !== "success") return undefined;
  for (const [name, sum] of Object.entries(record.outputs)) if (!(await isIntact(path, name, sum))) return undefined;
  return record;
}

/** Removes the changed files of a finished run, so that they are made again. */
export async function dropDamaged(path: string): Promise<void> {
  const record = recordIn(path);
  if (record?.status !== "success") return;
  for (const [name, sum] of Object.entries(record.outputs))
    if (!(await isIntact(path, name, sum))) rmSync(join(path, name), { force: true });
}

/** Removes the leftovers of a process that was killed right after its run had succeeded. */
export function tidy(path: string): void {
  if (!readdirSync(path).some((name) => [LOCK, WORK].includes(name) || isUnfinished(name))) return;
  const release = tryLock(join(path, LOCK));
  if (typeof release !== "function") return; // another process does it
  clearWork(path);
  sweepUnfinished(path);
  release();
}

/** The path of the result in a run's folder: a file, a folder, the whole run folder, or an additional folder. */
export function resultIn(layout: Layout, beside?: string): string | undefined {
  if (beside !== undefined) return "files" in layout ? undefined : layout.beside?.[beside];
  return "file" in layout ? layout.file : "folder" in layout ? layout.folder : "";
}

/** Copies the wanted files of a run. They are copied under a hidden name, which then gets the name `to`: the folder appears whole. */
export function copyRun(from: string, to: string, { outputs }: RunRecord, isWanted: (output: string) => boolean = () => true): void {
  const making = join(dirname(to), unfinishedName("run"));
  try {
    mkdirSync(making, { recursive: true });
    for (const name of [...Object.keys(outputs).filter(isWanted), SPEC, TIMINGS, CHOSEN, RECORD]) {
      if (!statSync(join(from, name), { throwIfNoEntry: false })) continue;
      mkdirSync(dirname(join(making, name)), { recursive: true });
      linkOrCopy(join(from, name), join(making, name));
    }
    renameSync(making, to);
  } finally {
    discard(making);
  }
}

/** The same bytes under another name: a link if the file system supports it, otherwise a copy. */
export function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to); // another file system, or one without links
  }
}
