/** What is not finished yet: hidden names that say which process makes it, and the removal of what dead processes left. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { codeOf } from "./errno.ts";

/** Where the numbers of processes mean what they mean here: this machine, or this container of it. */
export const HOST = `${hostname()
  .replace(/[^\w-]/g, "_")
  .slice(0, 64)}${container()}`;

/** A container has processes of its own numbers, and perhaps the machine's name; the system's own space has a fixed number. */
function container(): string {
  try {
    const space = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "";
    return space === "" || space === "4026531836" ? "" : `-${space}`;
  } catch {
    return ""; // a system without /proc
  }
}

const MARK = new RegExp(`^\\..*\\.${HOST}\\.(\\d+)\\.[0-9a-f]{8}\\.part$`, "s");

/** Bytes of a name that stand in a hidden name; a file system takes 255. */
const SHOWN = 100;

/** A name as hidden names beside it show it: a long one is shortened, so that something can be added to it. */
export const shortened = (name: string): string =>
  Buffer.byteLength(name) > SHOWN
    ? `${[...name].slice(0, 20).join("")}~${createHash("sha1").update(name).digest("hex").slice(0, 8)}`
    : name;

/** A hidden name for what this process has not finished, another one at each call; {@link sweepUnfinished} knows it. */
export const unfinishedName = (name: string): string => `.${shortened(name)}.${HOST}.${process.pid}.${randomBytes(4).toString("hex")}.part`;

/** Whether a name is one that {@link unfinishedName} gives on this machine. */
export const isUnfinished = (name: string): boolean => MARK.test(name);

/** Removes what dead processes of this machine left unfinished in a folder. What a living process makes stays, and so does everything else. */
export function sweepUnfinished(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const pid = MARK.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) discard(join(folder, name));
  }
}

/** A folder for the time of some work, in the system's folder for such things; those of dead processes go. */
export function scratch(name: string): string {
  sweepUnfinished(tmpdir());
  const path = join(tmpdir(), unfinishedName(name));
  mkdirSync(path);
  return path;
}

/** Removes a file or a folder; one that cannot be removed must not hide what went wrong before. */
export function discard(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    return;
  }
}

/** Whether a process of this machine is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}
