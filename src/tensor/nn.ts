/** Parts that networks share, composed from operations: linear maps, attention, masks. */
import { addDim, type Dim, mulDim } from "./dim.ts";
import type { Tensor } from "./tensor.ts";

/** x [..., in] through a weight [out, in] and an optional bias [out]. */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor => {
  const y = x.matmul(weight, { transB: true });
  return bias ? y.add(bias) : y;
};

/** The low-rank product that is added to a linear map (LoRA, arXiv:2106.09685, equation 3). */
export interface LowRank {
  readonly a: Tensor; // [r, in]
  readonly b: Tensor; // [out, r]
  readonly scale: number;
  /** Applied to x first: dropout, during training. */
  readonly drop?: (x: Tensor) => Tensor;
}

/** scale · (drop(x) · aᵀ) · bᵀ of x [..., in]: [..., out], without a matrix [out, in]. */
export const lowRank = (x: Tensor, { a, b, scale, drop }: LowRank): Tensor =>
  (drop ? drop(x) : x).matmul(a, { transB: true }).mul(scale).matmul(b, { transB: true });

/** cap · tanh(x / cap). */
export const capped = (x: Tensor, cap: number): Tensor => x.div(cap).tanh().mul(cap);

/** LayerNorm over the last axis (arXiv:1607.06450): (x − mean) / √(variance + eps) · weight [D] + bias [D]. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor | undefined, eps: number): Tensor {
  const away = x.sub(x.mean(-1, true));
  const unit = away.div(away.square().mean(-1, true).add(eps).sqrt()).mul(weight);
  return bias ? unit.add(bias) : unit;
}

/** GELU (arXiv:1606.08415): x · Φ(x). */
export const gelu = (x: Tensor): Tensor => x.mul(x.mul(Math.SQRT1_2).erf().add(1)).mul(0.5);

/** GELU by its approximation with tanh, which GPT-2 and Gemma use: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³))). */
export const geluTanh = (x: Tensor): Tensor =>
  x
    .mul(
      x
        .add(x.mul(x).mul(x).mul(0.044715))
        .mul(Math.sqrt(2 / Math.PI))
        .tanh()
        .add(1),
    )
    .mul(0.5);

/**
 * Heads [B, H, T, d] whose rotation turns neighbours (0, 1), (2, 3), … as heads for a rotation of halves: (0, d/2), (1, d/2 + 1), …
 * Queries and keys change alike, so their products stay.
 */
export const halved = (x: Tensor): Tensor => {
  const [B, H, T, d] = x.shape as [Dim, Dim, Dim, number];
  return x
    .reshape([B, H, T, d / 2, 2])
    .transpose(0, 1, 2, 4, 3)
    .reshape([B, H, T, d]);
};

/** [B, T, H·d] → [B, H, T, d]. */
export const splitHeads = (x: Tensor, heads: number, size: number): Tensor =>
  x.reshape([x.dim(0), x.dim(1), heads, size]).transpose(0, 2, 1, 3);

/** [B, H, T, d] → [B, T, H·d]. */
export const joinHeads = (x: Tensor): Tensor => x.transpose(0, 2, 1, 3).reshape([x.dim(0), x.dim(2), mulDim(x.dim(1), x.dim(3))]);

/** Keys and values of a range of positions: [B, KV, S, d] each. */
export interface KeyValue {
  readonly k: Tensor;
  readonly v: Tensor;
}

/**
 * Grouped-query attention: q [B, H, T, d] over ranges of keys and values, in order, with an additive bias [B, 1, T, S].
 * Queries that share a key head are adjacent, so keys are not repeated. The ranges are not concatenated, only their scores are.
 * With a cap, a score is cap · tanh(score / cap).
 */
export function attention(q: Tensor, stretches: readonly KeyValue[], bias: Tensor, scale: number, cap?: number): Tensor {
  const [B, H, T, d] = q.shape as [Dim, number, Dim, number];
  const groups = stretches[0]!.k.dim(1) as number;
  const repeat = H / groups;
  const grouped = q.mul(scale).reshape([B, groups, mulDim(repeat, T), d]);
  const parts = stretches.map(({ k }) => grouped.matmul(k, { transB: true })); // [B, KV, rep·T, S]
  const plain = parts.length === 1 ? parts[0]! : parts[0]!.concat(parts.slice(1), 3);
  const scores = cap === undefined ? plain : capped(plain, cap);
  const S = scores.dim(3);
  const weights = scores.reshape([B, groups, repeat, T, S]).add(bias.unsqueeze(2)).softmax().reshape(scores.shape);
  let at: Dim = 0;
  const mixed = stretches.map(({ k, v }) => {
    const end = addDim(at, k.dim(2));
    const part = stretches.length === 1 ? weights : weights.slice(3, at, end);
    at = end;
    return part.matmul(v);
  });
  return mixed.reduce((a, b) => a.add(b)).reshape([B, H, T, d]);
}

/**
 * The attention bias: 0 where a query may attend, −1e30 elsewhere: [B, 1, T, S].
 * A query at position p attends to real keys at positions ≤ p; with a window, only to the last `window` of them, including itself.
 */
export function attentionBias(
  queries: Tensor, // int64 [B, T]
  keys: Tensor, // int64 [B, S]
  real: Tensor | undefined, // bool [B, S]
  window: number | undefined,
  dtype: "float32" | "float64",
): Tensor {
  const trace = queries.trace;
  const [p, s] = [queries.unsqueeze(2), keys.unsqueeze(1)]; // [B, T, 1], [B, 1, S]
  let sees = s.lessOrEqual(p);
  if (real) sees = sees.and(real.unsqueeze(1));
  if (window !== undefined) sees = sees.and(p.sub(window).less(s));
  return sees.where(trace.constant(0, dtype), trace.constant(-1e30, dtype)).unsqueeze(1);
}
