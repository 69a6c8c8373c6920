/** Rotary tables, computed in float64 as published: the angle of each position and frequency. */
import type { NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Rope, RopeScaling } from "./arch/arch.ts";

/** Inverse frequencies theta^(−2i/size), i < size/2, after scaling. */
export function frequencies({ theta, size, scaling }: Rope): Float64Array {
  const plain = Float64Array.from({ length: size / 2 }, (_, i) => theta ** ((-2 * i) / size));
  if (scaling?.kind === "yarn") return yarn(plain, theta, scaling);
  return scaling ? plain.map((f, i) => scaled(f, i, scaling)) : plain;
}

/** YaRN (arXiv:2309.00071, section 3.2): frequency i is divided by the factor in proportion to a ramp over i. */
function yarn(plain: Float64Array, theta: number, scaling: Extract<RopeScaling, { kind: "yarn" }>): Float64Array {
  const { factor, original, fast, slow, whole } = scaling;
  const size = 2 * plain.length;
  /** The index of the frequency that turns `turns` times in the original context. */
  const at = (turns: number): number => (size * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(0, whole ? Math.floor(at(fast)) : at(fast));
  const high = Math.min(size - 1, whole ? Math.ceil(at(slow)) : at(slow));
  const width = low === high ? 0.001 : high - low;
  return plain.map((f, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / width));
    return f * (1 - divided) + (f / factor) * divided;
  });
}

function scaled(f: number, i: number, scaling: Exclude<RopeScaling, { kind: "yarn" }>): number {
  if (scaling.kind === "linear") return f / scaling.factor;
  if (scaling.kind === "factors" || scaling.kind === "longrope")
    return f / (scaling.factors[i] ?? fail("rope", `${scaling.factors.length} frequency factors`, "one a frequency", "", "unavailable"));
  // Llama 3.1: long waves are slowed by the factor, short ones stay, between them the two are mixed
  const { factor, low, high, original } = scaling;
  const wave = (2 * Math.PI) / f;
  if (wave < original / high) return f;
  if (wave > original / low) return f / factor;
  const mix = (original / wave - low) / (high - low);
  return (1 - mix) * (f / factor) + mix * f;
}

/** cos and sin of position × frequency, times the scaling's amplitude: [length, size/2] each. */
export function ropeTables(rope: Rope, length: number, dtype: "float32" | "float64"): { cos: NdArray; sin: NdArray } {
  const f = frequencies(rope);
  const { amplitude = 1 } = (rope.scaling ?? {}) as { readonly amplitude?: number };
  const make = (fn: (x: number) => number): NdArray => {
    const data = dtype === "float32" ? new Float32Array(length * f.length) : new Float64Array(length * f.length);
    for (let p = 0, at = 0; p < length; p++) for (let i = 0; i < f.length; i++) data[at++] = amplitude * fn(p * f[i]!);
    return { dtype, shape: [length, f.length], data };
  };
  return { cos: make(Math.cos), sin: make(Math.sin) };
}
