/** Opens a log by its path: finds its format and reads its rows. */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { complain } from "../base/errno.ts";
import { fail } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import { parseJson } from "../base/json.ts";
import { parseRecords, readText } from "../data/records.ts";
import type { LogFile, LogFormat } from "./logs/log.ts";
import { registry } from "./logs/registry.ts";
import type { SampleRecord } from "./metric.ts";

/** A log that was read. */
export interface Log {
  /** Its file's or folder's name without the extension. */
  readonly name: string;
  readonly path: string;
  readonly format: LogFormat;
  /** A hash of the text of its files, which a copy under another name shares. */
  readonly hash: Hash;
  readonly rows: readonly SampleRecord[];
  readonly notes: readonly string[];
  readonly omitted: Readonly<Record<string, number>>;
  readonly stated: Readonly<Record<string, number>>;
}

const WHO = "log";
const FORMATS: readonly LogFormat[] = Object.values(registry);

/** Reads the log at a path (a file or a folder of files) in any known format; refuses unknown formats and logs without rows. */
export function openLog(path: string): Log {
  const opened = pathsOf(path).map((file) => {
    const text = readText(file).replace(/^\uFEFF/, "");
    return { text, file: parsed(file, text) };
  });
  const format = FORMATS.find(({ claims }) => opened.some(({ file }) => claims(file)));
  if (!format)
    fail(
      path,
      "its content matches no known format",
      `a log of ${FORMATS.map(({ title }) => title).join(", ")}`,
      `Known formats are ${FORMATS.map(({ title, doc }) => `${title} (${doc})`).join("; ")}.`,
    );
  const own = opened.filter(({ file }) => format.claims(file));
  const { rows, notes = [], omitted = {}, stated = {} } = format.read(own.map(({ file }) => file));
  if (rows.length === 0) fail(path, "it has no rows", "at least one", "The run that wrote it has evaluated nothing.");
  return {
    name: basename(path).replace(/\.jsonl?$/, ""),
    path,
    format,
    hash: hash(...own.map(({ text }) => text)),
    rows,
    notes,
    omitted,
    stated,
  };
}

/** The files of a log, in the order of their names. */
function pathsOf(path: string): string[] {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    complain(WHO, path, error);
  }
  if (!isFolder) return [path];
  const found = readdirSync(path).filter((name) => /\.jsonl?$/.test(name));
  if (found.length === 0) fail(path, "the folder has no JSON", "a log, or a folder with one", "Check the path.", "unavailable");
  return found.sort().map((name) => join(path, name));
}

/** Lines for `.jsonl`, else one value, which may contain NaN and Infinity without quotes. */
function parsed(path: string, text: string): LogFile {
  const name = basename(path);
  if (name.endsWith(".jsonl")) return { name, lines: parseRecords(text, name) };
  return { name, value: parseJson(text, name, WHO, { nonFinite: true }) };
}
