/** Parameters in WebAssembly memory: a weight, its gradient and its moments lie together where kernels and ONNX Runtime both reach them. */
import { type NdArray, sizeOf } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { WeightName } from "../model/names.ts";
import { MODULE } from "./kernels.ts";

export type Floats = Float32Array | Float64Array;

/** What an optimiser keeps for one weight: named moments of its size. */
export type Moments = Readonly<Record<string, Floats>>;

/** One weight under training, with all that is of its size. */
export interface Parameter {
  readonly weight: Floats;
  /** Where its gradient may be gathered. Memory that is never written to takes no room, so it costs nothing where it is not used. */
  readonly gradient: Floats;
  readonly moments: Moments;
  /** The weight with its shape, as programs are fed. */
  readonly array: NdArray;
  /** The kernels that reach weight, gradient and moments; undefined where plain loops must do. */
  readonly kernels: Kernels | undefined;
}

/** The functions of kernels.wat: arrays as addresses in bytes, `count` in numbers; none checks what it is given. */
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
  /** The memory, which never grows: growing would cut off every view of it. */
  readonly buffer: ArrayBuffer;
  /** Room for a piece of an array that lies elsewhere. */
  readonly scratch: Float32Array;
}

export interface StoreOptions {
  /** Names of the moments to keep: an optimiser's `moments`. */
  readonly moments: readonly string[];
  /** Kernels are of single precision; float64 lies in plain arrays. */
  readonly dtype?: "float32" | "float64";
  /** The largest memory, in bytes; with 0 everything lies in plain arrays. */
  readonly most?: number;
}

/** Numbers in a piece: 64 KiB, which stays in the nearest caches while a kernel reads it again. */
export const PIECE = 16384;

const ALIGNMENT = 16;
const PAGE = 65536;
/** The most that one memory can hold: addresses have 32 bits. */
const ADDRESSABLE = 2 ** 32;

/**
 * Zeroed arrays for every named shape. What belongs to one name lies in one memory, at multiples of 16 bytes, so that one kernel call sees it all;
 * memories are filled in the order of the names and are as few as 4 GiB each allows. A name for which 4 GiB are too few gets plain arrays.
 * Fails ("memory") when the system refuses.
 * @example
 * const store = parameterStore([["head", [49152, 576]]], { moments: optimizer.moments });
 * for (const parameter of store.values()) optimizer.update({ ...parameter, step, lr, scale: 1, decays: true });
 */
export function parameterStore(
  names: Iterable<readonly [WeightName, readonly number[]]>,
  { moments, dtype = "float32", most = ADDRESSABLE }: StoreOptions,
): ReadonlyMap<WeightName, Parameter> {
  const wanted = [...names].map(([name, shape]) => ({ name, shape, bytes: (2 + moments.length) * aligned(4 * sizeOf(shape)) }));
  const start = 4 * PIECE; // the scratch lies first
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

/** What is used of WebAssembly, which Node's types leave out. */
interface Engine {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: { readonly lethe: { readonly memory: object } }) => { readonly exports: Functions };
}

/** From bytes to the kernels of a new memory of that size; the module is compiled once for all of them, at the first. */
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

/** An allocation, or a complaint that it was refused. */
function granted<T>(bytes: number, allocate: () => T): T {
  try {
    return allocate();
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    return fail(
      "parameters",
      `the system refuses ${(bytes / 2 ** 30).toFixed(2)} GiB (${e.message})`,
      "memory for weights, their gradients and their moments",
      "Train fewer weights, or with an optimiser that keeps fewer moments; and lift limits on address space (ulimit -v), of which each memory reserves 10 GiB.",
      "memory",
    );
  }
}
