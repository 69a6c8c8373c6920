/** Locks: one process at a time, a dead process's lock does not count. */
import { linkSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { codeOf, complain } from "./errno.ts";
import { fail } from "./fail.ts";
import { HOST, discard, isAlive, unfinishedName } from "./unfinished.ts";

/** The holder of a lock: a process of a machine; `born` distinguishes it from a later process with the same number. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly born: string;
}

/** Takes a lock and returns a function that releases it; the lock of a dead process is ignored. Fails as `unavailable` if a live process holds it. */
export function lockFile(path: string, who: string, what = path): () => void {
  const release = tryLock(path);
  if (typeof release === "function") return release;
  return fail(
    who,
    `${what} is held by process ${release.pid} on ${release.host}`,
    "no other process at work here",
    `Wait for it, or remove ${path} if that process has ended.`,
    "unavailable",
  );
}

/** As {@link lockFile}, but tells who holds the lock instead of failing, and whether that is a process of this machine. */
export function tryLock(path: string): (() => void) | { readonly pid: number; readonly host: string; readonly isHere: boolean } {
  const mine = JSON.stringify({ pid: process.pid, host: HOST, born: bornOf(process.pid) } satisfies Holder);
  const own = join(dirname(path), unfinishedName(basename(path)));
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(own, mine);
    for (let attempt = 0; attempt < 8; attempt++) {
      try {
        appear(own, path, mine);
        return () => {
          if (readText(path) === mine) discard(path);
        };
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw error;
      }
      const seen = readText(path);
      if (seen === undefined) continue;
      const holder = parseHolder(seen);
      if (holder && !isGone(holder)) return { ...holder, isHere: holder.host === HOST };
      unlinkIf(path, seen, join(dirname(path), unfinishedName(basename(path))));
    }
    return { pid: 0, host: "another machine", isHere: false };
  } catch (error) {
    complain("lock", path, error);
  } finally {
    discard(own);
  }
}

/** The lock appears with its content, or not at all; where the file system has no links, with its content at once after. */
function appear(own: string, path: string, text: string): void {
  try {
    linkSync(own, path);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "ENOSYS", "EMLINK"].includes(codeOf(error))) throw error;
    writeFileSync(path, text, { flag: "wx" });
  }
}

/** Removes a lock whose process has ended. */
export function dropDead(path: string): void {
  const seen = readText(path);
  const holder = seen === undefined ? undefined : parseHolder(seen);
  if (holder && isGone(holder)) unlinkIf(path, seen!, join(dirname(path), unfinishedName(basename(path))));
}

/** Removes the lock of a dead process by renaming it; restores it if it was another process's new lock. */
function unlinkIf(path: string, seen: string, aside: string): void {
  try {
    renameSync(path, aside);
    if (readText(aside) !== seen) linkSync(aside, path);
  } catch (error) {
    if (!["ENOENT", "EEXIST"].includes(codeOf(error))) throw error;
  } finally {
    discard(aside);
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const value = JSON.parse(text) as Holder;
    return Number.isInteger(value.pid) && typeof value.host === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

const isGone = (holder: Holder): boolean =>
  holder.host === HOST && (!isAlive(holder.pid) || (Boolean(holder.born) && bornOf(holder.pid) !== holder.born));

/** The start time of a process (field 22 of Linux's stat); empty if the system does not report it. */
function bornOf(pid: number): string {
  const stat = readText(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}
