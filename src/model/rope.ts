/** Rotary tables, computed in float64 as published: the angle of each position and frequency. */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Rope, RopeScaling } from "./arch/arch.ts";

/** Inverse frequencies theta^(−2i/size), i < size/2, after scaling. */
export function frequencies({ theta, size, scaling }: Rope): Float64Array {
  const plain = Float64Array.from({ length: size / 2 }, (_, i) => theta ** ((-2 * i) / size));
  return scaling ? plain.map((f, i) => scaled(f, i, scaling)) : plain;
}

function scaled(f: number, i: number, scaling: RopeScaling): number {
  if (scaling.kind === "linear") return f / scaling.factor;
  if (scaling.kind === "factors")
    return f / (scaling.factors[i] ?? fail("rope", `${scaling.factors.length} frequency factors`, "one a frequency", "", "unavailable"));
  // Llama 3.1: long waves are slowed by the factor, short ones stay, between them the two are mixed
  const { factor, low, high, original } = scaling;
  const wave = (2 * Math.PI) / f;
  if (wave < original / high) return f;
  if (wave > original / low) return f / factor;
  const mix = (original / wave - low) / (high - low);
  return (1 - mix) * (f / factor) + mix * f;
}

/** cos and sin of position × frequency: [length, size/2] each. */
export function ropeTables(rope: Rope, length: number, dtype: "float32" | "float64"): { cos: NdArray; sin: NdArray } {
  const f = frequencies(rope);
  const make = (fn: (x: number) => number): NdArray => {
    const data = dtype === "float32" ? new Float32Array(length * f.length) : new Float64Array(length * f.length);
    for (let p = 0, at = 0; p < length; p++) for (let i = 0; i < f.length; i++) data[at++] = fn(p * f[i]!);
    return { dtype, shape: [length, f.length], data };
  };
  return { cos: make(Math.cos), sin: make(Math.sin) };
}
