/** How the cache writes values: JSON, rows of JSONL, safetensors arrays. A value is read back exactly as it was written. A damaged file is refused. */
import { isDeepStrictEqual } from "node:util";
import { crc32 } from "node:zlib";
import type { z } from "zod";
import type { Dtype, NdArray } from "./array.ts";
import { fail } from "./fail.ts";
import { readUtf8, writeAtomic } from "./files.ts";
import { canonical } from "./hash.ts";
import { isRecord, parseJson } from "./json.ts";
import { openSafetensors, windows, writeSafetensors } from "./safetensors.ts";

/** A way to keep values of one type in a file. */
export interface Codec<T> {
  /** Its name, its version and what it holds: part of every key, so that nothing that was written otherwise is found. */
  readonly id: string;
  /** The end of the file's name, without a dot. */
  readonly ends: string;
  /** Writes the whole file or nothing. Refuses a value that it would not give back as it is. */
  write(path: string, value: T): void;
  /** Refuses a file that is damaged. */
  read(path: string): T;
}

const WHO = "cache";

const damaged = (path: string, how: string): never => fail(WHO, `${path} ${how}`, "what was written", "", "unavailable");

/** One JSON value of a schema. */
export const json = <T>(schema: z.ZodType<T>): Codec<T> => ({
  id: "json/1",
  ends: "json",
  write: (path, value) => writeRows(path, [value], schema),
  read: (path) => {
    const rows = readRows(path, schema);
    return rows.length === 1 ? rows[0]! : damaged(path, `holds ${rows.length} values`);
  },
});

/** Rows of a schema, one JSON value a line. */
export const lines = <T>(schema: z.ZodType<T>): Codec<readonly T[]> => ({
  id: "lines/1",
  ends: "jsonl",
  write: (path, rows) => writeRows(path, rows, schema),
  read: (path) => readRows(path, schema),
});

/** A line with the checksum of the others, then one line a row. */
function writeRows<T>(path: string, rows: readonly T[], schema: z.ZodType<T>): void {
  const texts = rows.map((row) => JSON.stringify(row) ?? "");
  for (const [i, text] of texts.entries())
    if (text === "" || !isDeepStrictEqual(schema.safeParse(JSON.parse(text)).data, rows[i]))
      fail(WHO, `value ${i + 1} for ${path} is ${text.slice(0, 80) || "nothing"} as JSON`, "a value that JSON gives back", "", "internal");
  const body = texts.map((text) => `${text}\n`).join("");
  writeAtomic(path, `${JSON.stringify({ rows: rows.length, sum: crc32(body) })}\n${body}`);
}

function readRows<T>(path: string, schema: z.ZodType<T>): T[] {
  const text = readUtf8(path, WHO);
  const start = text.indexOf("\n") + 1;
  const head = parseJson(text.slice(0, start), `the first line of ${path}`, WHO);
  const body = text.slice(start);
  if (!isRecord(head) || head["sum"] !== crc32(body)) damaged(path, "does not agree with its checksum");
  return body
    .split("\n")
    .slice(0, -1)
    .map((line, i) => {
      const { success, data } = schema.safeParse(JSON.parse(line));
      return success ? data : damaged(path, `holds something else in row ${i + 1}`);
    });
}

/** Arrays by name, each of one dtype. */
export const arrays = <K extends string>(dtypes: Readonly<Record<K, Dtype>>): Codec<Readonly<Record<K, NdArray>>> => {
  const id = `arrays/1 ${canonical(dtypes)}`;
  const names = Object.keys(dtypes) as K[];
  return {
    id,
    ends: "safetensors",
    write: (path, value) => {
      for (const name of names)
        if (value[name].dtype !== dtypes[name]) fail(WHO, `${name} of type ${value[name].dtype} for ${path}`, dtypes[name], "", "internal");
      const held = names.map((name): [K, NdArray] => [name, value[name]]);
      writeSafetensors(path, held, { kept: id, sum: sumOf(held) });
    },
    read: (path) => {
      const { tensors, metadata, close } = openSafetensors(path);
      try {
        if (metadata["kept"] !== id || tensors.size !== names.length) damaged(path, "holds something else");
        const held = names.map((name): [K, NdArray] => [name, (tensors.get(name) ?? damaged(path, `lacks ${name}`)).read()]);
        if (metadata["sum"] !== sumOf(held)) damaged(path, "does not agree with its checksum");
        return Object.fromEntries(held) as Record<K, NdArray>;
      } finally {
        close();
      }
    },
  };
};

/** A checksum of names, shapes and numbers. */
function sumOf(held: readonly (readonly [name: string, array: NdArray])[]): string {
  let sum = 0;
  for (const [name, array] of held) {
    sum = crc32(canonical([name, array.dtype, array.shape]), sum);
    for (const piece of windows(array)) sum = crc32(piece, sum);
  }
  return String(sum);
}
