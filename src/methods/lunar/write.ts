/** Two ways to write a shift at the keys of some tokens and nothing at those of others: in closed form, and by the published descent. */
import type { NdArray } from "../../base/array.ts";
import { checkAbort, type Context } from "../../base/context.ts";
import { rng } from "../../base/rng.ts";
import { addTo, type Gemm, type Matrix, matrix, solveSymmetric } from "../../onnx/linalg.ts";
import { adamw } from "../../train/optim.ts";

/** What the closed form is solved from. Moments are sums over tokens, k·kᵀ [m, m]. */
export interface Discriminant {
  readonly forget: Matrix;
  readonly retain: Matrix;
  readonly text: Matrix;
  /** The sum of the forget keys [m]. */
  readonly sum: Float64Array;
  readonly rho: number;
  readonly lambda: number;
}

/**
 * a [m] = (K_f·K_fᵀ + ρ·K_r·K_rᵀ + λC)⁻¹·K_f·1. It minimises Σ_f (a·k − 1)² + ρ·Σ_r (a·k)² + λ·aᵀCa: a·k is near 1 at forget keys, near 0 at
 * the others. With it, ΔW = s·aᵀ minimises the squared error of the outputs (old + s at forget keys, old at the others) among all matrices.
 */
export async function discriminant(
  { forget, retain, text, sum, rho, lambda }: Discriminant,
  gemm: Gemm,
  ctx: Context,
): Promise<Float64Array> {
  const m = sum.length;
  const whole = matrix(m, m, forget.data.slice());
  addTo(whole, retain, rho);
  addTo(whole, text, lambda);
  return (await solveSymmetric(whole, matrix(m, 1, sum), gemm, ctx)).data;
}

/** The published descent: AdamW as PyTorch has it, from the weights as they are. */
const DESCENT = { epochs: 20, batch: 64, lr: 0.01, fall: 0.9, decay: 0.01 } as const;

/** Tokens to be moved or held. */
export interface Tokens {
  /** Keys in parts, each [tokens, m]. */
  readonly keys: readonly NdArray[];
  readonly isForget: boolean;
}

export interface Descended {
  readonly change: Float64Array;
  /** The mean loss of the batches of each epoch, before their updates. */
  readonly losses: readonly number[];
}

/**
 * The change [D, m] of a matrix W after descents on the mean of (ΔW·k − s)² at forget keys and of ρ·(ΔW·k)² at the others, over a batch's tokens
 * and over D. The learning rate falls by a factor after each epoch; weight decay pulls at W itself.
 */
export async function descend(
  before: Matrix,
  tokens: readonly Tokens[],
  { shift, rho, seed }: { readonly shift: Float64Array; readonly rho: number; readonly seed: number },
  gemm: Gemm,
  ctx: Context,
): Promise<Descended> {
  const [D, m] = before.shape as [number, number];
  const all = tokens.flatMap(({ keys, isForget }) => keys.flatMap((part) => rowsOf(part, m).map((key) => ({ key, isForget }))));
  const { epochs, batch, lr, fall, decay } = DESCENT;
  const weight = before.data.slice();
  const moments = { first: new Float64Array(weight.length), second: new Float64Array(weight.length) };
  const adam = adamw({ betas: [0.9, 0.999], eps: 1e-8, decay });
  const change = matrix(D, m);
  const losses: number[] = [];
  let step = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    ctx.log({ kind: "progress", stage: "descent", done: epoch, total: epochs, unit: "epochs" });
    const order = rng(seed).split("lunar").split(epoch).shuffled(all);
    let total = 0;
    for (let next = 0; next < order.length; next += batch) {
      checkAbort(ctx, "lunar");
      const part = order.slice(next, next + batch);
      const keys = matrix(part.length, m);
      part.forEach(({ key }, i) => keys.data.set(key, i * m));
      for (let i = 0; i < weight.length; i++) change.data[i] = weight[i]! - before.data[i]!;
      const errors = await gemm(keys, change, { transB: true }); // [b, D]
      total += weigh(errors, part, shift, rho);
      const gradient = await gemm(errors, keys, { transA: true }); // [D, m]
      const scale = 2 / (part.length * D);
      adam.update({ weight, gradient: gradient.data, moments, step: ++step, lr: lr * fall ** epoch, scale, decays: true });
    }
    losses.push(total / order.length);
  }
  return { change: weight.map((x, i) => x - before.data[i]!), losses };
}

/** Turns outputs [b, D] into weighted errors, in place. Returns the sum over tokens of the mean squared error over D. */
function weigh(outputs: Matrix, part: readonly { readonly isForget: boolean }[], shift: Float64Array, rho: number): number {
  const D = shift.length;
  let sum = 0;
  part.forEach(({ isForget }, i) => {
    for (let d = 0; d < D; d++) {
      const error = outputs.data[i * D + d]! - (isForget ? shift[d]! : 0);
      const weight = isForget ? 1 : rho;
      sum += (weight * error * error) / D;
      outputs.data[i * D + d] = weight * error;
    }
  });
  return sum;
}

const rowsOf = (part: NdArray, m: number): Float64Array[] =>
  Array.from({ length: part.shape[0]! }, (_, i) => Float64Array.from((part.data as Float64Array).subarray(i * m, (i + 1) * m)));

/** u [m] of a change: u·k is the share of the shift that the change adds at a key k. For s·aᵀ it is a. */
export function shareOf(change: Float64Array, shift: Float64Array): Float64Array {
  const m = change.length / shift.length;
  const size = shift.reduce((sum, x) => sum + x * x, 0);
  const out = new Float64Array(m);
  shift.forEach((x, d) => {
    for (let j = 0; j < m; j++) out[j]! += (x * change[d * m + j]!) / size;
  });
  return out;
}
