/**
 * Converts float32 weights to GGUF's block formats, with the same bytes as ggml's reference quantisers. They compute in float32, so every
 * product, quotient and sum here is rounded to float32 where ggml rounds.
 */
import { halfTable } from "../base/array.ts";
import { toHalf } from "./half.ts";

export interface BlockWriter {
  /** Weights per block. */
  readonly weights: number;
  /** Bytes per block. */
  readonly bytes: number;
  /** Writes `blocks` blocks of `from`, in which every value is finite, to the start of `to`. */
  readonly encode: (from: Float32Array, to: Uint8Array, blocks: number) => void;
}

const round = Math.fround;

/** Writes a value as float16 at `at`; returns what it is read as. */
function putHalf(to: Uint8Array, at: number, value: number): number {
  const bits = toHalf(Float32Array.of(value), "float16")[0]!;
  to[at] = bits & 255;
  to[at + 1] = bits >> 8;
  return halfTable()[bits]!;
}

/** The value that is farthest from zero, the first of several; with its sign. */
function farthest(from: Float32Array, at: number): number {
  let most = 0;
  let value = 0;
  for (let i = at; i < at + 32; i++)
    if (Math.abs(from[i]!) > most) {
      most = Math.abs(from[i]!);
      value = from[i]!;
    }
  return value;
}

/** 1 / d in float32; 0 where it is too large for that: such a d is 0 as a float16. */
const inverse = (d: number): number => {
  const inverted = round(1 / d);
  return Number.isFinite(inverted) ? inverted : 0;
};

/** d [2] q [32] signed: d = the largest size / 127; halves are rounded away from zero. */
function q8_0(from: Float32Array, to: Uint8Array, blocks: number): void {
  for (let b = 0, x = 0, at = 0; b < blocks; b++, x += 32, at += 34) {
    const d = round(Math.abs(farthest(from, x)) / 127);
    const id = inverse(d);
    putHalf(to, at, d);
    for (let i = 0; i < 32; i++) {
      const y = round(from[x + i]! * id);
      to[at + 2 + i] = Math.sign(y) * Math.floor(Math.abs(y) + 0.5);
    }
  }
}

/** d [2] q [16]: d = the value farthest from zero / −8. */
function q4_0(from: Float32Array, to: Uint8Array, blocks: number): void {
  for (let b = 0, x = 0, at = 0; b < blocks; b++, x += 32, at += 18) {
    const d = round(farthest(from, x) / -8);
    const id = inverse(d);
    putHalf(to, at, d);
    const code = (value: number): number => Math.min(15, Math.trunc(round(round(value * id) + 8.5)));
    for (let i = 0; i < 16; i++) to[at + 2 + i] = code(from[x + i]!) | (code(from[x + i + 16]!) << 4);
  }
}

/** d [2] m [2] q [16]: m = the least value, d = the range / 15. */
function q4_1(from: Float32Array, to: Uint8Array, blocks: number): void {
  for (let b = 0, x = 0, at = 0; b < blocks; b++, x += 32, at += 20) {
    let [min, max] = [from[x]!, from[x]!];
    for (let i = x + 1; i < x + 32; i++) {
      if (from[i]! < min) min = from[i]!;
      if (from[i]! > max) max = from[i]!;
    }
    const d = round(round(max - min) / 15);
    const id = inverse(d);
    putHalf(to, at, d);
    putHalf(to, at + 2, min);
    const code = (value: number): number => Math.min(15, Math.trunc(round(round(round(value - min) * id) + 0.5)));
    for (let i = 0; i < 16; i++) to[at + 4 + i] = code(from[x + i]!) | (code(from[x + i + 16]!) << 4);
  }
}

