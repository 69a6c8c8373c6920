/** The safetensors format: read one tensor at a time from disk, write as a stream. */
import { type Dtype, type NdArray, bytesPer, ndarray, sizeOf, zeros } from "./array.ts";
import { fail } from "./fail.ts";
import { type OpenFile, openAs, writeAtomicWith } from "./files.ts";
import { isRecord, parseJson } from "./json.ts";

/** A tensor on disk, before it is read. */
export interface TensorInfo {
  readonly name: string;
  /** The type that {@link read} returns. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The format's own name of the stored type: F32, BF16, Q4_1, … */
  readonly stored: string;
  /** Bytes it takes on disk. */
  readonly bytes: number;
  /** Reads only this tensor, into new memory. */
  read(): NdArray;
  /** The stored bytes in pieces; each piece is overwritten by the next. */
  raw(): Iterable<Uint8Array>;
}

export interface Safetensors {
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Record<string, string>;
  close(): void;
}

/** What a writer needs before it reads the numbers: an NdArray or a TensorInfo. */
export type Writable = NdArray | { readonly dtype: Dtype; readonly shape: readonly number[]; read(): NdArray };

const WHO = "safetensors";
const MAX_HEADER = 100_000_000; // the limit of the safetensors library
const DTYPES: ReadonlyMap<string, Dtype> = new Map([
  ["F64", "float64"],
  ["F32", "float32"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I64", "int64"],
  ["I32", "int32"],
  ["U8", "uint8"],
  ["BOOL", "bool"],
]);
const NAMES = new Map([...DTYPES].map(([stored, dtype]) => [dtype, stored]));

/** Opens a file and checks its whole header. Sizes in the header are checked against the file before memory is allocated. */
export function openSafetensors(path: string): Safetensors {
  return openAs(path, WHO, readHeader);
}

/** The whole content of a small file. */
export function readSafetensors(path: string): { tensors: Map<string, NdArray>; metadata: Safetensors["metadata"] } {
  const { tensors, metadata, close } = openSafetensors(path);
  try {
    return { tensors: new Map([...tensors].map(([name, t]) => [name, t.read()])), metadata };
  } finally {
    close();
  }
}

const broken = (file: OpenFile, got: string, wanted = "", hint = "Download or write the file again."): never =>
  fail(WHO, `${file.path}: ${got}`, wanted, hint, "unavailable");

function readHeader(file: OpenFile): Safetensors {
  if (file.size < 10) broken(file, `it has ${file.size} bytes`, "a header");
  const lead = new Uint8Array(9);
  file.read(0, lead);
  const length = new DataView(lead.buffer).getBigUint64(0, true);
  refusePickle(file, lead);
  if (length > BigInt(MAX_HEADER) || Number(length) > file.size - 8)
    broken(
      file,
      `the header claims ${length} bytes of a file of ${file.size}`,
      "a header inside the file",
      "The download may be incomplete.",
    );
  if (lead[8] !== 0x7b) broken(file, "the header does not begin with {", "a JSON object");
  const bytes = new Uint8Array(Number(length));
  file.read(8, bytes);
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    broken(file, "the header is not UTF-8");
  }
  const header = parseJson(text, `the header of ${file.path}`, WHO, { unique: true });
  if (!isRecord(header)) return broken(file, "the header is not a JSON object");
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== "string"))
    return broken(file, "__metadata__ is not a map of strings to strings");
  const start = 8 + bytes.length;
  const spans = Object.entries(entries).map(([name, entry]) => checkEntry(file, name, entry));
  checkTiling(file, spans, file.size - start);
  return {
    tensors: new Map(spans.map((span) => [span.name, tensorAt(file, start, span)])),
    metadata: metadata as Record<string, string>,
    close: file.close,
  };
}

function refusePickle(file: OpenFile, lead: Uint8Array): void {
  if ((lead[0] === 0x50 && lead[1] === 0x4b) || (lead[0] === 0x80 && lead[1]! < 6 && lead[8] !== 0x7b))
    broken(file, "it is a pickle, which can run code when it is loaded", "safetensors", PICKLE_ADVICE);
}

/** The hint for weights stored as a pickle. */
export const PICKLE_ADVICE =
  "In Python, save it again: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder, safe_serialization=True).";

