/** Concrete tensors: a dtype, a shape and the numbers, row-major. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { fail } from "./fail.ts";

export type Dtype = "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "uint8" | "bool";
export type Data = Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array;

/** Numbers with a shape; float16 and bfloat16 hold their bits in a Uint16Array, bool one byte each. */
export interface NdArray {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: Data;
}

const CONSTRUCTORS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Bytes one element takes. */
export const bytesPer = (dtype: Dtype): number => CONSTRUCTORS[dtype].BYTES_PER_ELEMENT;

/** The product of a shape. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A zeroed array. */
export const zeros = (dtype: Dtype, shape: readonly number[]): NdArray => ({
  dtype,
  shape,
  data: new CONSTRUCTORS[dtype](sizeOf(shape)),
});

/** Wraps numbers; fails when their count is not the shape's product. */
export function ndarray(dtype: Dtype, shape: readonly number[], data: Data): NdArray {
  if (data.length !== sizeOf(shape))
    fail("ndarray", `${data.length} numbers for shape [${shape.join(", ")}]`, `${sizeOf(shape)}`, "", "internal");
  return { dtype, shape, data };
}

/** A floating array from plain numbers. */
export const floats = (
  values: ArrayLike<number>,
  shape: readonly number[] = [values.length],
  dtype: "float32" | "float64" = "float32",
): NdArray => ndarray(dtype, shape, dtype === "float32" ? Float32Array.from(values) : Float64Array.from(values));

/** An int64 array from plain integers. */
export const ints = (values: ArrayLike<number>, shape: readonly number[] = [values.length]): NdArray =>
  ndarray("int64", shape, BigInt64Array.from(Array.from(values, (v) => BigInt(v))));

const ASIDE = "setAside";

/** An array that `read` returns: now, and again at the next access after {@link setAside}. */
export function rereadable(read: () => NdArray): NdArray {
  const { dtype, shape, data } = read();
  let kept: Data | undefined = data;
  const array: NdArray = {
    dtype,
    shape,
    get data() {
      return (kept ??= read().data);
    },
  };
  return Object.defineProperty(array, ASIDE, { value: () => void (kept = undefined) }); // not enumerable: a copy keeps its own numbers
}

/** Releases the numbers of an array that can be read again; does nothing to any other array. */
export const setAside = (array: NdArray): void => (array as { readonly [ASIDE]?: () => void })[ASIDE]?.();

/** Flags as bits, the first the highest of its byte. */
export function packBits(flags: ArrayLike<unknown>): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.ceil(flags.length / 8));
  for (let i = 0; i < flags.length; i++) if (flags[i]) out[i >> 3]! |= 128 >> (i & 7);
  return out;
}

/** `count` flags of bits, 0 or 1 each. */
export const unpackBits = (bits: Uint8Array, count: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: count }, (_, i) => (bits[i >> 3]! >> (7 - (i & 7))) & 1);

/** Views bytes as an array, without a copy if the alignment allows it. */
export function fromBytes(dtype: Dtype, shape: readonly number[], bytes: Uint8Array): NdArray {
  const make = CONSTRUCTORS[dtype];
  const aligned = bytes.byteOffset % make.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return ndarray(dtype, shape, new make(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / make.BYTES_PER_ELEMENT));
}

/** The bytes of an array, little-endian, shared with it. */
export const toBytes = (array: NdArray): Uint8Array =>
  new Uint8Array(array.data.buffer as ArrayBuffer, array.data.byteOffset, array.data.byteLength);

/** The same values as float32 or float64; shares the data when nothing changes. */
export function asFloats(array: NdArray, dtype: "float32" | "float64"): NdArray & { readonly data: Float32Array | Float64Array } {
  const wide = widen(array);
  if (wide.dtype === dtype) return wide as NdArray & { data: Float32Array };
  const source = wide.data as Float32Array;
  return { dtype, shape: array.shape, data: dtype === "float32" ? Float32Array.from(source) : Float64Array.from(source) };
}

/** float16 and bfloat16 become float32, exactly; float32 and float64 stay. */
function widen(array: NdArray): NdArray {
  const { dtype, shape, data } = array;
  if (dtype === "float32" || dtype === "float64") return array;
  const out = new Float32Array(data.length);
  if (dtype === "bfloat16") {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = (data as Uint16Array)[i]! << 16;
  } else if (dtype === "float16") {
    const table = halfTable();
    for (let i = 0; i < out.length; i++) out[i] = table[(data as Uint16Array)[i]!]!;
  } else {
    for (let i = 0; i < out.length; i++) out[i] = Number(data[i]);
  }
  return { dtype: "float32", shape, data: out };
}

let halves: Float32Array | undefined;

/** The value of each of the 65,536 half-precision bit patterns (a constant of the format, built on first use). */
export function halfTable(): Float32Array {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    halves[bits] =
      exponent === 31
        ? fraction
          ? NaN
          : sign * Infinity
        : exponent === 0
          ? sign * fraction * 2 ** -24
          : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return halves;
}

let nowhere: MessagePort | undefined;

/**
 * Frees the memory of arrays at once, without waiting for garbage collection; they are empty afterwards. For arrays so large that
 * two generations of them do not fit into memory.
 */
export function letGo(arrays: Iterable<NdArray>): void {
  if (!nowhere) {
    const { port1, port2 } = new MessageChannel();
    port2.close();
    (nowhere = port1).unref();
  }
  // transfers them in a message that is dropped; Node 20 has no ArrayBuffer.prototype.transfer
  nowhere.postMessage(null, [...new Set([...arrays].map(({ data }) => data.buffer as ArrayBuffer))]);
}

/** The mean of at least one number. */
export const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

/** The values by what `key` says of each, in the order of their first ones. */
export function groupsBy<T, K>(values: readonly T[], key: (value: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const value of values) {
    const own = groups.get(key(value)) ?? [];
    groups.set(key(value), own);
    own.push(value);
  }
  return groups;
}