/** d [2] fifth bits [4] q [16]: d = the value farthest from zero / −16. */
function q5_0(from: Float32Array, to: Uint8Array, blocks: number): void {
  for (let b = 0, x = 0, at = 0; b < blocks; b++, x += 32, at += 22) {
    const d = round(farthest(from, x) / -16);
    const id = inverse(d);
    putHalf(to, at, d);
    const code = (value: number): number => Math.min(31, Math.trunc(round(round(value * id) + 16.5)));
    let high = 0;
    for (let i = 0; i < 16; i++) {
      const [low, up] = [code(from[x + i]!), code(from[x + i + 16]!)];
      to[at + 6 + i] = (low & 15) | ((up & 15) << 4);
      high |= ((low >> 4) << i) | ((up >> 4) << (i + 16));
    }
    for (let k = 0; k < 4; k++) to[at + 2 + k] = high >>> (8 * k);
  }
}

/** To the nearest whole number, halves to the even one. Adding 1.5 · 2^23 in float32 leaves no room for fractions. */
const nearest = (x: number): number => round(x + 12582912) - 12582912;
const nibble = (x: number): number => {
  const whole = nearest(x);
  return whole < 0 ? 0 : whole > 15 ? 15 : whole;
};

/** A weight is min + scale · code, with codes from 0 to 15; min is at most 0. */
interface Fit {
  readonly scale: number;
  readonly min: number;
}

/** Room for the search of one block. */
interface Room {
  readonly importance: Float32Array;
  readonly codes: Uint8Array;
  readonly tried: Uint8Array;
}

/** The nearest codes of 32 weights above `min`, in steps of 1 / `perStep`. */
function encode(from: Float32Array, x: number, min: number, perStep: number, into: Uint8Array, at: number): void {
  for (let i = 0; i < 32; i++) into[at + i] = nibble(round(perStep * round(from[x + i]! - min)));
}

/** The weighted square error of 32 codes. */
function errorOf(from: Float32Array, x: number, importance: Float32Array, { scale, min }: Fit, codes: Uint8Array, at: number): number {
  let error = round(0);
  for (let i = 0; i < 32; i++) {
    const off = round(round(round(scale * codes[at + i]!) + min) - from[x + i]!);
    error = round(error + round(importance[i]! * round(off * off)));
  }
  return error;
}

/**
 * The scale and the least value (at most 0) of 32 weights, and their codes at `at`: of 22 ranges, the one with the least weighted square error.
 * As in ggml, a range that is better is where the next ones begin.
 */
function fitted(from: Float32Array, x: number, room: Room, at: number): Fit {
  const { importance, codes, tried } = room;
  let [least, max, sumW, sumX] = [from[x]!, from[x]!, importance[0]!, round(importance[0]! * from[x]!)];
  for (let i = 1; i < 32; i++) {
    const value = from[x + i]!;
    if (value < least) least = value;
    if (value > max) max = value;
    sumW = round(sumW + importance[i]!);
    sumX = round(sumX + round(importance[i]! * value));
  }
  const start = Math.min(0, least);
  if (max === start) {
    codes.fill(0, at, at + 32);
    return { scale: 0, min: start };
  }
  const plain = round(15 / round(max - start));
  encode(from, x, start, plain, codes, at);
  let best: Fit = { scale: round(1 / plain), min: start };
  let bestError = errorOf(from, x, importance, best, codes, at);
  for (let step = 0; step <= STEPS; step++) {
    const steps = round(round(-1 + round(TENTH * step)) + 15);
    encode(from, x, best.min, round(steps / round(max - best.min)), tried, 0);
    const found = leastSquares(from, x, { importance, codes: tried, sumW, sumX });
    if (!found) continue;
    const error = errorOf(from, x, importance, found, tried, 0);
    if (error >= bestError) continue;
    [best, bestError] = [found, error];
    codes.set(tried, at);
  }
  return best;
}

const STEPS = 20;
const TENTH = round(0.1);

