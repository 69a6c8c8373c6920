/** Files that are complete or absent: atomic writes, the one reader of plain files, JSON, JSON lines. */
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  ftruncateSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { codeOf, complain } from "./errno.ts";
import { fail } from "./fail.ts";
import { type JsonRules, parseJson } from "./json.ts";
import { discard, sweepUnfinished, unfinishedName } from "./unfinished.ts";

const PIECE = 1 << 26; // bytes in one system call, far below Node's 2 GiB

/** Writes a whole file or nothing: a temporary file in the same folder, synced and renamed. Creates the folder. A full disk is `unavailable`. */
export function writeAtomic(path: string, bytes: Uint8Array | string): void {
  writeAtomicWith(path, (write) => write(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes));
}

/** As {@link writeAtomic}, for content that does not fit into memory: `fill` writes it piece by piece; if it throws, no file remains. */
export function writeAtomicWith(path: string, fill: (write: (bytes: Uint8Array) => void) => void): void {
  const file = making(path);
  try {
    file.open();
    fill(file.write);
    file.finish();
  } catch (error) {
    file.drop();
    complain("write", path, error);
  }
}

/** As {@link writeAtomicWith}, where making the content takes long: `fill` may let the program hear signals between two pieces. */
export async function writeAtomicSlowly(path: string, fill: (write: (bytes: Uint8Array) => void) => Promise<void>): Promise<void> {
  const file = making(path);
  try {
    file.open();
    await fill(file.write);
    file.finish();
  } catch (error) {
    file.drop();
    complain("write", path, error);
  }
}

/** A temporary file beside a path, which takes its place when it is finished. */
function making(path: string) {
  const folder = dirname(path);
  const temporary = join(folder, unfinishedName(basename(path)));
  let fd: number | undefined;
  return {
    open: (): void => {
      mkdirSync(folder, { recursive: true });
      sweepUnfinished(folder);
      fd = openSync(temporary, "wx");
    },
    write: (bytes: Uint8Array): void => writeAll(fd!, bytes),
    finish: (): void => {
      fsyncSync(fd!);
      closeSync(fd!);
      fd = undefined;
      renameSync(temporary, path);
      syncFolder(folder);
    },
    drop: (): void => {
      if (fd !== undefined) closeSync(fd);
      discard(temporary);
    },
  };
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

/** Bytes of a file that is read in one go, at most: beyond, nothing could be heard for too long. */
const MOST = 1 << 28;

const SHAPES: readonly (readonly [what: string, test: (stat: Stats) => boolean])[] = [
  ["a folder", (stat) => stat.isDirectory()],
  ["a pipe", (stat) => stat.isFIFO()],
  ["a device", (stat) => stat.isCharacterDevice() || stat.isBlockDevice()],
  ["a socket", (stat) => stat.isSocket()],
];

/** Opens a plain file for reading. Anything else is refused before it is opened: a pipe or a device could keep the program waiting for ever. */
function openPlain(path: string, who: string, wanted: string): { readonly fd: number; readonly size: number } {
  let fd: number | undefined;
  try {
    refuseShape(statSync(path), path, who, wanted);
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // it may have become a pipe since
    const stat = fstatSync(fd);
    refuseShape(stat, path, who, wanted);
    return { fd, size: stat.size };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    return complain(who, path, error);
  }
}

function refuseShape(stat: Stats, path: string, who: string, wanted: string): void {
  const shape = SHAPES.find(([, test]) => test(stat))?.[0];
  if (shape !== undefined) fail(who, `${path}: it is ${shape}`, wanted, "Check the path.", "unavailable");
}

export interface Reading {
  /** The most bytes that are taken (256 MiB). */
  readonly most?: number;
  /** What is wanted instead of a folder, a pipe or a device. */
  readonly wanted?: string;
}

/** The bytes of a plain file; refuses one that is too large. */
export function readBytes(path: string, who: string, { most = MOST, wanted = "a plain file" }: Reading = {}): Uint8Array<ArrayBuffer> {
  const { fd, size } = openPlain(path, who, wanted);
  try {
    if (size > most) fail(who, `${path} has ${size} bytes`, `at most ${most}`, "Divide it into several files.", "unavailable");
    const bytes = new Uint8Array(size);
    let done = 0;
    for (let got = 1; got > 0 && done < size; done += got) got = readSync(fd, bytes, done, Math.min(PIECE, size - done), done);
    return bytes.subarray(0, done);
  } catch (error) {
    return complain(who, path, error);
  } finally {
    closeSync(fd);
  }
}

/** The text of a plain file in UTF-8, without its byte order mark. */
export const readUtf8 = (path: string, who: string, reading?: Reading): string => new TextDecoder().decode(readBytes(path, who, reading));

/** Reads a JSON file; errors name the file, the line and the column. A leading byte-order mark is skipped. */
export const readJson = (path: string, who: string, rules?: JsonRules): unknown =>
  parseJson(readUtf8(path, who, { wanted: "JSON" }), path, who, rules);

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
  const { fd, size } = openPlain(path, who, "a plain file");
  let open = true;
  const close = (): void => {
    if (open) closeSync(fd);
    open = false;
  };
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
  return { path, size, read, close };
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
  const { buffer, byteOffset, length } = readBytes(path, "read", { most: 2 * MOST });
  const bytes = Buffer.from(buffer, byteOffset, length);
  const values: unknown[] = [];
  for (let start = 0, end = bytes.indexOf(10); end >= 0; start = end + 1, end = bytes.indexOf(10, start))
    values.push(parseJson(bytes.toString("utf8", start, end), `${path} line ${values.length + 1}`, "read"));
  return values;
}
