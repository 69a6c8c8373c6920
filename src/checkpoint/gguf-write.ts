/** The GGUF format, version 3, written to disk tensor by tensor. */
import { asFloats, type NdArray, sizeOf } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Breathe } from "../base/context.ts";
import { windows, writeAtomicSlowly } from "../base/store.ts";
import { toHalf } from "./half.ts";
import { BLOCK_WRITERS } from "./quantise.ts";

/** A value of the metadata, by its type in the file. */
export type MetadataValue =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly int32s: readonly number[] }
  | { readonly float32s: readonly number[] };

/** Metadata by key, in the order of the file. */
export type Metadata = Readonly<Record<string, MetadataValue>>;

/** How a tensor is stored, by ggml's name: its number there, and how many bytes the weights of one block take. */
const TYPES = {
  F32: { id: 0, weights: 1, bytes: 4 },
  F16: { id: 1, weights: 1, bytes: 2 },
  BF16: { id: 30, weights: 1, bytes: 2 },
  Q4_0: { id: 2, ...BLOCK_WRITERS["Q4_0"]! },
  Q4_1: { id: 3, ...BLOCK_WRITERS["Q4_1"]! },
  Q5_0: { id: 6, ...BLOCK_WRITERS["Q5_0"]! },
  Q8_0: { id: 8, ...BLOCK_WRITERS["Q8_0"]! },
  Q4_K: { id: 12, ...BLOCK_WRITERS["Q4_K"]! },
} as const;

export type GgufType = keyof typeof TYPES;

/** A tensor to be written: its shape is row-major, and it is read when its turn comes. */
export interface GgufTensor {
  readonly stored: GgufType;
  readonly shape: readonly number[];
  readonly read: () => NdArray;
}

const WHO = "gguf";
const ALIGNMENT = 32;
const padded = (size: number): number => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** The type in which a matrix is stored whose rows have this length: Q4_K needs 256 weights a block, and the others 32. */
export function typeForRows(wanted: GgufType, row: number): GgufType {
  if (row % TYPES[wanted].weights === 0) return wanted;
  return row % TYPES.Q5_0.weights === 0 ? "Q5_0" : "F16";
}

/** The bytes of a tensor in the file. */
const bytesOf = ({ stored, shape }: GgufTensor): number => (sizeOf(shape) / TYPES[stored].weights) * TYPES[stored].bytes;

/**
 * Writes a file atomically; equal input gives equal bytes. Only one tensor is in memory at a time. Refuses rows that the blocks of a type do not
 * divide, and values that a type cannot hold. Between two pieces it calls `breathe`, so that signals are heard; `told` gets the tensors done.
 */
export async function writeGguf(
  path: string,
  metadata: Metadata,
  tensors: ReadonlyMap<string, GgufTensor>,
  { breathe, told }: { readonly breathe?: Breathe; readonly told?: (done: number) => void } = {},
): Promise<void> {
  for (const [name, { stored, shape }] of tensors)
    if (shape.at(-1)! % TYPES[stored].weights !== 0)
      fail(WHO, `"${name}" in rows of ${shape.at(-1)!} as ${stored}`, `rows of a multiple of ${TYPES[stored].weights}`, "", "internal");
  const header = headerOf(metadata, tensors);
  await writeAtomicSlowly(path, async (write) => {
    write(header);
    let done = 0;
    for (const [name, tensor] of tensors) {
      let written = 0;
      for (const piece of encoded(name, tensor)) {
        write(piece);
        written += piece.byteLength;
        await breathe?.();
      }
      if (written !== bytesOf(tensor)) fail(WHO, `${written} bytes of "${name}"`, `${bytesOf(tensor)}`, "", "internal");
      write(new Uint8Array(padded(written) - written));
      told?.(++done);
    }
  });
}

function headerOf(metadata: Metadata, tensors: ReadonlyMap<string, GgufTensor>): Uint8Array {
  const out = writer();
  out.text("GGUF");
  out.uint32(3);
  out.uint64(tensors.size);
  out.uint64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.string(key);
    putValue(out, value);
  }
  let offset = 0;
  for (const [name, tensor] of tensors) {
    out.string(name);
    out.uint32(tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) out.uint64(size);
    out.uint32(TYPES[tensor.stored].id);
    out.uint64(offset);
    offset += padded(bytesOf(tensor));
  }
  return out.done();
}

/** Numbers of GGUF's types of values. */
const KIND = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, list: 9 };

