/** Parameters in WebAssembly memory: a weight, its gradient and its moments are together, and both kernels and ONNX Runtime can access them. */
import { type NdArray, sizeOf } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { WeightName } from "../model/names.ts";
import { MODULE } from "./kernels.ts";

export type Floats = Float32Array | Float64Array;

/** An optimiser's state for one weight: named moments of its size. */
export type Moments = Readonly<Record<string, Floats>>;

/** One trained weight, with its gradient and moments. */
export interface Parameter {
  readonly weight: Floats;
  /** Buffer for its gradient. Memory that is never written takes no space, so an unused buffer costs nothing. */
  readonly gradient: Floats;
  readonly moments: Moments;
  /** The weight with its shape, as an input of programs. */
  readonly array: NdArray;
  /** The kernels for weight, gradient and moments; undefined if plain loops are used. */
  readonly kernels: Kernels | undefined;
}

/** The functions of kernels.wat: arrays as addresses in bytes, `count` in numbers; arguments are not checked. */
interface Functions {
  adamw(
    weight: number,
    gradient: number,
    first: number,
    second: number,
    count: number,
    scale: number,
    toFirst: number,
    toSecond: number,
    size: number,
    root: number,
    eps: number,
    shrink: number,
  ): void;
  sgd(weight: number, gradient: number, count: number, size: number, shrink: number): void;
  momentum(weight: number, gradient: number, velocity: number, count: number, scale: number, keep: number, lr: number, decay: number): void;
  accumulate(sum: number, more: number, count: number, scale: number): void;
  scale(array: number, count: number, scale: number): void;
  sumOfSquares(array: number, count: number): number;
}

/** The kernels of one memory. */
export interface Kernels extends Functions {
  /** The memory; it never grows, because growing would invalidate every view of it. */
  readonly buffer: ArrayBuffer;
  /** Scratch area for a piece of an array from outside. */
  readonly scratch: Float32Array;
}

export interface StoreOptions {
  /** Names of the moments to keep: an optimiser's `moments`. */
  readonly moments: readonly string[];
  /** Kernels have single precision; float64 uses plain arrays. */
  readonly dtype?: "float32" | "float64";
  /** The maximal memory, in bytes; 0: plain arrays only. */
  readonly most?: number;
}

/** Numbers per piece: 64 KiB, which stays in the processor's cache while a kernel reads it again. */
export const PIECE = 16384;

const ALIGNMENT = 16;
const PAGE = 65536;
/** The maximal size of one memory: addresses have 32 bits. */
const ADDRESSABLE = 2 ** 32;

/**
 * Zeroed arrays for every named shape. The arrays of one name are in one memory, at multiples of 16 bytes, so that one kernel call reaches all;
 * memories of at most 4 GiB are filled in the order of the names. A name that needs more than 4 GiB gets plain arrays.
 * Fails ("memory") if the system refuses the allocation.
 * @example
 * const store = parameterStore([["head", [49152, 576]]], { moments: optimizer.moments });
 * for (const parameter of store.values()) optimizer.update({ ...parameter, step, lr, scale: 1, decays: true });
 */
export function parameterStore(
  names: Iterable<readonly [WeightName, readonly number[]]>,
  { moments, dtype = "float32", most = ADDRESSABLE }: StoreOptions,
): ReadonlyMap<WeightName, Parameter> {
  const wanted = [...names].map(([name, shape]) => ({ name, shape, bytes: (2 + moments.length) * aligned(4 * sizeOf(shape)) }));
  const start = 4 * PIECE; // the scratch area is first
  const fits = ({ bytes }: { readonly bytes: number }): boolean => dtype === "float32" && start + bytes <= most;
  const store = new Map<WeightName, Parameter>();
  for (const one of wanted) if (!fits(one)) store.set(one.name, parameter(one.shape, moments, plainArrays(dtype), undefined));
  const load = loader();
  for (const together of packed(wanted.filter(fits), most - start)) {
    const kernels = load(start + together.reduce((sum, { bytes }) => sum + bytes, 0));
    let free = start;
    const take = (length: number): Float32Array => {
      const array = new Float32Array(kernels.buffer, free, length);
      free += aligned(array.byteLength);
      return array;
    };
    for (const { name, shape } of together) store.set(name, parameter(shape, moments, take, kernels));
  }
  return new Map(wanted.map(({ name }) => [name, store.get(name)!]));
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Groups of neighbours, each of no more than `most` bytes. */
function packed<T extends { readonly bytes: number }>(items: readonly T[], most: number): T[][] {
  const groups: T[][] = [];
  let left = 0;
  for (const item of items) {
    if (groups.length === 0 || item.bytes > left) [left] = [most, groups.push([])];
    groups.at(-1)!.push(item);
    left -= item.bytes;
  }
  return groups;
}

function parameter(
  shape: readonly number[],
  moments: readonly string[],
  take: (length: number) => Floats,
  kernels: Kernels | undefined,
): Parameter {
  const size = sizeOf(shape);
  const weight = take(size);
  return {
    weight,
    gradient: take(size),
    moments: Object.fromEntries(moments.map((moment) => [moment, take(size)])),
    array: { dtype: weight instanceof Float32Array ? "float32" : "float64", shape, data: weight },
    kernels,
  };
}

const plainArrays =
  (dtype: "float32" | "float64") =>
  (length: number): Floats =>
    granted((dtype === "float32" ? 4 : 8) * length, () => (dtype === "float32" ? new Float32Array(length) : new Float64Array(length)));

/** The used parts of WebAssembly, which Node's types do not declare. */
interface Engine {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: { readonly lethe: { readonly memory: object } }) => { readonly exports: Functions };
}

/** Returns a function that makes the kernels of a new memory of a given size; the module is compiled once. */
function loader(): (bytes: number) => Kernels {
  const { Memory, Module, Instance } = (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;
  let compiled: object | undefined;
  return (bytes) => {
    compiled ??= new Module(Buffer.from(MODULE, "base64"));
    const pages = Math.ceil(bytes / PAGE);
    const memory = granted(bytes, () => new Memory({ initial: pages, maximum: pages }));
    const { exports } = new Instance(compiled, { lethe: { memory } });
    return { ...exports, buffer: memory.buffer, scratch: new Float32Array(memory.buffer, 0, PIECE) };
  };
}

/** An allocation; fails if the system refuses it. */
function granted<T>(bytes: number, allocate: () => T): T {
  try {
    return allocate();
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    return fail(
      "parameters",
      `the system refuses ${(bytes / 2 ** 30).toFixed(2)} GiB (${e.message})`,
      "memory for weights, their gradients and their moments",
      "Train fewer weights, or use an optimiser with fewer moments. Remove limits on address space (ulimit -v); each memory reserves 10 GiB.",
      "memory",
    );
  }
}
