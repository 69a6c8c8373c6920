/** The folder of one run: its lock, its unfinished work, its record, and how its files go out. Everything is whole or not there. */
import {
  copyFileSync,
  createReadStream,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fail } from "../base/fail.ts";
import { complain, isAlive, lockFile, readJson, writeAtomic } from "../base/store.ts";
import type { Layout, RunRecord, RunTimings } from "./record.ts";

export const [RECORD, SPEC, TIMINGS, LOCK, WORK] = ["record.json", "spec.json", "timings.json", "lock", "work"];
const OWN: readonly string[] = [RECORD, SPEC, TIMINGS, LOCK, WORK];

/** A run's folder while the run holds its lock. */
export interface RunFolder {
  readonly path: string;
  /** The path of a file or folder that the step makes; it must appear whole. */
  at(name: string): string;
  /** A path for unfinished work, which stays when the run is stopped and goes when it succeeds. */
  work(name: string): string;
  /** Moves finished work to its name among the results. */
  finish(workName: string, name: string): void;
}

/** The record of a run, or undefined where there is none that can be read. */
export function recordIn(path: string): RunRecord | undefined {
  const file = join(path, RECORD);
  return existsSync(file) ? (readJson(file, "runs") as RunRecord) : undefined;
}

export function timingsIn(path: string): RunTimings | undefined {
  const file = join(path, TIMINGS);
  return existsSync(file) ? (readJson(file, "runs") as RunTimings) : undefined;
}

const asText = (value: object): string => `${JSON.stringify(value, null, 1)}\n`;

/** Takes a run's folder for one process; temporary files of dead processes go. Fails as `unavailable` while another process works there. */
export function holdFolder(path: string, who: string): { readonly folder: RunFolder; readonly release: () => void } {
  make(path);
  const release = lockFile(join(path, LOCK), who);
  sweepTemporary(path);
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

/** Removes unfinished work. */
export const clearWork = (path: string): void => rmSync(join(path, WORK), { recursive: true, force: true });

/** The files that a step made, below the run's folder, in order. */
export const outputsIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .filter((name) => !OWN.includes(name.split(/[\\/]/)[0]!) && !name.endsWith(".tmp"))
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

const HOST = hostname().replace(/[^\w-]/g, "_");
const MARK = new RegExp(`\\.${HOST}\\.(\\d+)\\.\\d*\\.?(?:tmp|part)$`);

/** Removes what killed processes of this machine left half-written in a folder, for one target or for all. */
function sweepTemporary(folder: string, of = ""): void {
  for (const name of readdirSync(folder)) {
    const pid = name.startsWith(`.${of}`) ? MARK.exec(name)?.[1] : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** Where each file of a layout goes below `-o`; "" is the path itself. */
function placed(path: string, layout: Layout): [from: string, to: string][] {
  if ("file" in layout) return [[layout.file, ""]];
  if ("files" in layout) return Object.entries(layout.files).map(([to, from]) => [from, to]);
  const root = join(path, layout.folder);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const name = join(entry.parentPath, entry.name).slice(root.length + 1);
      return [join(layout.folder, name), name];
    });
}

/** Refuses an output path that holds something else than this run's result; `force` allows what is there to be replaced. */
export async function refuseOccupied(out: string, record: RunRecord | undefined, path: string, force: boolean, who: string): Promise<void> {
  if (force || !existsSync(out) || (statSync(out).isDirectory() && readdirSync(out).length === 0)) return;
  if (record?.status === "success" && record.layout && (await isPublished(out, record, path))) return;
  fail(who, `${out} is there already`, "a new name", "Choose another, or replace it with --force.");
}

/** Whether `out` holds exactly the result of a finished run. */
async function isPublished(out: string, record: RunRecord, path: string): Promise<boolean> {
  const files = placed(path, record.layout!);
  const there = statSync(out).isDirectory()
    ? readdirSync(out, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).length
    : 1;
  if (there !== files.length) return false;
  for (const [from, to] of files) {
    const file = to === "" ? out : join(out, to);
    if (!existsSync(file) || !lstatSync(file).isFile() || (await hashFile(file)) !== record.outputs[from.replaceAll("\\", "/")])
      return false;
  }
  return true;
}

/** Puts a finished run's files at `out`: linked where the file system can, otherwise copied; whole or not at all. */
export function publish(path: string, layout: Layout, out: string): void {
  put(path, layout, out);
  for (const [suffix, folder] of "folder" in layout ? Object.entries(layout.beside ?? {}) : []) put(path, { folder }, `${out}${suffix}`);
}

function put(path: string, layout: Layout, out: string): void {
  const target = resolve(out);
  const folder = dirname(target);
  const making = join(folder, `.${basename(target)}.${HOST}.${process.pid}.part`);
  try {
    mkdirSync(folder, { recursive: true });
    sweepTemporary(folder, basename(target));
    rmSync(making, { recursive: true, force: true });
    for (const [from, to] of placed(path, layout)) {
      const place = to === "" ? making : join(making, to);
      mkdirSync(dirname(place), { recursive: true });
      linkOrCopy(join(path, from), place);
    }
    rmSync(target, { recursive: true, force: true });
    renameSync(making, target);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    complain("write", out, error);
  }
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to); // another file system, or one without links
  }
}
