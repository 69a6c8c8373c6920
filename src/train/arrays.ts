/** Arithmetic on long arrays: a kernel where they lie in its memory, a plain loop elsewhere. */
import { fail } from "../base/fail.ts";
import { type Floats, type Kernels, PIECE } from "./parameter-store.ts";

/** sum += scale · more, in place. What is added may lie anywhere; fails when it is not as long. */
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
 * The sum of squares in double precision: the same bits whoever computes it. Of float32 it is finite if and only if every number is; of
 * float64 it is not finite either where the squares are past what a double holds.
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

/** The kernel's loop: number k to sum k mod 4, what is left over to a fifth. */
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

/** Whether arrays lie in the memory of these kernels. */
export const reaches = (kernels: Kernels | undefined, ...arrays: readonly Floats[]): kernels is Kernels =>
  kernels !== undefined && arrays.every((array) => lies(array, kernels));

const lies = (array: Floats, { buffer }: Kernels): boolean => array instanceof Float32Array && array.buffer === buffer;

/**
 * Calls with the address of an array's numbers `from` … `from + count`: once where it lies in the memory, otherwise piece by piece as it is
 * copied into the scratch. So an array from outside costs one more pass over a cache instead of one over the whole memory.
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

/** Where number `from` of an array in a kernel's memory lies. */
export const addressOf = (array: Floats, from: number): number => array.byteOffset + 4 * from;

/** Fails where arrays that are walked together differ in length: a kernel would walk on into another's numbers. */
export function checkLength(who: string, array: Floats, ...others: readonly (Floats | undefined)[]): void {
  for (const other of others)
    if (other?.length !== array.length)
      fail(who, `${other?.length ?? "no"} numbers beside an array of ${array.length}`, `${array.length}`, "", "internal");
}
