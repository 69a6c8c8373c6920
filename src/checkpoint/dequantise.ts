/**
 * Converts GGUF's block formats to float32 with the same bits as ggml: each weight is d·q or d·q + m, where d and m are half-precision
 * numbers (times a small integer scale in the K formats). Products and sums are exact in float64 or are rounded once, when stored as
 * float32, where ggml rounds too.
 */
import { halfTable } from "../base/array.ts";

export interface Block {
  /** Weights per block. */
  readonly weights: number;
  /** Bytes per block. */
  readonly bytes: number;
  /** Writes `blocks` blocks of `from` to the start of `to`. */
  readonly decode: (from: Uint8Array, to: Float32Array, blocks: number) => void;
}

const half = (from: Uint8Array, at: number, table: Float32Array): number => table[from[at]! | (from[at + 1]! << 8)]!;

/** d [2] q [16]: low nibbles are weights 0-15, high ones 16-31. */
function q4_0(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 18, y += 32) {
    const d = half(from, at, table);
    for (let j = 0; j < 16; j++) {
      const q = from[at + 2 + j]!;
      to[y + j] = d * ((q & 15) - 8);
      to[y + j + 16] = d * ((q >> 4) - 8);
    }
  }
}

/** d [2] m [2] q [16]. Read in words of 32 bits, which hold eight weights: byte by byte takes twice as long. */
function q4_1(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  const words = wordsOf(from);
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 5, y += 32) {
    const scales = words[at]!;
    const d = table[scales & 0xffff]!;
    const m = table[scales >>> 16]!;
    for (let k = 0; k < 4; k++) {
      const q = words[at + 1 + k]!;
      const z = y + 4 * k;
      to[z] = d * (q & 15) + m;
      to[z + 1] = d * ((q >>> 8) & 15) + m;
      to[z + 2] = d * ((q >>> 16) & 15) + m;
      to[z + 3] = d * ((q >>> 24) & 15) + m;
      to[z + 16] = d * ((q >>> 4) & 15) + m;
      to[z + 17] = d * ((q >>> 12) & 15) + m;
      to[z + 18] = d * ((q >>> 20) & 15) + m;
      to[z + 19] = d * (q >>> 28) + m;
    }
  }
}

/** Bytes as little-endian words of 32 bits. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(buffer, byteOffset, length >> 2);
}

/** d [2] fifth bits [4] q [16]. */
function q5_0(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 22, y += 32) {
    const d = half(from, at, table);
    const high = from[at + 2]! | (from[at + 3]! << 8) | (from[at + 4]! << 16) | (from[at + 5]! << 24);
    for (let j = 0; j < 16; j++) {
      const q = from[at + 6 + j]!;
      to[y + j] = d * (((q & 15) | (((high >> j) & 1) << 4)) - 16);
      to[y + j + 16] = d * (((q >> 4) | (((high >> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** d [2] m [2] fifth bits [4] q [16]. */
function q5_1(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 24, y += 32) {
    const d = half(from, at, table);
    const m = half(from, at + 2, table);
    const high = from[at + 4]! | (from[at + 5]! << 8) | (from[at + 6]! << 16) | (from[at + 7]! << 24);
    for (let j = 0; j < 16; j++) {
      const q = from[at + 8 + j]!;
      to[y + j] = d * ((q & 15) | (((high >> j) & 1) << 4)) + m;
      to[y + j + 16] = d * ((q >> 4) | (((high >> (j + 16)) & 1) << 4)) + m;
    }
  }
}

/** d [2] q [32] signed. */
function q8_0(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  const signed = new Int8Array(from.buffer, from.byteOffset, from.length);
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 34, y += 32) {
    const d = half(from, at, table);
    for (let j = 0; j < 32; j++) to[y + j] = d * signed[at + 2 + j]!;
  }
}

/** Six-bit scale and minimum of sub-block `j` of 8, packed in 12 bytes at `at`: returned as scale + 64 · minimum. */
function scaleAndMin(from: Uint8Array, at: number, j: number): number {
  if (j < 4) return (from[at + j]! & 63) | ((from[at + j + 4]! & 63) << 6);
  const scale = (from[at + j + 4]! & 15) | ((from[at + j - 4]! >> 6) << 4);
  const min = (from[at + j + 4]! >> 4) | ((from[at + j]! >> 6) << 4);
  return scale | (min << 6);
}

/** d [2] dmin [2] scales [12] q [128]: 8 sub-blocks of 32; two share 32 bytes, low nibbles first. */
function q4_k(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 144) {
    const d = half(from, at, table);
    const dmin = half(from, at + 2, table);
    for (let j = 0; j < 8; j++) {
      const packed = scaleAndMin(from, at + 4, j);
      const scale = d * (packed & 63);
      const min = dmin * (packed >> 6);
      const q = at + 16 + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let l = 0; l < 32; l++) to[y++] = scale * ((from[q + l]! >> shift) & 15) - min;
    }
  }
}

/** d [2] dmin [2] scales [12] fifth bits [32] q [128]; bit j of a fifth-bit byte belongs to sub-block j. */
function q5_k(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 176) {
    const d = half(from, at, table);
    const dmin = half(from, at + 2, table);
    for (let j = 0; j < 8; j++) {
      const packed = scaleAndMin(from, at + 4, j);
      const scale = d * (packed & 63);
      const min = dmin * (packed >> 6);
      const q = at + 48 + (j >> 1) * 32;
      const shift = (j & 1) * 4;
      for (let l = 0; l < 32; l++) to[y++] = scale * (((from[q + l]! >> shift) & 15) | (((from[at + 16 + l]! >> j) & 1) << 4)) - min;
    }
  }
}

/** low nibbles [128] high two bits [64] scales [16] signed d [2]: 16 sub-blocks of 16, in two halves of 128 weights. */
function q6_k(from: Uint8Array, to: Float32Array, blocks: number): void {
  const table = halfTable();
  for (let b = 0, at = 0, y = 0; b < blocks; b++, at += 210) {
    const d = half(from, at + 208, table);
    for (let part = 0; part < 8; part++, y += 32) {
      // 32 weights: two scales
      const low = at + (part >> 2) * 64 + (part & 1) * 32;
      const high = at + 128 + (part >> 2) * 32;
      const lowShift = ((part >> 1) & 1) * 4;
      const highShift = (part & 3) * 2;
      for (let l = 0; l < 32; l++) {
        const scale = (from[at + 192 + part * 2 + (l >> 4)]! << 24) >> 24;
        const q = ((from[low + l]! >> lowShift) & 15) | (((from[high + l]! >> highShift) & 3) << 4);
        to[y + l] = d * scale * (q - 32);
      }
    }
  }
}

/** The block formats this project reads, by ggml's name. */
export const BLOCKS: Readonly<Record<string, Block>> = {
  Q4_0: { weights: 32, bytes: 18, decode: q4_0 },
  Q4_1: { weights: 32, bytes: 20, decode: q4_1 },
  Q5_0: { weights: 32, bytes: 22, decode: q5_0 },
  Q5_1: { weights: 32, bytes: 24, decode: q5_1 },
  Q8_0: { weights: 32, bytes: 34, decode: q8_0 },
  Q4_K: { weights: 256, bytes: 144, decode: q4_k },
  Q5_K: { weights: 256, bytes: 176, decode: q5_k },
  Q6_K: { weights: 256, bytes: 210, decode: q6_k },
};
