/** Rounds float32 to the half-precision formats: to nearest, ties to even. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bit patterns of values as float16 or bfloat16; values that are too large become infinite, NaN stays NaN. */
export function toHalf(values: Float32Array, dtype: "float16" | "bfloat16"): Uint16Array {
  const out = new Uint16Array(values.length);
  const one = dtype === "float16" ? half : brain;
  for (let i = 0; i < out.length; i++) {
    float[0] = values[i]!;
    out[i] = one(bits[0]!);
  }
  return out;
}

/** 8 exponent and 7 fraction bits: the upper half of a float32. */
function brain(x: number): number {
  if ((x & 0x7fffffff) > 0x7f800000) return (x >>> 16) | 0x40;
  return (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
}

/** 5 exponent and 10 fraction bits; below 2^-14 steps of 2^-24. */
function half(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const size = x & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00;
  if (size >= 0x477ff000) return sign | 0x7c00; // from 65520 up, halfway to the next
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  const exponent = size >>> 23;
  if (exponent < 102) return sign; // below 2^-25
  const fraction = (size & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const kept = fraction >>> shift;
  const rest = fraction - kept * 2 ** shift;
  const middle = 2 ** (shift - 1);
  return sign | (kept + (rest > middle || (rest === middle && (kept & 1) === 1) ? 1 : 0));
}
