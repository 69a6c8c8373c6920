/**
 * The GGUF format, read from disk tensor by tensor.
 * Our own reader, because @huggingface/gguf 0.4.6 is asynchronous and reads zeros past the end of a short file as data. It loads a file of
 * 128 bytes that claims a million tensors as a million tensors (139 MB), accepts a file cut inside its first entry, and throws RangeErrors.
 */
import { type Dtype, type NdArray, bytesPer, sizeOf, zeros } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type OpenFile, type TensorInfo, openAs, readPieces } from "../base/store.ts";
import { BLOCKS, type Block } from "./dequantise.ts";

export interface Gguf {
  /** Names as stored, shapes row-major (the file's dimensions reversed). */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Metadata; 64-bit integers are numbers, rounded beyond 2^53. */
  readonly kv: Readonly<Record<string, unknown>>;
  close(): void;
}

const WHO = "gguf";
const MAX_ELEMENTS = 1 << 22; // of all metadata arrays together: eight times the largest vocabulary with its merges
const MAX_STRING = 1 << 23;
const MAX_HEADER = 1 << 28;

const TYPES: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  30: "BF16",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
};
const PLAIN: Readonly<Record<string, Dtype>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F64: "float64",
  I32: "int32",
  I64: "int64",
};

/** Opens a file and checks every number of its header against the file's size before memory is allocated. */
export function openGguf(path: string): Gguf {
  return openAs(path, WHO, readHeader);
}

const broken = (file: OpenFile, got: string, wanted = "", hint = "Fetch the file again."): never =>
  fail(WHO, `${file.path}: ${got}`, wanted, hint, "unavailable");

interface Cursor {
  readonly file: OpenFile;
  /** Offset of the next byte. */
  at(): number;
  /** A view of the next `n` bytes, until the next call. */
  take(n: number, what: string): DataView;
  /** The next `n` bytes as text. */
  text(n: number, what: string): string;
}

/** Reads forward through one buffer; a range outside the file is refused before memory is allocated. */
function cursorOf(file: OpenFile): Cursor {
  let window = Buffer.alloc(0);
  let start = 0;
  let at = 0;
  /** Moves over the next `n` bytes; their offset in the window. */
  const pass = (n: number, what: string): number => {
    if (n > file.size - at)
      broken(
        file,
        `${what} at byte ${at} needs ${n} bytes of ${file.size - at} left`,
        "a complete file",
        "The download may be incomplete.",
      );
    if (at + n > MAX_HEADER) broken(file, `the metadata is longer than ${MAX_HEADER} bytes`, "at most that");
    if (at + n > start + window.length) {
      window = Buffer.alloc(Math.min(Math.max(n, 1 << 20), file.size - at));
      file.read(at, window);
      start = at;
    }
    at += n;
    return at - n - start;
  };
  const take = (n: number, what: string): DataView => {
    const from = pass(n, what);
    return new DataView(window.buffer, window.byteOffset + from, n);
  };
  const text = (n: number, what: string): string => {
    const from = pass(n, what);
    return window.toString("utf8", from, from + n);
  };
  return { file, at: () => at, take, text };
}

function readHeader(file: OpenFile): Gguf {
  const cursor = cursorOf(file);
  if (file.size < 24 || cursor.take(4, "the magic number").getUint32(0, true) !== 0x46554747)
    broken(file, "it does not begin with GGUF", "a GGUF file");
  const version = cursor.take(4, "the version").getUint32(0, true);
  if (version && !(version & 0xffff))
    broken(file, "its numbers are big-endian", "little-endian", "Convert the model again for this kind of machine.");
  if (version !== 2 && version !== 3)
    broken(file, `version ${version}`, "version 2 or 3", "Convert the model again with a current llama.cpp.");
  const tensorCount = readCount(cursor, "the number of tensors", 24);
  const kvCount = readCount(cursor, "the number of metadata entries", 13);
  const kv = readMetadata(cursor, kvCount);
  const alignment = kv["general.alignment"] ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment > 1 << 16 || !Number.isInteger(Math.log2(alignment)))
    return broken(file, `general.alignment is ${String(alignment).slice(0, 40)}`, "a power of two up to 65536");
  if (Number(kv["split.count"] ?? 1) > 1)
    broken(
      file,
      `it is one of ${String(kv["split.count"])} parts`,
      "one file",
      "Join the parts first: llama-gguf-split --merge FIRST_PART OUT.gguf.",
    );
  const spans: Span[] = [];
  let end = 0;
  for (let i = 0; i < tensorCount; i++) {
    const span = readTensor(cursor, end);
    spans.push(span);
    end = Math.ceil((end + span.bytes) / alignment) * alignment;
  }
  const start = Math.ceil(cursor.at() / alignment) * alignment;
  const tensors = new Map<string, TensorInfo>();
  for (const span of spans) {
    if (tensors.has(span.name)) broken(file, `the tensor ${show(span.name)} is there twice`, "each name once");
    if (start + span.offset + span.bytes > file.size)
      broken(
        file,
        `${show(span.name)} ends at byte ${start + span.offset + span.bytes} of ${file.size}`,
        "a complete file",
        "The download may be incomplete.",
      );
    tensors.set(span.name, tensorAt(file, start, span));
  }
  return { tensors, kv, close: file.close };
}

const show = (name: string): string => JSON.stringify(name.slice(0, 80));

/** A 64-bit count of things that take at least `least` bytes each; refused if they do not fit into the rest of the file. */
function readCount(cursor: Cursor, what: string, least: number): number {
  const count = cursor.take(8, what).getBigUint64(0, true);
  const left = cursor.file.size - cursor.at();
  if (count * BigInt(least) > BigInt(left))
    broken(cursor.file, `${what} is ${count}`, `at most the remaining ${left} bytes`, "The file is damaged or incomplete.");
  return Number(count);
}

