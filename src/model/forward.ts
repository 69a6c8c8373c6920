/** The traced forward pass: tokens or hidden states in, hidden states, keys and values out, with taps on the way. */
import { fail, nearest } from "../base/fail.ts";
import { formatShape, productDim } from "../tensor/dim.ts";
import { attention, attentionBias, capped, type KeyValue, linear, type LowRank, lowRank } from "../tensor/nn.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Trace } from "../tensor/trace.ts";
import { type Attending, type Config, linearMaps } from "./arch/arch.ts";
import { type Model, type Precision, ropeInput, ropeNamed, tableLength } from "./model.ts";
import { adapting, type Positions } from "./adapter.ts";
import { type ActivationName, siteName, type WeightName } from "./names.ts";

/** Reads or rewrites activations at trace time. */
export type Taps = Partial<Record<ActivationName, (h: Tensor) => Tensor>>;

/** Reads or rewrites what goes into a linear map, x [B, T, in], and what comes out of it, y [B, T, out], at trace time. */
export interface MapTap {
  readonly input?: (x: Tensor) => Tensor;
  /** y is the whole output: with the bias, and with what is added to the map. */
  readonly output?: (y: Tensor, x: Tensor) => Tensor;
}

/** Linear maps of blocks by the name of their weight. */
export type Maps = Readonly<Record<WeightName, MapTap>>;

/** Keys and values of earlier positions, layer by layer, and where they stand. */
export interface Past {
  readonly positions: Tensor; // int64 [B, P]
  readonly real?: Tensor; // bool [B, P]
  readonly layers: readonly KeyValue[]; // [B, KV, P, d]
}

export interface Given extends Positions {
  readonly past?: Past;
  readonly taps?: Taps;
  /** Linear maps to be read or rewritten, all of them in blocks that this pass goes through. */
  readonly maps?: Maps;
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
  /** Log-probabilities of normed rows [M, D]: at `labels` [M] → [M], and of every token [M, V] (no gradient through the second). */
  logProbs(normed: Tensor, labels: Tensor): { readonly picked: Tensor; readonly all: Tensor };
}

