/** Where a result goes: refused before the work where it cannot be written, held by one process, and whole or not there. */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { codeOf, complain } from "./errno.ts";
import { fail } from "./fail.ts";
import { dropDead, lockFile } from "./locks.ts";
import { discard, shortened, sweepUnfinished, unfinishedName } from "./unfinished.ts";

/** An output path that this process holds. */
export interface Output {
  /** As it was named. */
  readonly name: string;
  /** Its absolute path. */
  readonly path: string;
  /** A path of its own for what `fill` makes, which then takes the output's place: a file in one step, a folder as soon as the old one is aside. */
  put(fill: (making: string) => void): void;
  /** Lets others write there; removes the folders that were made for nothing. */
  release(): void;
}

/**
 * Takes a path for what will be written there. Refuses at once what could only fail later: a folder that cannot be made or written, a name that
 * is too long, a link that leads nowhere. Fails as `unavailable` while another process writes there, and says which.
 */
export function holdOutput(out: string, who: string): Output {
  const path = resolve(out);
  refuseUnwritable(out, who);
  const folder = dirname(path);
  const first = madeFolder(folder, who);
  let unlock: () => void;
  try {
    unlock = lockFile(lockOf(path), who, out);
    sweepUnfinished(folder);
    for (const name of readdirSync(folder)) if (name.endsWith(LOCK)) dropDead(join(folder, name));
  } catch (error) {
    removeEmpty(folder, first);
    return complain(who, out, error);
  }
  return {
    name: out,
    path,
    put: (fill) => swap(path, out, fill),
    release: () => {
      unlock();
      removeEmpty(folder, first);
    },
  };
}

/** Work that writes to a path while this process holds it. */
export async function holding<T>(out: string, who: string, work: (output: Output) => Promise<T>): Promise<T> {
  const output = holdOutput(out, who);
  try {
    return await work(output);
  } finally {
    output.release();
  }
}

/** Whether a path is another one, or lies below it. */
export function isInside(inner: string, outer: string): boolean {
  const way = relative(outer, inner);
  return way.split(sep)[0] !== ".." && !isAbsolute(way);
}

/** The lock of an output: beside it, hidden. */
const lockOf = (path: string): string => join(dirname(path), `.${shortened(basename(path))}${LOCK}`);

const LOCK = ".lethe-lock";

/** Says that something is at an output. */
export const refuseTaken = (out: string, who: string): never =>
  fail(who, `${out} is there already`, "a new name", "Choose another, or replace it with --force.");

/** Refuses a path that cannot be written, before any work is done for it. */
function refuseUnwritable(out: string, who: string): void {
  const path = resolve(out);
  try {
    const link = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink();
    if (link && !existsSync(path)) {
      realpathSync(path); // says why
      fail(who, `${out} is a link that leads nowhere`, "a path of its own", "Choose another, or remove the link.", "unavailable");
    }
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat && !stat.isFile() && !stat.isDirectory())
      fail(who, `${out} is neither a file nor a folder`, "a path of its own", "Choose another.", "unavailable");
    let at = dirname(path);
    while (!statSync(at, { throwIfNoEntry: false })) {
      if (lstatSync(at, { throwIfNoEntry: false })) realpathSync(at); // a link that leads nowhere
      at = dirname(at);
    }
    if (!statSync(at).isDirectory())
      fail(who, `${at} is a file, and ${out} would lie below it`, "a folder", "Choose another path.", "unavailable");
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch (error) {
    complain(who, out, codeOf(error) === "ENOENT" ? Object.assign(new Error(), { code: "ENOLINK" }) : error);
  }
}

/** Makes a folder, and tells the first one that was not there. */
function madeFolder(folder: string, who: string): string | undefined {
  try {
    return mkdirSync(folder, { recursive: true });
  } catch (error) {
    return complain(who, folder, error);
  }
}

/** Removes the folders from one up to the first that was made, as far as nothing is in them. */
function removeEmpty(folder: string, first: string | undefined): void {
  if (first === undefined) return;
  try {
    for (let at = folder; at.startsWith(first); at = dirname(at)) rmdirSync(at);
  } catch {
    return; // it holds something
  }
}

function swap(path: string, out: string, fill: (making: string) => void): void {
  const [folder, name] = [dirname(path), basename(path)];
  const [making, old] = [join(folder, unfinishedName(name)), join(folder, unfinishedName(name))];
  try {
    mkdirSync(folder, { recursive: true });
    fill(making);
    const isFile = lstatSync(making).isFile();
    if (existsSync(path) && !(isFile && lstatSync(path).isFile())) renameSync(path, old);
    renameSync(making, path);
    rmSync(making, { force: true }); // two names of one file: a rename leaves both
    discard(old);
  } catch (error) {
    discard(making);
    if (existsSync(old) && !existsSync(path)) renameSync(old, path);
    complain("write", out, error);
  }
}
