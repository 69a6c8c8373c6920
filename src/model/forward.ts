/** The traced forward pass: tokens or hidden states in, hidden states, keys and values out, with taps on the way. */
import { fail } from "../base/fail.ts";
import { formatShape, productDim } from "../tensor/dim.ts";
import { attention, attentionBias, type KeyValue, linear, type LowRank, lowRank } from "../tensor/nn.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Trace } from "../tensor/trace.ts";
import { linearMaps } from "./arch/arch.ts";
import { type Model, type Precision, tableLength } from "./model.ts";
import { adapting, type Positions } from "./adapter.ts";
import { type ActivationName, siteName, type WeightName } from "./names.ts";

/** Reads or rewrites activations at trace time. */
export type Taps = Partial<Record<ActivationName, (h: Tensor) => Tensor>>;

/** Keys and values of earlier positions, layer by layer, and where they stand. */
export interface Past {
  readonly positions: Tensor; // int64 [B, P]
  readonly real?: Tensor; // bool [B, P]
  readonly layers: readonly KeyValue[]; // [B, KV, P, d]
}

export interface Given extends Positions {
  readonly past?: Past;
  readonly taps?: Taps;
}

export interface Pass {
  readonly hidden: Tensor; // [B, T, D]
  readonly layers: readonly KeyValue[]; // of these positions only
  /** What each adapter decided, for the positions after these. */
  readonly carries: Readonly<Record<number, Tensor>>; // adapter → [B, C]
}

/** A model inside one trace, in one precision; weights given here stand in for the model's own. */
export interface TracedModel {
  readonly model: Model;
  readonly trace: Trace;
  readonly dtype: Precision;
  weight(name: WeightName): Tensor;
  embed(tokens: Tensor, positions: Tensor): Tensor;
  /** Blocks `from` … `to`−1 over hidden states [B, T, D]. */
  blocks(x: Tensor, from: number, to: number, given: Given): Pass;
  /** The whole model up to the last block's output. */
  forward(tokens: Tensor, given: Given): Pass;
  /** Rows `rows` (of B·T, in order) of hidden states, normed for the head: [M, D]; without `rows`, all. */
  normed(hidden: Tensor, rows?: Tensor): Tensor;
  /** The head's matrix [V, D]. */
  head(): Tensor;
  /** Logits [M, V] of normed rows. */
  logits(normed: Tensor, taps?: Taps): Tensor;
}

/** Brings a model into a trace; what is added to linear maps of its blocks is computed beside them, at low rank. */
export function traced(
  model: Model,
  trace: Trace,
  dtype: Precision = "float32",
  weights: Readonly<Record<WeightName, Tensor>> = {},
  added: Readonly<Record<WeightName, LowRank>> = {},
): TracedModel {
  const { arch, config: c } = model;
  const weight = (name: WeightName): Tensor => {
    const given = weights[name];
    if (given) return given.cast(dtype);
    const stored = model.weights.get(name)!;
    return trace.input(name, stored.dtype, stored.shape, "weight").cast(dtype);
  };
  checkAdded(model, added);
  const map = (name: WeightName, h: Tensor): Tensor => {
    const bias = `${name}.bias`;
    const y = linear(h, weight(name), model.weights.has(bias) ? weight(bias) : undefined);
    const more = added[name];
    return more ? y.add(lowRank(h, { ...more, a: more.a.cast(dtype), b: more.b.cast(dtype) })) : y;
  };
  const ropeShape = [tableLength(c), c.rope.size / 2];
  const rope = (x: Tensor, positions: Tensor): Tensor =>
    x.rope(
      positions,
      trace.input(`rope.cos.${dtype}`, dtype, ropeShape, "weight"),
      trace.input(`rope.sin.${dtype}`, dtype, ropeShape, "weight"),
    );

  const self: TracedModel = {
    model,
    trace,
    dtype,
    weight,
    embed: (tokens, positions) => arch.embed(tokens, positions, weight, c),
    blocks(x, from, to, given) {
      const layers: KeyValue[] = [];
      const adapted = adapting({ adapters: model.adapters, trace, dtype }, given);
      let hidden = x;
      for (let layer = from; layer < to; layer++) {
        hidden = arch.block(hidden.boundary(`blocks.${layer}`), c, layer, {
          weight: (name) => weight(`blocks.${layer}.${name}`),
          linear: (name, h) => map(`blocks.${layer}.${name}`, h),
          tap: (site, h) => {
            const own = adapted.at(siteName(layer, site), h);
            return given.taps?.[siteName(layer, site)]?.(own) ?? own;
          },
          rope: (h) => rope(h, given.positions),
          attend: (q, kv, scale) => {
            layers.push(kv);
            const past = given.past?.layers[layer - from];
            return attention(q, past ? [past, kv] : [kv], bias(given, c.window, dtype), scale);
          },
        });
      }
      return { hidden, layers, carries: adapted.carries };
    },
    forward(tokens, given) {
      const embedded = self.embed(tokens, given.positions);
      return self.blocks(given.taps?.embed?.(embedded) ?? embedded, 0, c.layers, given);
    },
    normed(hidden, rows) {
      const flat = hidden.boundary("head").reshape([productDim(hidden.shape.slice(0, -1)), c.width]);
      return arch.finalNorm(rows ? flat.rows(rows) : flat, weight, c);
    },
    head: () => weight(c.tied ? "embed" : "head"),
    logits: (normed, taps) => {
      const y = (taps?.final_norm?.(normed) ?? normed).matmul(self.head(), { transB: true });
      return taps?.logits?.(y) ?? y;
    },
  };
  return self;
}

/** Refuses an addition to what is no linear map of a block, which no pass would ask for. */
function checkAdded(model: Model, added: Readonly<Record<WeightName, LowRank>>): void {
  const names = Object.keys(added);
  const maps = names.length ? linearMaps(model) : new Map<WeightName, readonly number[]>();
  for (const name of names) {
    const shape = maps.get(name) ?? fail("model", `an addition to "${name}"`, "a linear map of a block", "", "internal");
    const { a, b } = added[name]!;
    if (a.dim(1) !== shape[1] || b.dim(0) !== shape[0] || a.dim(0) !== b.dim(1))
      fail("model", `factors ${formatShape(b.shape)} · ${formatShape(a.shape)} for "${name}"`, formatShape(shape), "", "internal");
  }
}

function bias({ positions, real, past }: Given, window: number | undefined, dtype: Precision): Tensor {
  const keys = past ? past.positions.concat([positions], 1) : positions;
  if (!past?.real && !real) return attentionBias(positions, keys, undefined, window, dtype);
  const all = (t: Tensor): Tensor => t.equal(t); // no mask given: every position is text
  const here = real ?? all(positions);
  return attentionBias(positions, keys, past ? (past.real ?? all(past.positions)).concat([here], 1) : here, window, dtype);
}
