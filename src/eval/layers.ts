/** Numbers of the same questions under several seeds: their mean, its interval, and the paired difference between two of them. */
import type { Rng } from "../base/rng.ts";
import { bootstrap, type Interval, type Paired, resampledP, shareInterval } from "./stats.ts";

/** A smaller difference is none: equal values with other weights have other rounding errors. */
const ROUNDING = 1e-12;

/** A question's value under one seed, and its weight in the mean. */
interface Weighted {
  readonly value: number;
  readonly weight: number;
}
/** One seed: its questions by id. */
export type Layer = ReadonlyMap<string, Weighted>;
/** Every seed by its name. */
export type Layers = ReadonlyMap<string, Layer>;

/** The values of a seed's runs by question. A run's questions share the weight 1, so that the mean of a layer is the mean of its runs. */
export function layerOf(runs: readonly Readonly<Record<string, number>>[]): Layer {
  const sums = new Map<string, { total: number; weight: number }>();
  for (const run of runs) {
    const entries = Object.entries(run);
    for (const [id, value] of entries) {
      const sum = sums.get(id) ?? { total: 0, weight: 0 };
      sums.set(id, sum);
      sum.total += value / entries.length;
      sum.weight += 1 / entries.length;
    }
  }
  return new Map([...sums].map(([id, { total, weight }]) => [id, { value: total / weight, weight }]));
}

/** Every question that some seed has, in their order. */
export const questionsIn = (layers: Layers): string[] => [...new Set([...layers.values()].flatMap((layer) => [...layer.keys()]))];

/** The layers as rows of numbers: `values[seed][question]`, with the weight 0 where a seed lacks the question. */
interface Dense {
  readonly values: readonly Float64Array[];
  readonly weights: readonly Float64Array[];
}

function denseOf(layers: Layers, ids: readonly string[], seeds: readonly string[] = [...layers.keys()]): Dense {
  const rowOf = (pick: (cell: Weighted) => number): Float64Array[] =>
    seeds.map((seed) => {
      const layer = layers.get(seed)!;
      return Float64Array.from(ids, (id) => (layer.has(id) ? pick(layer.get(id)!) : 0));
    });
  return { values: rowOf(({ value }) => value), weights: rowOf(({ weight }) => weight) };
}

/** Indices of what was drawn. */
type Draw = Uint32Array | readonly number[];

/** The weighted mean over drawn seeds and drawn questions. Where no drawn seed has a drawn question, all questions of those seeds count. */
function drawnMean({ values, weights }: Dense, seeds: Draw, questions: Draw): number {
  let [total, weight] = [0, 0];
  for (const seed of seeds) {
    const [value, own] = [values[seed]!, weights[seed]!];
    for (const i of questions) {
      total += own[i]! * value[i]!;
      weight += own[i]!;
    }
  }
  return weight > 0 ? total / weight : drawnMean({ values, weights }, seeds, [...values[0]!.keys()]);
}

/**
 * The exact interval of a share, if every question has the same answer, yes or no, in all runs and under all seeds; otherwise undefined. The
 * questions count alike, or all have one answer. A bootstrap of questions that all agree would claim to know the share for certain.
 */
export function agreedShare(runs: readonly Readonly<Record<string, number>>[]): Interval | null | undefined {
  const questions = [...layerOf(runs).values()];
  const [first] = questions;
  const isLike = (x: number, y: number): boolean => Math.abs(x - y) < ROUNDING * Math.max(1, y);
  const isAgreed = questions.every(({ value }) => isLike(value, 0) || isLike(value, 1));
  const isEven = (["value", "weight"] as const).some((key) => questions.every((one) => isLike(one[key], first![key])));
  return isAgreed && isEven ? shareInterval(questions.filter(({ value }) => value > 0.5).length, questions.length) : undefined;
}

/**
 * The bootstrap interval of the mean. Each resample draws seeds, and draws questions once for all of them: seeds are asked the same questions,
 * so a hard question stays hard under every seed. Null where there is nothing to draw from, or a value is not a number.
 */
export function layeredInterval(layers: Layers, chance: Rng): Interval | null {
  const ids = questionsIn(layers);
  const dense = denseOf(layers, ids);
  const found = bootstrap([layers.size, ids.length], ([seeds, questions]) => drawnMean(dense, seeds!, questions!), chance);
  return found && { ...found, by: layers.size > 1 ? "bootstrap over seeds and questions" : "bootstrap over questions" };
}

/** Resamples as far from 0 as the difference, after which its p-value is known well enough: it is above 0.1, or nearly so. */
const ENOUGH = 100;

/** The differences of questions that all have one weight under one seed: then their mean is the whole statistic, and quick to draw. */
function evenDifferences(mine: Dense, other: Dense): Float64Array | undefined {
  if (mine.values.length > 1 || other.values.length > 1) return undefined;
  const isEven = ({ weights: [own] }: Dense): boolean => own!.every((weight) => Math.abs(weight - own![0]!) < ROUNDING * weight);
  if (!isEven(mine) || !isEven(other)) return undefined;
  return mine.values[0]!.map((value, i) => value - other.values[0]![i]!);
}

function drawnAverage(values: Float64Array, draw: Draw): number {
  let total = 0;
  for (const i of draw) total += values[i]!;
  return Math.abs(total) < ROUNDING ? 0 : total / draw.length;
}

/** A paired difference, and how many questions both sides have. */
export interface LayeredPair extends Paired {
  readonly questions: number;
}

/**
 * `a` minus `b` over the questions that both have. Undefined if there is no such question, or only one under one seed. Equal seeds are drawn
 * together. The p-value is never below that of a sign test in which all questions agree, because few questions cannot show more.
 */
export function layeredDifference(a: Layers, b: Layers, chance: Rng): LayeredPair | undefined {
  const theirs = new Set(questionsIn(b));
  const isNumber = (layers: Layers, id: string): boolean => [...layers.values()].every((layer) => !Number.isNaN(layer.get(id)?.value ?? 0));
  const ids = questionsIn(a).filter((id) => theirs.has(id) && isNumber(a, id) && isNumber(b, id));
  if (ids.length === 0) return undefined;
  if (ids.length === 1 && a.size === 1 && b.size === 1) return undefined; // nothing varies
  const isShared = a.size === b.size && [...a.keys()].every((seed) => b.has(seed));
  const [mine, other] = [denseOf(a, ids), denseOf(b, ids, isShared ? [...a.keys()] : [...b.keys()])];
  const seedsOf = isShared ? [a.size] : [a.size, b.size];
  const sizes = [...seedsOf, ids.length];
  const at = (draws: readonly Draw[]): number => {
    const questions = draws.at(-1)!;
    const found = drawnMean(mine, draws[0]!, questions) - drawnMean(other, draws[isShared ? 0 : 1]!, questions);
    return Math.abs(found) < ROUNDING ? 0 : found;
  };
  const even = evenDifferences(mine, other);
  const statistic = even ? ([, questions]: readonly Draw[]): number => drawnAverage(even, questions!) : at;
  const difference = at(sizes.map((size) => Array.from({ length: size }, (_, i) => i)));
  const interval = bootstrap(even ? [1, ids.length] : sizes, statistic, chance);
  const unlike = ids.filter((_, i) => at([...seedsOf.map((size) => Array.from({ length: size }, (_, seed) => seed)), [i]]) !== 0).length;
  const p = Math.max(resampledP(even ? [1, ids.length] : sizes, statistic, difference, chance, ENOUGH), Math.min(1, 2 ** (1 - unlike)));
  return { difference, interval, p, questions: ids.length };
}
