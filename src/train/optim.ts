/** Optimisers: how gradients become steps, in place; by a kernel where the arrays lie in its memory, by a plain loop elsewhere. */
import { type NdArray } from "../base/array.ts";
import type { WeightName } from "../model/names.ts";
import { addressOf, checkLength, eachPiece, reaches, sumOfSquares } from "./arrays.ts";
import type { Floats, Kernels, Moments } from "./parameter-store.ts";

/**
 * One weight's update: numbers in `weight` and `moments` change in place. A loop computes in double precision and rounds what it stores;
 * kernels compute in single precision, and are used where they reach weight and moments. The gradient may lie anywhere.
 */
export interface Update {
  readonly weight: Floats;
  readonly gradient: Floats;
  readonly moments: Moments;
  readonly kernels?: Kernels | undefined;
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

/** Adam with decoupled weight decay (arXiv:1711.05101), bias-corrected; the loop has the same order of operations as torch.optim.AdamW. */
export function adamw({ betas: [b1, b2], eps, decay }: AdamW): Optimizer {
  return {
    name: "adamw",
    moments: ["first", "second"],
    update({ weight, gradient, moments, kernels, step, lr, scale, decays }) {
      const [first, second] = [moments["first"]!, moments["second"]!];
      checkLength("adamw", weight, gradient, first, second);
      const shrink = decays ? lr * decay : 0;
      const size = lr / (1 - b1 ** step);
      const root = Math.sqrt(1 - b2 ** step);
      if (reaches(kernels, weight, first, second)) {
        eachPiece(kernels, gradient, (address, from, count) => {
          const [w, m, v] = [addressOf(weight, from), addressOf(first, from), addressOf(second, from)];
          kernels.adamw(w, address, m, v, count, scale, 1 - b1, 1 - b2, size, 1 / root, eps, shrink);
        });
        return;
      }
      for (let i = 0; i < weight.length; i++) {
        const g = gradient[i]! * scale;
        const m = (first[i] = b1 * first[i]! + (1 - b1) * g);
        const v = (second[i] = b2 * second[i]! + (1 - b2) * g * g);
        weight[i] = weight[i]! * (1 - shrink) - (size * m) / (Math.sqrt(v) / root + eps);
      }
    },
  };
}

export interface Sgd {
  /** What is left of the velocity after a step; 0 keeps none. */
  readonly momentum: number;
  /** L2 regularisation: decay · weight joins the gradient. */
  readonly decay: number;
}

/** Stochastic gradient descent with momentum and L2 regularisation, as torch.optim.SGD has them (no dampening, no Nesterov). */
export function sgd({ momentum, decay }: Sgd): Optimizer {
  return momentum === 0 ? plainSgd(decay) : momentumSgd(momentum, decay);
}

const plainSgd = (decay: number): Optimizer => ({
  name: "sgd",
  moments: [],
  update({ weight, gradient, kernels, lr, scale, decays }) {
    checkLength("sgd", weight, gradient);
    const pull = decays ? decay : 0;
    if (reaches(kernels, weight))
      eachPiece(kernels, gradient, (address, from, count) => kernels.sgd(addressOf(weight, from), address, count, lr * scale, lr * pull));
    else for (let i = 0; i < weight.length; i++) weight[i]! -= lr * (scale * gradient[i]! + pull * weight[i]!);
  },
});

const momentumSgd = (momentum: number, decay: number): Optimizer => ({
  name: "sgd",
  moments: ["velocity"],
  update({ weight, gradient, moments, kernels, lr, scale, decays }) {
    const velocity = moments["velocity"]!;
    checkLength("sgd", weight, gradient, velocity);
    const pull = decays ? decay : 0;
    if (reaches(kernels, weight, velocity)) {
      eachPiece(kernels, gradient, (address, from, count) =>
        kernels.momentum(addressOf(weight, from), address, addressOf(velocity, from), count, scale, momentum, lr, pull),
      );
      return;
    }
    for (let i = 0; i < weight.length; i++) {
      const v = (velocity[i] = momentum * velocity[i]! + (scale * gradient[i]! + pull * weight[i]!));
      weight[i]! -= lr * v;
    }
  },
});

/** Norms and biases, which have one dimension, are not decayed. */
export const isDecayed = (array: NdArray): boolean => array.shape.length > 1;

/** L2 norm of all gradients together, as exact as {@link sumOfSquares}, and as plain when a number is not finite. A store lends its kernels. */
export function globalNorm(
  gradients: ReadonlyMap<WeightName, Floats>,
  store?: ReadonlyMap<WeightName, { readonly kernels: Kernels | undefined }>,
): number {
  let sum = 0;
  for (const [name, gradient] of gradients) sum += sumOfSquares(gradient, store?.get(name)?.kernels);
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
