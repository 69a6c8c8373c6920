/** Optimisers: how gradients become steps, in place over Float32Arrays. */
import { type NdArray } from "../base/array.ts";
import type { WeightName } from "../model/names.ts";

/** What an optimiser keeps for one weight: named moments of its size. */
export type Moments = Readonly<Record<string, Float32Array>>;

/** One weight's update: numbers in `weight` and `moments` change in place. */
export interface Update {
  readonly weight: Float32Array;
  readonly gradient: Float32Array;
  readonly moments: Moments;
  /** Steps begun so far, this one included. */
  readonly step: number;
  readonly lr: number;
  /** What the gradient is multiplied by first: clipping. */
  readonly scale: number;
  /** Whether weight decay applies. */
  readonly decays: boolean;
}

export interface Optimizer {
  readonly name: string;
  /** Names of the moments it keeps; each begins as zeros. */
  readonly moments: readonly string[];
  update(given: Update): void;
}

export interface AdamW {
  /** Decay rates of the first and second moments. */
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Decoupled: a step shrinks weights by lr · decay. */
  readonly decay: number;
}

/** Adam with decoupled weight decay (arXiv:1711.05101), bias-corrected; the same order of operations as torch.optim.AdamW. */
export function adamw({ betas: [b1, b2], eps, decay }: AdamW): Optimizer {
  return {
    name: "adamw",
    moments: ["first", "second"],
    update({ weight, gradient, moments, step, lr, scale, decays }) {
      const [first, second] = [moments["first"]!, moments["second"]!];
      const shrink = decays ? 1 - lr * decay : 1;
      const size = lr / (1 - b1 ** step);
      const root = Math.sqrt(1 - b2 ** step);
      for (let i = 0; i < weight.length; i++) {
        const g = gradient[i]! * scale;
        const m = (first[i] = b1 * first[i]! + (1 - b1) * g);
        const v = (second[i] = b2 * second[i]! + (1 - b2) * g * g);
        weight[i] = weight[i]! * shrink - (size * m) / (Math.sqrt(v) / root + eps);
      }
    },
  };
}

/** Norms and biases, which have one dimension, are not decayed. */
export const isDecayed = (array: NdArray): boolean => array.shape.length > 1;

/** L2 norm of all gradients together, summed in double precision. */
export function globalNorm(gradients: ReadonlyMap<WeightName, Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients.values()) for (let i = 0; i < gradient.length; i++) sum += gradient[i]! * gradient[i]!;
  return Math.sqrt(sum);
}

/** What gradients of norm `norm` are multiplied by so that it stays at most `most` (as torch.nn.utils.clip_grad_norm_ does). */
export const clipScale = (norm: number, most: number | undefined): number => (most === undefined ? 1 : Math.min(1, most / (norm + 1e-6)));

export interface Schedule {
  /** The highest learning rate. */
  readonly lr: number;
  /** Steps over which it rises from 0 (its first step uses lr / warmup). */
  readonly warmup: number;
  readonly shape: "constant" | "linear" | "cosine";
  /** The share of `lr` that is left at the end. */
  readonly floor: number;
}

/** The learning rate of step `step` (from 1) of `steps`. */
export function rateAt({ lr, warmup, shape, floor }: Schedule, step: number, steps: number): number {
  if (step <= warmup) return (lr * step) / warmup;
  if (shape === "constant") return lr;
  const done = Math.min(1, (step - 1 - warmup) / Math.max(1, steps - warmup));
  const left = shape === "linear" ? 1 - done : (1 + Math.cos(Math.PI * done)) / 2;
  return lr * (floor + (1 - floor) * left);
}
