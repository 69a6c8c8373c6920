/** Arithmetic on long arrays: a kernel for arrays in its memory, a plain loop for others. */
import { fail } from "../base/fail.ts";
import { type Floats, type Kernels, PIECE } from "./parameter-store.ts";

/** sum += scale · more, in place. `more` may be in any memory; fails if the lengths differ. */
export function accumulate(sum: Floats, more: Floats, kernels?: Kernels, scale = 1): void {
  checkLength("accumulate", sum, more);
  if (reaches(kernels, sum))
    eachPiece(kernels, more, (address, from, count) => kernels.accumulate(addressOf(sum, from), address, count, scale));
  else for (let i = 0; i < sum.length; i++) sum[i]! += scale * more[i]!;
}

/** array *= scale, in place. */
export function scaleBy(array: Floats, scale: number, kernels?: Kernels): void {
  if (reaches(kernels, array)) kernels.scale(array.byteOffset, array.length, scale);
  else for (let i = 0; i < array.length; i++) array[i]! *= scale;
}

/**
 * The sum of squares in double precision: the kernel and the loop give the same bits. For float32 it is finite if and only if every number
 * is. For float64 it can also overflow.
 */
export function sumOfSquares(array: Floats, kernels?: Kernels): number {
  let sum = 0;
  for (let from = 0; from < array.length; from += PIECE) {
    const piece = array.subarray(from, from + PIECE);
    if (kernels === undefined || piece instanceof Float64Array) sum += squaresOf(piece);
    else eachPiece(kernels, piece, (address, _, count) => (sum += kernels.sumOfSquares(address, count)));
  }
  return sum;
}

/** The same order as the kernel: number k is added to sum k mod 4, the remaining ones to a fifth sum. */
function squaresOf(piece: Floats): number {
  const blocks = piece.length & ~3;
  let [a, b, c, d, rest] = [0, 0, 0, 0, 0];
  for (let i = 0; i < blocks; i += 4) {
    a += piece[i]! * piece[i]!;
    b += piece[i + 1]! * piece[i + 1]!;
    c += piece[i + 2]! * piece[i + 2]!;
    d += piece[i + 3]! * piece[i + 3]!;
  }
  for (let i = blocks; i < piece.length; i++) rest += piece[i]! * piece[i]!;
  return a + b + (c + d) + rest;
}

/** Whether arrays are in the memory of these kernels. */
export const reaches = (kernels: Kernels | undefined, ...arrays: readonly Floats[]): kernels is Kernels =>
  kernels !== undefined && arrays.every((array) => lies(array, kernels));

const lies = (array: Floats, { buffer }: Kernels): boolean => array instanceof Float32Array && array.buffer === buffer;

/**
 * Calls with the address of an array's numbers `from` … `from + count`: once if it is in the memory, else piece by piece, copied into the
 * scratch area. So an array from outside costs another pass over the cache, not over the whole memory.
 */
export function eachPiece(kernels: Kernels, array: Floats, call: (address: number, from: number, count: number) => void): void {
  if (lies(array, kernels)) {
    call(array.byteOffset, 0, array.length);
    return;
  }
  for (let from = 0; from < array.length; from += PIECE) {
    const piece = array.subarray(from, from + PIECE);
    kernels.scratch.set(piece);
    call(kernels.scratch.byteOffset, from, piece.length);
  }
}

/** The address of number `from` of an array in a kernel's memory. */
export const addressOf = (array: Floats, from: number): number => array.byteOffset + 4 * from;

/** Fails if arrays that are processed together differ in length, because a kernel would read another array. */
export function checkLength(who: string, array: Floats, ...others: readonly (Floats | undefined)[]): void {
  for (const other of others)
    if (other?.length !== array.length)
      fail(who, `${other?.length ?? "no"} numbers with an array of ${array.length}`, `${array.length}`, "", "internal");
}
