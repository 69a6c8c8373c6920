/** Arrays along an axis: put together, cut, and held against one another by their bytes. */
import { bytesPer, type NdArray, toBytes, zeros } from "./array.ts";
import { fail } from "./fail.ts";

/** Bytes that are compared at once: one view of a whole array may be longer than Node allows. */
const PIECE = 1 << 26;

/** Where an array grew: along which axis, and whether the new part stands before the old one ("head") or behind it ("tail"). */
export interface Growth {
  readonly axis: number;
  readonly side: "head" | "tail";
}

/** Arrays of one dtype side by side along an axis, a new array; refuses those that differ elsewhere. */
export function joined(parts: readonly NdArray[], axis: number): NdArray {
  const [first] = parts as [NdArray];
  const fixed = ({ dtype, shape }: NdArray): string => `${dtype} [${shape.with(axis, -1).join(", ")}]`;
  const other = parts.find((part) => fixed(part) !== fixed(first));
  if (other) fail("joined", fixed(other), fixed(first), "", "internal");
  const length = parts.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  const out = zeros(first.dtype, first.shape.with(axis, length));
  let at = 0;
  for (const part of parts) {
    copy(part, 0, out, at, part.shape[axis]!, axis);
    at += part.shape[axis]!;
  }
  return out;
}

/** The part [from, to) of an array along an axis, a new array. */
export function partOf(array: NdArray, axis: number, from: number, to: number): NdArray {
  const out = zeros(array.dtype, array.shape.with(axis, to - from));
  copy(array, from, out, 0, to - from, axis);
  return out;
}

/** Whether two arrays are the same, to the bit. */
export const isSame = (a: NdArray, b: NdArray): boolean =>
  a.dtype === b.dtype && a.shape.join() === b.shape.join() && (a.data === b.data || sameBytes(toBytes(a), toBytes(b)));

/** Where `after` is `before` with a new part along one axis; undefined where it is not. */
export function growthOf(before: NdArray, after: NdArray): Growth | undefined {
  if (before.dtype !== after.dtype || before.shape.length !== after.shape.length) return undefined;
  const [axis, ...others] = before.shape.flatMap((n, i) => (n === after.shape[i] ? [] : [i]));
  if (axis === undefined || others.length > 0 || before.shape[axis]! > after.shape[axis]!) return undefined;
  const more = after.shape[axis]! - before.shape[axis]!;
  const side = (["tail", "head"] as const).find((where) => isPart(before, after, axis, where === "tail" ? 0 : more));
  return side && { axis, side };
}

/** Whether an array is the part of another that begins at `from` along an axis. */
function isPart(part: NdArray, whole: NdArray, axis: number, from: number): boolean {
  const [a, b] = [toBytes(part), toBytes(whole)];
  const { runs, each } = strides(part, axis);
  const [own, other] = [part.shape[axis]! * each, whole.shape[axis]! * each];
  for (let run = 0; run < runs; run++) {
    const at = run * other + from * each;
    if (!sameBytes(a.subarray(run * own, (run + 1) * own), b.subarray(at, at + own))) return false;
  }
  return true;
}

/** Copies `count` entries along an axis. */
function copy(source: NdArray, from: number, into: NdArray, to: number, count: number, axis: number): void {
  const [a, b] = [toBytes(source), toBytes(into)];
  const { runs, each } = strides(source, axis);
  for (let run = 0; run < runs; run++) {
    const start = (run * source.shape[axis]! + from) * each;
    b.set(a.subarray(start, start + count * each), (run * into.shape[axis]! + to) * each);
  }
}

/** How many runs over an axis an array has, and the bytes of one entry in a run. */
const strides = ({ dtype, shape }: NdArray, axis: number): { runs: number; each: number } => ({
  runs: shape.slice(0, axis).reduce((a, b) => a * b, 1),
  each: shape.slice(axis + 1).reduce((a, b) => a * b, bytesPer(dtype)),
});

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += PIECE)
    if (Buffer.compare(a.subarray(at, at + PIECE), b.subarray(at, at + PIECE)) !== 0) return false;
  return true;
}
