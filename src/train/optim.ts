/** Optimisers: update weights in place from gradients; by a kernel for arrays in its memory, by a plain loop for others. */
import { type NdArray } from "../base/array.ts";
import type { WeightName } from "../model/names.ts";
import { addressOf, checkLength, eachPiece, reaches, sumOfSquares } from "./arrays.ts";
import type { Floats, Kernels, Moments } from "./parameter-store.ts";

/**
 * One weight's update: numbers in `weight` and `moments` change in place. A loop computes in double precision and rounds what it stores;
 * kernels compute in single precision, and are used if weight and moments are in their memory. The gradient may be in any memory.
 */
export interface Update {
  readonly weight: Floats;
  readonly gradient: Floats;
  readonly moments: Moments;
  readonly kernels?: Kernels | undefined;
  /** The number of this step, from 1. */
  readonly step: number;
  readonly lr: number;
  /** Factor for the gradient, from clipping. */
  readonly scale: number;
  /** Whether weight decay applies. */
  readonly decays: boolean;
}

export interface Optimizer {
  readonly name: string;
  /** Names of its moments; each starts at zero. */
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
  /** The momentum factor of the velocity; 0: no momentum. */
  readonly momentum: number;
  /** L2 regularisation: decay · weight is added to the gradient. */
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

/** L2 norm of all gradients together, by {@link sumOfSquares}; not finite if a number is not. Uses the kernels of a store. */
export function globalNorm(
  gradients: ReadonlyMap<WeightName, Floats>,
  store?: ReadonlyMap<WeightName, { readonly kernels: Kernels | undefined }>,
): number {
  let sum = 0;
  for (const [name, gradient] of gradients) sum += sumOfSquares(gradient, store?.get(name)?.kernels);
  return Math.sqrt(sum);
}

/** The factor that limits gradients of norm `norm` to `most` (as torch.nn.utils.clip_grad_norm_ does). */
export const clipScale = (norm: number, most: number | undefined): number => (most === undefined ? 1 : Math.min(1, most / (norm + 1e-6)));

export interface Schedule {
  /** The highest learning rate. */
  readonly lr: number;
  /** Steps of linear warm-up (the first step uses lr / warmup). */
  readonly warmup: number;
  readonly shape: "constant" | "linear" | "cosine";
  /** The share of `lr` at the end. */
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
