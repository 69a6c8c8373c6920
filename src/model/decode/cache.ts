/** Keys and values of what a batch of sequences has read so far: owned here, fed to the program, grown in steps. */
import { type NdArray, zeros } from "../../base/array.ts";
import type { Config } from "../arch/arch.ts";
import type { Precision } from "../model.ts";

/** Room is added in steps of this many positions: a plain attention reads all of it. */
const STEP = 64;

export class Cache {
  readonly rows: number;
  private readonly dtype: Precision;
  private readonly heads: number;
  private readonly headSize: number;
  private length = 0;
  private room = 0;
  private buffers: NdArray[]; // k and v of each layer, [B, KV, P, d]
  private positions: NdArray; // int64 [B, P]
  private real: NdArray; // bool [B, P]

  constructor(config: Config, rows: number, dtype: Precision, layers = config.layers) {
    this.rows = rows;
    this.dtype = dtype;
    this.heads = config.kvHeads;
    this.headSize = config.headSize;
    this.buffers = Array.from({ length: 2 * layers }, () => zeros(dtype, [rows, this.heads, 0, this.headSize]));
    this.positions = zeros("int64", [rows, 0]);
    this.real = zeros("bool", [rows, 0]);
  }

  /** What a program with a past is fed. */
  feeds(): [string, NdArray][] {
    const layer = (i: number): [string, NdArray] => [`past.${i >> 1}.${i & 1 ? "v" : "k"}`, this.buffers[i]!];
    return [["past.positions", this.positions], ["past.real", this.real], ...this.buffers.map((_, i) => layer(i))];
  }

  /** Appends the keys and values [B, KV, T, d] of T new positions, in the order of `feeds`. */
  append(layers: readonly NdArray[], positions: NdArray, real: NdArray): void {
    const T = positions.shape[1]!;
    this.reserve(this.length + T);
    const [P, d] = [this.room, this.headSize];
    layers.forEach((from, i) => {
      const [to, source] = [this.buffers[i]!.data as Float32Array, from.data as Float32Array];
      for (let bh = 0; bh < this.rows * this.heads; bh++) to.set(source.subarray(bh * T * d, (bh + 1) * T * d), (bh * P + this.length) * d);
    });
    for (let b = 0; b < this.rows; b++) {
      (this.positions.data as BigInt64Array).set((positions.data as BigInt64Array).subarray(b * T, (b + 1) * T), b * P + this.length);
      (this.real.data as Uint8Array).set((real.data as Uint8Array).subarray(b * T, (b + 1) * T), b * P + this.length);
    }
    this.length += T;
  }

  /** The same past for some of the rows, in this order; a row may come more than once. */
  select(keep: readonly number[], config: Config): Cache {
    const out = new Cache(config, keep.length, this.dtype, this.buffers.length / 2);
    const take = (a: NdArray): NdArray => selectRows(a, keep);
    out.buffers = this.buffers.map(take);
    [out.positions, out.real, out.length, out.room] = [take(this.positions), take(this.real), this.length, this.room];
    return out;
  }

  private reserve(length: number): void {
    if (length <= this.room) return;
    const room = Math.ceil((length + 1) / STEP) * STEP;
    const widen = (a: NdArray, outer: number, inner: number): NdArray => {
      const shape = a.shape.length === 4 ? [this.rows, this.heads, room, this.headSize] : [this.rows, room];
      const out = zeros(a.dtype, shape);
      for (let i = 0; i < outer; i++)
        out.data.set(a.data.subarray(i * this.room * inner, (i * this.room + this.length) * inner) as never, i * room * inner);
      return out;
    };
    this.buffers = this.buffers.map((a) => widen(a, this.rows * this.heads, this.headSize));
    [this.positions, this.real] = [widen(this.positions, this.rows, 1), widen(this.real, this.rows, 1)];
    this.room = room;
  }
}

/** Rows of an array in the order of `keep`; a row may come more than once. */
export function selectRows(a: NdArray, keep: readonly number[]): NdArray {
  const row = a.data.length / Math.max(1, a.shape[0]!);
  const out = zeros(a.dtype, [keep.length, ...a.shape.slice(1)]);
  keep.forEach((b, i) => out.data.set(a.data.subarray(b * row, (b + 1) * row) as never, i * row));
  return out;
}
