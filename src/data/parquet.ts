/** Rows of a parquet file, decoded in a separate process, because a damaged page can need unlimited time or memory. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { checkAbort, environment } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { openFile } from "../base/store.ts";
import type { Located } from "./records.ts";

/** Time and memory limits for reading one file. */
export interface ParquetLimits {
  readonly seconds: number;
  readonly megabytes: number;
}

export interface ParquetReader {
  /** The rows of a file; refuses a damaged file, an unsupported compression, and a file beyond the limits. */
  read(path: string, name?: string): Promise<Located[]>;
  close(): void;
}

/** The rows of one parquet file. */
export async function readParquet(path: string, name?: string, signal?: AbortSignal): Promise<Located[]> {
  const reader = openParquet();
  const stop = (): void => reader.close();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    return await reader.read(path, name);
  } catch (error) {
    if (signal?.aborted) checkAbort({ signal }, "data");
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    reader.close();
  }
}

/** The program of the other process: it receives a path and sends rows, some thousands at a time. */
const PROGRAM = `
import { readFileSync } from "node:fs";
import * as zlib from "node:zlib";
const { parquetReadObjects } = await import(process.argv[1]);
const compressors = { GZIP: (b) => zlib.gunzipSync(b), BROTLI: (b) => zlib.brotliDecompressSync(b) };
if (zlib.zstdDecompressSync) compressors.ZSTD = (b) => zlib.zstdDecompressSync(b);
process.on("message", async (path) => {
  try {
    const { buffer, byteOffset, length } = readFileSync(path);
    const rows = await parquetReadObjects({ file: buffer.slice(byteOffset, byteOffset + length), compressors });
    for (let at = 0; at < rows.length; at += 5000) process.send({ rows: rows.slice(at, at + 5000) });
    process.send({ count: rows.length });
  } catch (error) {
    process.send({ error: String(error?.message ?? error) });
  }
});
process.on("disconnect", () => process.exit());
`;

type Told = { readonly rows: readonly object[] } | { readonly count: number } | { readonly error: string };

/** Opens a reader for several files, one at a time; its process starts on first use. */
export function openParquet(limits: Partial<ParquetLimits> = {}): ParquetReader {
  let child: (ChildProcess & { megabytes?: number }) | undefined;
  const close = (): void => {
    child?.kill("SIGKILL");
    child = undefined;
  };
  return {
    close,
    async read(path, name = basename(path)) {
      const size = sizeOf(path, name);
      const { seconds = 30 + size / 1e6, megabytes = Math.ceil(512 + (30 * size) / 1e6) } = limits;
      if (child && child.megabytes! < megabytes) close();
      child ??= Object.assign(start(megabytes), { megabytes });
      const rows = await ask(child, path, seconds);
      if (rows === "time" || rows === "memory") close(); // the next file has a new process
      if (typeof rows === "string") refuse(name, rows, { seconds, megabytes });
      if (rows.length === 0) fail(name, "it has no rows", "at least one", "");
      return rows.map((value, i) => ({ value: plain(value), at: i + 1, place: `${name} row ${i + 1}` }));
    },
  };
}

function start(megabytes: number): ChildProcess {
  const decoder = pathToFileURL(createRequire(import.meta.url).resolve("hyparquet")).href;
  const child = spawn(process.execPath, [`--max-old-space-size=${megabytes}`, "--input-type=module", "--eval", PROGRAM, decoder], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    serialization: "advanced",
    env: { ...environment(), NODE_OPTIONS: "" },
  });
  child.unref();
  return child;
}

/** The result of the process: the rows of a file or an error; "time" or "memory" if a limit was exceeded. */
function ask(child: ChildProcess, path: string, seconds: number): Promise<object[] | string> {
  return new Promise((done) => {
    const rows: object[] = [];
    const end = (result: object[] | string): void => {
      clearTimeout(timer);
      child.off("message", hear);
      child.off("exit", gone);
      child.off("error", gone);
      done(result);
    };
    const gone = (): void => end("memory");
    const hear = (message: unknown): void => {
      const told = message as Told;
      if ("rows" in told) for (const row of told.rows) rows.push(row);
      else end("error" in told ? told.error : rows);
    };
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      end("time");
    }, 1000 * seconds);
    child.on("message", hear).once("exit", gone).once("error", gone);
    child.send(resolve(path), (error) => error && gone());
  });
}

function refuse(name: string, why: string, { seconds, megabytes }: ParquetLimits): never {
  const wanted = "a parquet file";
  if (why === "time") fail(name, `reading it took longer than ${Math.round(seconds)} s`, wanted, "It may be damaged; write it again.");
  if (why === "memory")
    fail(name, `reading it took more than ${megabytes} MB`, wanted, "It may be damaged; write it again, or as smaller files.");
  const codec = /compression codec: (\w+)/.exec(why)?.[1];
  if (codec) fail(name, `its pages are compressed with ${codec}`, "SNAPPY, GZIP or no compression", "Write it again with one of these.");
  fail(name, `it cannot be decoded (${why.replace(/^parquet /, "")})`, wanted, "It may be damaged; download or write it again.");
}

/** The size of a file that begins and ends like parquet. */
function sizeOf(path: string, name: string): number {
  const file = openFile(path, "data");
  try {
    const ends = Buffer.alloc(8);
    if (file.size >= 12) {
      file.read(0, ends.subarray(0, 4));
      file.read(file.size - 4, ends.subarray(4));
    }
    if (ends.toString("latin1") !== "PAR1PAR1")
      fail(
        name,
        file.size < 12 ? `it has ${file.size} bytes` : "it does not begin and end with PAR1",
        "a complete parquet file",
        "Download or write it again.",
      );
    return file.size;
  } finally {
    file.close();
  }
}

/** Decoded values as plain JSON: large whole numbers as text, dates in ISO format, nulls removed. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "" : value.toISOString();
  if (value instanceof Uint8Array) return { bytes: value.length };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === null || item === undefined ? [] : [[key, plain(item)]])),
  );
}