interface Span {
  readonly name: string;
  readonly stored: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

function checkEntry(file: OpenFile, name: string, entry: unknown): Span {
  const label = `tensor ${JSON.stringify(name.slice(0, 200))}`;
  if (!isRecord(entry)) return broken(file, `${label} is not an object`, "dtype, shape and data_offsets");
  const { dtype: stored, shape, data_offsets: offsets } = entry;
  if (typeof stored !== "string") return broken(file, `${label} has no dtype`);
  const dtype = DTYPES.get(stored);
  if (!dtype)
    return broken(
      file,
      `${label} is stored as ${stored.slice(0, 40)}`,
      `one of ${[...DTYPES.keys()].join(", ")}`,
      "Convert it to F16, BF16 or F32.",
    );
  if (!isCounts(shape)) return broken(file, `the shape of ${label} is ${brief(shape)}`, "whole numbers from 0 up");
  if (!isCounts(offsets) || offsets.length !== 2)
    return broken(file, `the data_offsets of ${label} are ${brief(offsets)}`, "two whole numbers");
  const [from, to] = offsets as [number, number];
  const bytes = sizeOf(shape) * bytesPer(dtype);
  if (to - from !== bytes)
    return broken(file, `${label} of type ${stored} and shape ${brief(shape)} has ${to - from} bytes`, `${bytes} bytes`);
  return { name, stored, dtype, shape, from, to };
}

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => typeof n === "number" && Number.isSafeInteger(n) && n >= 0);

const brief = (value: unknown): string => (JSON.stringify(value) ?? "missing").slice(0, 80);

/** Every byte after the header belongs to exactly one tensor, as in the safetensors library. */
function checkTiling(file: OpenFile, spans: readonly Span[], size: number): void {
  let end = 0;
  let last = "the header";
  for (const span of [...spans].sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (span.from !== end)
      broken(
        file,
        `${JSON.stringify(span.name)} begins at byte ${span.from}, ${span.from < end ? "inside" : "with a hole after"} ${last}`,
        `byte ${end}`,
      );
    if (span.to > size)
      broken(
        file,
        `${JSON.stringify(span.name)} ends at byte ${span.to} of ${size}`,
        "data inside the file",
        "The download may be incomplete.",
      );
    [end, last] = [span.to, JSON.stringify(span.name)];
  }
  if (end !== size) broken(file, `${size - end} bytes after the last tensor belong to no tensor`);
}

function tensorAt(file: OpenFile, start: number, span: Span): TensorInfo {
  const { name, stored, dtype, shape, from, to } = span;
  const read = (): NdArray => {
    const array = zeros(dtype, shape);
    for (const piece of windows(array)) file.read(start + from + (piece.byteOffset - array.data.byteOffset), piece);
    return array;
  };
  return { name, dtype, shape, stored, bytes: to - from, read, raw: () => readPieces(file, start + from, to - from) };
}

/** The bytes of part of a file, in pieces that share one buffer of at most 4 MiB. */
export function* readPieces(file: OpenFile, at: number, length: number, piece = 1 << 22): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(piece, length));
  for (let done = 0; done < length; done += buffer.length) {
    const part = buffer.subarray(0, Math.min(buffer.length, length - done));
    file.read(at + done, part);
    yield part;
  }
}

/** Views of an array's bytes, 64 MiB each: one view of them all may be longer than Node allows. */
export function* windows(array: NdArray): Generator<Uint8Array> {
  const { buffer, byteOffset, byteLength } = array.data;
  for (let at = 0; at < byteLength; at += 1 << 26)
    yield new Uint8Array(buffer as ArrayBuffer, byteOffset + at, Math.min(1 << 26, byteLength - at));
}

/**
 * Writes tensors atomically; equal input gives equal bytes. Names keep their order in the header. The data are sorted by element size, widest
 * first, so that all are aligned. With `read` functions instead of arrays, only one tensor is in memory at a time.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [name: string, tensor: Writable]>,
  metadata: Record<string, string> = {},
): void {
  const items = [...tensors];
  const laid = [...items].sort(([, a], [, b]) => bytesPer(b.dtype) - bytesPer(a.dtype));
  const spans = new Map<string, readonly [number, number]>();
  let end = 0;
  for (const [name, { dtype, shape }] of laid) {
    if (spans.has(name) || name === "__metadata__") fail(WHO, `the name ${JSON.stringify(name)} twice`, "each name once", "", "internal");
    spans.set(name, [end, (end += sizeOf(shape) * bytesPer(dtype))]);
  }
  const sorted = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = items.map(([name, { dtype, shape }]) => [name, { dtype: NAMES.get(dtype), shape, data_offsets: spans.get(name) }] as const);
  const members = [...(sorted.length ? [["__metadata__", Object.fromEntries(sorted)] as const] : []), ...lines];
  const json = new TextEncoder().encode(`{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`);
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  writeAtomicWith(path, (write) => {
    write(header);
    for (const [name, tensor] of laid) {
      const array = "read" in tensor ? tensor.read() : tensor;
      if (array.dtype !== tensor.dtype)
        fail(WHO, `${name} was announced as ${tensor.dtype} and read as ${array.dtype}`, "the same", "", "internal");
      for (const piece of windows(ndarray(array.dtype, tensor.shape, array.data))) write(piece);
    }
  });
}