/** The bias of the head [V], where a model has one. */
const HEAD_BIAS = "head.bias";

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
  const [map, rope] = [linearsOf(model, weight, added, dtype), ropeOf(model, trace, dtype)];
  const self: TracedModel = {
    model,
    trace,
    dtype,
    weight,
    embed: (tokens, positions) => arch.embed(tokens, positions, weight, c),
    blocks(x, from, to, given) {
      checkMaps(model, given.maps ?? {}, from, to);
      const layers: KeyValue[] = [];
      const adapted = adapting({ adapters: model.adapters, trace, dtype }, given);
      let hidden = x;
      for (let layer = from; layer < to; layer++) {
        hidden = arch.block(hidden.boundary(`blocks.${layer}`), c, layer, {
          weight: (name) => weight(`blocks.${layer}.${name}`),
          linear: (name, h) => map(`blocks.${layer}.${name}`, h, given.maps?.[`blocks.${layer}.${name}`]),
          tap: (site, h) => {
            const own = adapted.at(siteName(layer, site), h);
            return given.taps?.[siteName(layer, site)]?.(own) ?? own;
          },
          positions: given.positions,
          rope: (h, table) => rope(h, given.positions, table),
          attend: (q, kv, scale, how) => {
            layers.push(kv);
            return attended(q, kv, scale, { config: c, given, past: given.past?.layers[layer - from], dtype, ...how });
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
    ...headOf(model, weight),
  };
  return self;
}

/** From normed rows to logits and log-probabilities. */
function headOf({ config: c, weights }: Model, weight: (name: WeightName) => Tensor): Pick<TracedModel, "head" | "logits" | "logProbs"> {
  const head = (): Tensor => weight(c.tied ? "embed" : "head");
  const bias = (): Tensor | undefined => (weights.has(HEAD_BIAS) ? weight(HEAD_BIAS) : undefined);
  const logits = (normed: Tensor, taps?: Taps): Tensor => {
    const plain = linear(taps?.final_norm?.(normed) ?? normed, head(), bias());
    const y = c.logitCap === undefined ? plain : capped(plain, c.logitCap);
    return taps?.logits?.(y) ?? y;
  };
  return {
    head,
    logits,
    logProbs(normed, labels) {
      if (c.logitCap === undefined && !weights.has(HEAD_BIAS)) return normed.labelLogProbs(head(), labels);
      const all = logits(normed).logSoftmax();
      return { picked: all.pick(labels), all: all.detach() };
    },
  };
}

interface Attended extends Attending {
  readonly config: Config;
  readonly given: Given;
  readonly past: KeyValue | undefined;
  readonly dtype: Precision;
}

/** Attention over earlier keys and values and these. Where all blocks are alike, all have the config's window. */
function attended(q: Tensor, kv: KeyValue, scale: number, { config, given, past, dtype, window, cap }: Attended): Tensor {
  const seen = window ?? (config.kinds ? undefined : config.window);
  return attention(q, past ? [past, kv] : [kv], bias(given, seen, dtype), scale, cap);
}

/** Runs linear maps by name: with their biases and with what is added to them, between the two sides of a tap. */
function linearsOf(
  model: Model,
  weight: (name: WeightName) => Tensor,
  added: Readonly<Record<WeightName, LowRank>>,
  dtype: Precision,
): (name: WeightName, h: Tensor, tap?: MapTap) => Tensor {
  checkAdded(model, added);
  return (name, h, { input, output } = {}) => {
    const x = input?.(h) ?? h;
    const bias = `${name}.bias`;
    const y = linear(x, weight(name), model.weights.has(bias) ? weight(bias) : undefined);
    const more = added[name];
    const whole = more ? y.add(lowRank(x, { ...more, a: more.a.cast(dtype), b: more.b.cast(dtype) })) : y;
    return output?.(whole, x) ?? whole;
  };
}

/** Rotates the first numbers of heads [B, H, T, d] to positions [B, T] by one of the model's tables. */
function ropeOf({ config }: Model, trace: Trace, dtype: Precision): (x: Tensor, positions: Tensor, table?: string) => Tensor {
  return (x, positions, name) => {
    const { size } = ropeNamed(config, name);
    const shape = [tableLength(config), size / 2];
    const table = (part: "cos" | "sin"): Tensor => trace.input(ropeInput(part, dtype, name), dtype, shape, "weight");
    const turned = (h: Tensor): Tensor => h.rope(positions, table("cos"), table("sin"));
    const d = x.dim(3);
    return size === d ? turned(x) : turned(x.slice(3, 0, size)).concat([x.slice(3, size, d)], 3);
  };
}

/** Refuses an addition to what is no linear map of a block, which no pass would ask for. */
function checkAdded(model: Model, added: Readonly<Record<WeightName, LowRank>>): void {
  for (const [name, shape] of shapesOf(model, Object.keys(added), "an addition to")) {
    const { a, b } = added[name]!;
    if (a.dim(1) !== shape[1] || b.dim(0) !== shape[0] || a.dim(0) !== b.dim(1))
      fail("model", `factors ${formatShape(b.shape)} · ${formatShape(a.shape)} for "${name}"`, formatShape(shape), "", "internal");
  }
}

/** Refuses a tap on what is no linear map, or is one of a block that the pass does not go through. */
function checkMaps(model: Model, maps: Maps, from: number, to: number): void {
  for (const [name] of shapesOf(model, Object.keys(maps), "a tap on")) {
    const layer = Number(name.split(".")[1]);
    if (layer < from || layer >= to)
      fail("model", `a tap on "${name}"`, `a linear map of blocks ${from} to ${to - 1}`, "This pass goes through no other block.");
  }
}

/** The shapes of linear maps by name; refuses a name that is none, with the nearest that is. */
function shapesOf(model: Model, names: readonly WeightName[], what: string): [WeightName, readonly number[]][] {
  const maps = names.length ? linearMaps(model) : new Map<WeightName, readonly number[]>();
  return names.map((name) => {
    const shape = maps.get(name);
    if (shape) return [name, shape];
    const near = nearest(name, [...maps.keys()]);
    return fail("model", `${what} "${name}"`, "a linear map of a block", near === undefined ? "" : `Did you mean "${near}"?`);
  });
}

function bias({ positions, real, past }: Given, window: number | undefined, dtype: Precision): Tensor {
  const keys = past ? past.positions.concat([positions], 1) : positions;
  if (!past?.real && !real) return attentionBias(positions, keys, undefined, window, dtype);
  const all = (t: Tensor): Tensor => t.equal(t); // no mask given: every position is text
  const here = real ?? all(positions);
  return attentionBias(positions, keys, past ? (past.real ?? all(past.positions)).concat([here], 1) : here, window, dtype);
}