function putValue(out: Writer, value: MetadataValue): void {
  const list = <T>(kind: number, items: readonly T[], put: (item: T) => void): void => {
    out.uint32(KIND.list);
    out.uint32(kind);
    out.uint64(items.length);
    items.forEach(put);
  };
  if ("strings" in value) return list(KIND.string, value.strings, out.string);
  if ("int32s" in value) return list(KIND.int32, value.int32s, out.uint32);
  if ("float32s" in value) return list(KIND.float32, value.float32s, out.float32);
  const [type] = Object.keys(value) as ["uint32" | "float32" | "bool" | "string"];
  out.uint32(KIND[type]);
  if ("uint32" in value) out.uint32(value.uint32);
  else if ("float32" in value) out.float32(value.float32);
  else if ("bool" in value) out.byte(Number(value.bool));
  else out.string(value.string);
}

interface Writer {
  readonly text: (text: string) => void;
  readonly byte: (value: number) => void;
  readonly uint32: (value: number) => void;
  readonly uint64: (value: number) => void;
  readonly float32: (value: number) => void;
  /** A text behind its length. */
  readonly string: (text: string) => void;
  /** Everything so far, padded to the alignment. */
  readonly done: () => Uint8Array;
}

/** Collects little-endian values in a buffer that grows. */
function writer(): Writer {
  let buffer = Buffer.alloc(1 << 16);
  let at = 0;
  const room = (bytes: number): number => {
    if (at + bytes > buffer.length) buffer = Buffer.concat([buffer, Buffer.alloc(Math.max(buffer.length, bytes))]);
    at += bytes;
    return at - bytes;
  };
  const text = (value: string): void => {
    const bytes = Buffer.from(value, "utf8");
    const place = room(bytes.length); // before the buffer is named: it may be another one then
    buffer.set(bytes, place);
  };
  const put = (bytes: number, set: (place: number) => void): void => set(room(bytes));
  const uint64 = (value: number): void => put(8, (place) => buffer.writeBigUInt64LE(BigInt(value), place));
  return {
    text,
    byte: (value) => put(1, (place) => buffer.writeUInt8(value, place)),
    uint32: (value) => put(4, (place) => buffer.writeUInt32LE(value >>> 0, place)),
    uint64,
    float32: (value) => put(4, (place) => buffer.writeFloatLE(value, place)),
    string: (value) => {
      uint64(Buffer.byteLength(value, "utf8"));
      text(value);
    },
    done: () => {
      room(padded(at) - at);
      return buffer.subarray(0, at);
    },
  };
}

/** Weights that are converted at a time: a multiple of every block. */
const PIECE = 1 << 20;

/** A tensor's bytes in pieces; each piece is overwritten by the next. */
function* encoded(name: string, { stored, shape, read }: GgufTensor): Generator<Uint8Array> {
  const array = read();
  if (array.shape.join() !== shape.join())
    fail(WHO, `"${name}" of shape [${array.shape.join(", ")}]`, `[${shape.join(", ")}], as announced`, "", "internal");
  const same = { F32: "float32", F16: "float16", BF16: "bfloat16" }[stored as string];
  if (array.dtype === same) return yield* windows(array);
  const { data } = asFloats(array, "float32") as NdArray & { data: Float32Array };
  const { weights, bytes } = TYPES[stored];
  const block = BLOCK_WRITERS[stored];
  const buffer = new Uint8Array((Math.min(PIECE, data.length) / weights) * bytes);
  for (let at = 0; at < data.length; at += PIECE) {
    const part = data.subarray(at, at + PIECE);
    if (block) {
      const out = buffer.subarray(0, (part.length / weights) * bytes);
      refuseUnheld(name, stored, part);
      block.encode(part, out, part.length / weights);
      yield out;
    } else if (stored === "F32") yield new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    else {
      const half = toHalf(part, stored === "F16" ? "float16" : "bfloat16");
      refuseInfinite(name, stored, part, half);
      yield new Uint8Array(half.buffer);
    }
  }
}

/** The largest finite float16: what every block format can hold. */
const LARGEST = 65504;

/** Refuses what a block format cannot hold: values that are no numbers, and those that are too large. */
function refuseUnheld(name: string, stored: GgufType, part: Float32Array): void {
  const found = part.find((value) => !(Math.abs(value) <= LARGEST));
  if (found !== undefined) refuse(name, stored, found);
}

function refuseInfinite(name: string, stored: GgufType, part: Float32Array, half: Uint16Array): void {
  const infinite = stored === "F16" ? 0x7c00 : 0x7f80;
  const at = half.findIndex((bits, i) => (bits & 0x7fff) === infinite && Number.isFinite(part[i]));
  if (at >= 0) refuse(name, stored, part[at]!);
}

const refuse = (name: string, stored: GgufType, value: number): never =>
  fail("export", `"${name}" holds ${value}`, `values that ${stored} can hold`, "Use --dtype float32 or --dtype bfloat16.");
