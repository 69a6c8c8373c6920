/** The trained numbers of a model: weights, or low-rank factors. */
import { asFloats, type NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { changed } from "../edit/apply.ts";
import { traced, type TracedModel } from "../model/forward.ts";
import type { Model, Precision, Weights } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import type { Trace } from "../tensor/trace.ts";
import { loraOf, type LoraParams } from "./lora.ts";

/** The numbers that a loss is differentiated by, each with its name in checkpoints. */
export interface Trainable {
  /** The values before the first step. */
  start(dtype: Precision): ReadonlyMap<string, NdArray>;
  /** The model in a trace, with an input for each. */
  trace(t: Trace, dtype: Precision): TracedModel;
  /** The name of that input. */
  inputOf(name: string): string;
  /** The lowest trained block; training changes nothing below it. */
  readonly lowest: number;
  /** The model's weights computed from the numbers. */
  weights(numbers: ReadonlyMap<string, NdArray>): Weights;
}

/** Weights by name; refuses an unknown name. */
export function weightsOf(model: Model, names: readonly WeightName[]): Trainable {
  const stored = (name: WeightName): NdArray =>
    model.weights.get(name) ?? fail("train", `weight "${name}"`, `one of ${[...model.weights.keys()].slice(0, 12).join(", ")}, …`, "");
  names.forEach(stored);
  const inputOf = (name: WeightName): string => `own.${name}`;
  return {
    start: (dtype) => new Map(names.map((name) => [name, asFloats(stored(name), dtype)])),
    // with the role "weight", so that the blocks of a model share one session
    trace: (t, dtype) =>
      traced(model, t, dtype, Object.fromEntries(names.map((name) => [name, t.input(inputOf(name), dtype, stored(name).shape, "weight")]))),
    inputOf,
    lowest: lowestOf(model, names),
    weights: (numbers) => numbers,
  };
}

/** Low-rank factors of linear maps, with dropout. */
export function factorsOf(model: Model, params: LoraParams, seed: string | number): Trainable {
  const lora = loraOf(model, params);
  return {
    start: (dtype) => lora.start(seed, dtype),
    trace: (t, dtype) => traced(model, t, dtype, {}, lora.added(t, { training: true, dtype })),
    inputOf: (name) => name,
    lowest: lowestOf(model, lora.maps.keys()),
    weights: (numbers) =>
      new Map(Object.entries(lora.deltas(numbers)).map(([name, delta]) => [name, changed(name, model.weights.get(name)!, delta)])),
  };
}

/** The lowest block of some names. The embedding is below all blocks; head and final norm are above, unless the head is the embedding. */
export function lowestOf({ config }: Pick<Model, "config">, names: Iterable<WeightName>): number {
  const levels = [...names].map((name) => {
    const block = /^blocks\.(\d+)\./.exec(name)?.[1];
    return block !== undefined ? Number(block) : name === "final_norm" || name.startsWith("head") ? config.layers : 0;
  });
  return Math.min(config.layers, ...levels);
}
