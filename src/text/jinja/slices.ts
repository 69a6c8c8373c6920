/** Which items a slice takes. */
import { raise } from "./trouble.ts";
import { asInt, indexOf, Range, type Value } from "./values.ts";

/** Where a slice starts and ends, and how many items it has. */
export interface Bounds {
  readonly from: number;
  readonly to: number;
  readonly by: number;
  readonly count: number;
}

/** The bounds of `[start:stop:step]` in a row of `length` items. */
export function bounds(length: number, start: Value, stop: Value, step: Value): Bounds {
  const number = (value: Value): number =>
    asInt(value) === undefined ? raise("TypeError", "slice indices must be integers or None or have an __index__ method") : indexOf(value);
  const by = step === null ? 1 : number(step);
  if (by === 0) raise("ValueError", "slice step cannot be zero");
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const clamp = (value: Value, otherwise: number): number => {
    if (value === null) return otherwise;
    const at = number(value);
    return Math.min(Math.max(at < 0 ? at + length : at, low), high);
  };
  const from = clamp(start, by > 0 ? low : high);
  const to = clamp(stop, by > 0 ? high : low);
  return { from, to, count: Math.max(0, Math.ceil((to - from) / by)), by: Number.isSafeInteger(by) ? by : length + 1 };
}

/** A part of a range. */
export function rangeSlice(range: Range, { from, to, by, count }: Bounds): Range {
  const at = (index: number): bigint => range.start + range.step * BigInt(index);
  return new Range(at(from), at(to), range.step * BigInt(by), count);
}