function readText(cursor: Cursor, what: string): string {
  const length = readCount(cursor, `the length of ${what}`, 1);
  if (length > MAX_STRING) broken(cursor.file, `${what} has ${length} bytes`, `at most ${MAX_STRING}`);
  return cursor.text(length, what);
}

function readMetadata(cursor: Cursor, count: number): Record<string, unknown> {
  const kv = new Map<string, unknown>();
  const budget = { left: MAX_ELEMENTS };
  for (let i = 0; i < count; i++) {
    const key = readText(cursor, `metadata key ${i}`);
    if (kv.has(key)) broken(cursor.file, `the metadata key ${show(key)} is there twice`, "each key once");
    const type = cursor.take(4, `the type of ${show(key)}`).getUint32(0, true);
    kv.set(key, readValue(cursor, type, show(key), 0, budget));
  }
  return Object.fromEntries(kv);
}

const SCALARS: Readonly<Record<number, readonly [bytes: number, get: (view: DataView) => unknown]>> = {
  0: [1, (v) => v.getUint8(0)],
  1: [1, (v) => v.getInt8(0)],
  2: [2, (v) => v.getUint16(0, true)],
  3: [2, (v) => v.getInt16(0, true)],
  4: [4, (v) => v.getUint32(0, true)],
  5: [4, (v) => v.getInt32(0, true)],
  6: [4, (v) => v.getFloat32(0, true)],
  7: [1, (v) => v.getUint8(0) !== 0],
  10: [8, (v) => Number(v.getBigUint64(0, true))],
  11: [8, (v) => Number(v.getBigInt64(0, true))],
  12: [8, (v) => v.getFloat64(0, true)],
};

function readValue(cursor: Cursor, type: number, what: string, depth: number, budget: { left: number }): unknown {
  const scalar = SCALARS[type];
  if (scalar) return scalar[1](cursor.take(scalar[0], what));
  if (type === 8) return readText(cursor, what);
  if (type !== 9 || depth > 2)
    return broken(cursor.file, `${what} has type ${type}${depth > 2 ? " four lists deep" : ""}`, "a type of GGUF 3");
  const inner = cursor.take(4, what).getUint32(0, true);
  const count = readCount(cursor, `the length of ${what}`, SCALARS[inner]?.[0] ?? 8);
  budget.left -= count;
  if (budget.left < 0) broken(cursor.file, `the metadata lists have more than ${MAX_ELEMENTS} elements at ${what}`, "fewer elements");
  const values: unknown[] = [];
  for (let i = 0; i < count; i++) values.push(readValue(cursor, inner, what, depth + 1, budget));
  return values;
}

interface Span {
  readonly name: string;
  readonly stored: string;
  readonly dtype: Dtype;
  readonly block: Block | undefined;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

function readTensor(cursor: Cursor, expected: number): Span {
  const { file } = cursor;
  const name = readText(cursor, "the name of a tensor");
  const rank = cursor.take(4, "a number of dimensions").getUint32(0, true);
  if (!name || rank < 1 || rank > 4) broken(file, `the tensor ${show(name)} has ${rank} dimensions`, "a name and 1 to 4 dimensions");
  const dims = Array.from({ length: rank }, () => Number(cursor.take(8, "a dimension").getBigUint64(0, true)));
  if (dims.some((n) => n < 1 || n > file.size * 8) || sizeOf(dims) > file.size * 8)
    broken(file, `${show(name)} has dimensions ${dims.join(" x ")}`, "dimensions that fit into the file");
  const code = cursor.take(4, "a type").getUint32(0, true);
  const stored = TYPES[code] ?? `type ${code}`;
  const block = BLOCKS[stored];
  const dtype = block ? "float32" : PLAIN[stored];
  if (!dtype)
    return broken(
      file,
      `${show(name)} is stored as ${stored}`,
      `one of ${[...Object.keys(PLAIN), ...Object.keys(BLOCKS)].join(", ")}`,
      "Use another quantisation of the model, such as Q4_K_M or Q8_0.",
    );
  const row = dims[0] ?? 1;
  if (block && row % block.weights)
    broken(file, `${show(name)} is stored as ${stored} in rows of ${row}`, `rows of a multiple of ${block.weights}`);
  const bytes = block ? (sizeOf(dims) / block.weights) * block.bytes : sizeOf(dims) * bytesPer(dtype);
  const offset = cursor.take(8, "an offset").getBigUint64(0, true);
  if (offset !== BigInt(expected))
    broken(file, `${show(name)} begins at byte ${offset} of the data`, `byte ${expected}, after the tensor before it`);
  return { name, stored, dtype, block, shape: dims.reverse(), offset: expected, bytes };
}

function tensorAt(file: OpenFile, start: number, span: Span): TensorInfo {
  const { name, stored, dtype, block, shape, bytes } = span;
  const pieces = (length?: number): Generator<Uint8Array> => readPieces(file, start + span.offset, bytes, length);
  const read = (): NdArray => {
    const array = zeros(dtype, shape);
    let at = 0; // in weights for blocks, in bytes otherwise
    for (const piece of pieces(block ? block.bytes * 8192 : undefined)) {
      if (block) {
        const blocks = piece.length / block.bytes;
        block.decode(piece, (array.data as Float32Array).subarray(at, at + blocks * block.weights), blocks);
        at += blocks * block.weights;
      } else {
        new Uint8Array(array.data.buffer as ArrayBuffer, at, piece.length).set(piece);
        at += piece.length;
      }
    }
    return array;
  };
  return { name, dtype, shape, stored, bytes, read, raw: () => pieces() };
}
