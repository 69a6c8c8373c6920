/** Seeded, splittable random numbers: the only source of randomness. */
import { createHash } from "node:crypto";

/** xoshiro128** seeded through SHA-256, so that any label gives an independent stream. */
export interface Rng {
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [0, n). */
  below(n: number): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
  /** A new shuffled copy (Fisher-Yates). */
  shuffled<T>(items: readonly T[]): T[];
  /** An independent stream named by `label`; does not advance this one. */
  split(label: string | number): Rng;
}

/** A stream that depends only on the seed. */
export const rng = (seed: string | number): Rng => stream(`lethe:${seed}`);

function stream(name: string): Rng {
  const digest = createHash("sha256").update(name).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at)) as [number, number, number, number];
  const next = (): number => {
    const r = Math.imul(b, 5);
    const result = Math.imul((r << 7) | (r >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const self: Rng = {
    uniform: () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992,
    below: (n) => Math.floor(self.uniform() * n),
    normal: () => Math.sqrt(-2 * Math.log(1 - self.uniform())) * Math.cos(2 * Math.PI * self.uniform()),
    shuffled: (items) => {
      const out = [...items];
      for (let i = out.length - 1; i > 0; i--) {
        const j = self.below(i + 1);
        [out[i], out[j]] = [out[j]!, out[i]!];
      }
      return out;
    },
    split: (label) => stream(`${name}/${label}`),
  };
  return self;
}
