/** Files that are complete or absent: atomic writes, JSON, JSON lines, locks. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { LetheError, fail } from "./fail.ts";
import { parseJson } from "./json.ts";

const PIECE = 1 << 26; // bytes in one system call, far below Node's 2 GiB
const HOST = hostname().replace(/[^\w-]/g, "_");
let count = 0;

/** Writes a whole file or nothing: a temporary file in the same folder, synced and renamed. Creates the folder. A full disk is `unavailable`. */
export function writeAtomic(path: string, bytes: Uint8Array | string): void {
  writeAtomicWith(path, (write) => write(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes));
}

/** As {@link writeAtomic}, for content that does not fit into memory: `fill` writes it piece by piece; if it throws, no file remains. */
export function writeAtomicWith(path: string, fill: (write: (bytes: Uint8Array) => void) => void): void {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${HOST}.${process.pid}.${count++}.tmp`);
  let fd: number | undefined;
  try {
    mkdirSync(folder, { recursive: true });
    sweep(folder, basename(path));
    fd = openSync(temporary, "wx");
    const target = fd;
    fill((bytes) => writeAll(target, bytes));
    fsyncSync(fd);
    closeSync(fd);
    fd = undefined;
    renameSync(temporary, path);
    syncFolder(folder);
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    discard(temporary);
    complain("write", path, error);
  }
}

/** Removes a file or a folder; one that cannot be removed must not hide what went wrong before. */
export function discard(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    return;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength;) at += writeSync(fd, bytes, at, Math.min(PIECE, bytes.byteLength - at));
}

/** Makes a rename durable; on systems that cannot open a folder it does nothing. */
function syncFolder(folder: string): void {
  let fd: number | undefined;
  try {
    fd = openSync(folder, "r");
    fsyncSync(fd);
  } catch (error) {
    if (!["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP"].includes(codeOf(error))) throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Removes temporary files that a killed process of this machine left while writing the same file. */
function sweep(folder: string, name: string): void {
  const prefix = `.${name}.${HOST}.`;
  for (const found of readdirSync(folder)) {
    const pid = found.startsWith(prefix) && found.endsWith(".tmp") ? Number(found.slice(prefix.length).split(".")[0]) : NaN;
    if (Number.isInteger(pid) && !isAlive(pid)) rmSync(join(folder, found), { force: true });
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");

const TROUBLES: Record<string, readonly [got: string, hint: string]> = {
  ENOSPC: ["the disk is full", "Free some space or choose another folder; the old content is unchanged."],
  EDQUOT: ["the disk quota is used up", "Free some space or choose another folder; the old content is unchanged."],
  EFBIG: ["the file is too large for the file system", "Choose another folder."],
  EROFS: ["the file system is read-only", "Choose another folder."],
  EACCES: ["permission is denied", "Check who owns the folder."],
  EPERM: ["permission is denied", "Check who owns the folder."],
  ENOENT: ["there is no such file", "Check the path."],
  EISDIR: ["it is a folder", "Name a file."],
  ENOTDIR: ["a part of the path is a file", "Check the path."],
  ENOTEMPTY: ["it is a folder", "Name a file."],
  EMFILE: ["too many files are open", "Raise the limit (ulimit -n)."],
  EIO: ["the disk reports an error", "Check the disk."],
};

/** Turns an error of the file system into one that a caller can act on; rethrows a {@link LetheError}. */
export function complain(verb: string, path: string, error: unknown): never {
  if (error instanceof LetheError) throw error;
  const known = TROUBLES[codeOf(error)];
  if (!known && !codeOf(error)) throw error;
  fail(verb, `${path}: ${known?.[0] ?? codeOf(error)}`, "", known?.[1] ?? "Check the path and the disk.", "unavailable");
}

/** Reads a JSON file; errors name the file, the line and the column. A leading byte-order mark is skipped. */
export function readJson(path: string, who: string): unknown {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    complain(who, path, error);
  }
  if (bytes.length > 1 << 28) fail(who, `${path} has ${bytes.length} bytes`, "JSON of at most 256 MiB", "", "unavailable");
  return parseJson(bytes.toString("utf8").replace(/^\uFEFF/, ""), path, who);
}

/** A file open for random access; its size is that at opening. */
export interface OpenFile {
  readonly path: string;
  readonly size: number;
  /** Fills `into` from offset `at`; fails if the file is too short. */
  read(at: number, into: Uint8Array): void;
  close(): void;
}

/** Opens a plain file for random access. */
export function openFile(path: string, who: string): OpenFile {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    complain(who, path, error);
  }
  const stat = fstatSync(fd);
  let open = true;
  const close = (): void => {
    if (open) closeSync(fd);
    open = false;
  };
  if (!stat.isFile()) {
    close();
    fail(who, `${path} is not a file`, "a plain file", "", "unavailable");
  }
  const read = (at: number, into: Uint8Array): void => {
    if (!open) fail(who, `${path} is closed`, "an open file", "", "internal");
    for (let done = 0; done < into.byteLength;) {
      let got: number;
      try {
        got = readSync(fd, into, done, Math.min(PIECE, into.byteLength - done), at + done);
      } catch (error) {
        complain(who, path, error);
      }
      if (!got)
        fail(
          who,
          `${path} ended at byte ${at + done}`,
          `${into.byteLength - done} more bytes`,
          "It changed while it was read.",
          "unavailable",
        );
      done += got;
    }
  };
  return { path, size: stat.size, read, close };
}

/** What is read of a file that stays open; the file is closed if that fails. */
export function openAs<T>(path: string, who: string, read: (file: OpenFile) => T): T {
  const file = openFile(path, who);
  try {
    return read(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Appends one JSON line and syncs it; an incomplete line left by a killed process is removed first. One writer at a time. */
export function appendLine(path: string, value: unknown): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const fresh = !existsSync(path);
    const fd = openSync(path, fresh ? "a+" : "r+");
    try {
      const size = fstatSync(fd).size;
      const whole = wholeLength(fd, size);
      if (whole < size) ftruncateSync(fd, whole);
      const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, whole + at);
      } catch (error) {
        ftruncateSync(fd, whole);
        throw error;
      }
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (fresh) syncFolder(dirname(path));
  } catch (error) {
    complain("append", path, error);
  }
}

/** Length up to and including the last newline. */
function wholeLength(fd: number, size: number): number {
  const piece = new Uint8Array(Math.min(size, 1 << 16));
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - piece.length);
    const got = readSync(fd, piece, 0, end - start, start);
    const newline = piece.subarray(0, got).lastIndexOf(10);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}

/** The values of a file of JSON lines, in order; none if there is no file. A last line without a newline is incomplete and ignored; any other bad line is refused by number. */
export function readLines(path: string): unknown[] {
  if (!existsSync(path)) return [];
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    complain("read", path, error);
  }
  const values: unknown[] = [];
  for (let start = 0, end = bytes.indexOf(10); end >= 0; start = end + 1, end = bytes.indexOf(10, start))
    values.push(parseJson(bytes.toString("utf8", start, end), `${path} line ${values.length + 1}`, "read"));
  return values;
}

/** The holder of a lock: a process of a machine; `born` distinguishes it from a later process with the same number. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly born: string;
}

/** Takes a lock and returns a function that releases it; the lock of a dead process is ignored. Fails as `unavailable` if a live process holds it. */
export function lockFile(path: string, who: string): () => void {
  const release = tryLock(path);
  if (typeof release === "function") return release;
  return fail(
    who,
    `${path} is held by process ${release.pid} on ${release.host}`,
    "no other process at work here",
    "Wait for it, or remove the file if that process has ended.",
    "unavailable",
  );
}

/** As {@link lockFile}, but tells who holds the lock instead of failing, and whether that is a process of this machine. */
export function tryLock(path: string): (() => void) | { readonly pid: number; readonly host: string; readonly isHere: boolean } {
  const mine = JSON.stringify({ pid: process.pid, host: HOST, born: bornOf(process.pid) } satisfies Holder);
  const own = `${path}.${HOST}.${process.pid}.${count++}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(own, mine);
    for (let attempt = 0; attempt < 8; attempt++) {
      try {
        linkSync(own, path); // appears with its content, or not at all
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
      unlinkIf(path, seen, `${own}.old`);
    }
    return { pid: 0, host: "another machine", isHere: false };
  } catch (error) {
    complain("lock", path, error);
  } finally {
    discard(own);
  }
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

/** Whether a process of this machine is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** The start time of a process (field 22 of Linux's stat); empty if the system does not report it. */
function bornOf(pid: number): string {
  const stat = readText(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}