/** The scale and the least value (at most 0) that fit given codes best. */
function leastSquares(
  from: Float32Array,
  x: number,
  { importance, codes, sumW, sumX }: { importance: Float32Array; codes: Uint8Array; sumW: number; sumX: number },
): Fit | undefined {
  let [sumL, sumL2, sumXL] = [round(0), round(0), round(0)];
  for (let i = 0; i < 32; i++) {
    const code = codes[i]!;
    const weighted = round(importance[i]! * code);
    sumL = round(sumL + weighted);
    sumL2 = round(sumL2 + round(weighted * code));
    sumXL = round(sumXL + round(weighted * from[x + i]!));
  }
  const determinant = round(round(sumW * sumL2) - round(sumL * sumL));
  if (!(determinant > 0)) return undefined;
  const scale = round(round(round(sumW * sumXL) - round(sumX * sumL)) / determinant);
  const min = round(round(round(sumL2 * sumX) - round(sumL * sumXL)) / determinant);
  return min > 0 ? { scale: round(sumXL / sumL2), min: 0 } : { scale, min };
}

/** How much each of 32 weights counts: its size and the root of the mean square. */
function weigh(from: Float32Array, x: number, importance: Float32Array): void {
  let squares = 0;
  for (let i = x; i < x + 32; i++) squares = round(squares + round(from[i]! * from[i]!));
  const mean = round(Math.sqrt(round(squares / 32)));
  for (let i = 0; i < 32; i++) importance[i] = round(mean + Math.abs(from[x + i]!));
}

/** d [2] dmin [2] scales [12] q [128]: 8 sub-blocks of 32, whose scales and minima are multiples of d and dmin from 0 to 63. */
function q4_k(from: Float32Array, to: Uint8Array, blocks: number): void {
  const room: Room = { importance: new Float32Array(32), codes: new Uint8Array(256), tried: new Uint8Array(32) };
  const { codes } = room;
  const fits: Fit[] = [];
  for (let b = 0, x = 0, at = 0; b < blocks; b++, x += 256, at += 144) {
    for (let j = 0; j < 8; j++) {
      weigh(from, x + 32 * j, room.importance);
      fits[j] = fitted(from, x + 32 * j, room, 32 * j);
    }
    const [scale, min] = [Math.max(0, ...fits.map((fit) => fit.scale)), Math.max(0, ...fits.map((fit) => -fit.min))];
    const d = putHalf(to, at, round(scale / 63));
    const dmin = putHalf(to, at + 2, round(min / 63));
    const [inverseScale, inverseMin] = [scale > 0 ? round(63 / scale) : 0, min > 0 ? round(63 / min) : 0];
    to.fill(0, at + 4, at + 16);
    fits.forEach((fit, j) => {
      const whole = Math.min(63, nearest(round(inverseScale * fit.scale))) & 255;
      const least = Math.min(63, nearest(round(inverseMin * -fit.min))) & 255;
      putScales(to, at + 4, j, whole, least);
      const sub = round(d * (whole & 63));
      if (sub === 0) return; // the codes of the search stay, as in ggml
      const subMin = round(dmin * (least & 63));
      for (let i = 32 * j; i < 32 * (j + 1); i++) codes[i] = nibble(round(round(from[x + i]! + subMin) / sub));
    });
    for (let j = 0; j < 4; j++) for (let i = 0; i < 32; i++) to[at + 16 + 32 * j + i] = codes[64 * j + i]! | (codes[64 * j + 32 + i]! << 4);
  }
}

/** Packs the six-bit scale and minimum of sub-block `j` of 8 into 12 bytes at `at`. */
function putScales(to: Uint8Array, at: number, j: number, scale: number, min: number): void {
  if (j < 4) {
    to[at + j] = scale;
    to[at + j + 4] = min;
    return;
  }
  to[at + j + 4] = (scale & 15) | ((min & 15) << 4);
  to[at + j - 4]! |= (scale >> 4) << 6;
  to[at + j]! |= (min >> 4) << 6;
}

/** The block formats this project writes, by ggml's name. */
export const BLOCK_WRITERS: Readonly<Record<string, BlockWriter>> = {
  Q4_0: { weights: 32, bytes: 18, encode: q4_0 },
  Q4_1: { weights: 32, bytes: 20, encode: q4_1 },
  Q5_0: { weights: 32, bytes: 22, encode: q5_0 },
  Q8_0: { weights: 32, bytes: 34, encode: q8_0 },
  Q4_K: { weights: 256, bytes: 144, encode: q4_k },
};
