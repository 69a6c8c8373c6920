/** Low-rank adaptation (LoRA, arXiv:2106.09685): trains two low-rank factors instead of the weight of a linear map. */
import { asFloats, floats, type NdArray } from "../base/array.ts";
import { fail, nearest } from "../base/fail.ts";
import { rng } from "../base/rng.ts";
import type { Declared } from "../base/schema.ts";
import type { Delta } from "../edit/edit.ts";
import { type Config, linearMaps } from "../model/arch/arch.ts";
import type { Model, Precision } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import type { LowRank } from "../tensor/nn.ts";
import type { Trace } from "../tensor/trace.ts";
import { dropout } from "./dropout.ts";

export interface LoraParams {
  rank: number;
  alpha: number;
  dropout: number;
  targets: readonly string[];
}

/** Declared once, spread into the parameters of each user. */
export const LORA: Declared<LoraParams, Config> = {
  rank: {
    default: 8,
    doc: "rank of the matrix B·A that is added to a weight",
    source: "locuslab/tofu config/finetune_lora.yaml LoRA.r",
    min: 1,
    whole: true,
  },
  alpha: {
    default: 32,
    doc: "the product B·A is multiplied by alpha / rank",
    source: "locuslab/tofu config/finetune_lora.yaml LoRA.alpha",
    min: 0,
  },
  dropout: {
    default: 0.05,
    doc: "share of a map's inputs that are dropped for its factors in a step (below 1)",
    source: "locuslab/tofu config/finetune_lora.yaml LoRA.dropout",
    min: 0,
    max: 1,
  },
  targets: {
    default: [],
    doc: "endings of the names of the matrices that get factors, such as attn.q or blocks.3.mlp.out; default: every linear map of the blocks",
    source: "locuslab/tofu finetune.py find_all_linear_names",
  },
};

/** A change of low rank. */
export type LowRankDelta = Extract<Delta, { readonly outer: unknown }>;

/** LoRA on one model: the adapted maps, the trained factors, their place in a trace, and the resulting edit. */
export interface Lora {
  readonly params: LoraParams;
  /** The adapted maps, [out, in] by name. */
  readonly maps: ReadonlyMap<WeightName, readonly [number, number]>;
  /** The factors before the first step, by the name of their input: A uniform, B zeros, so the model is unchanged at first. */
  start(seed: string | number, dtype?: Precision): Map<string, NdArray>;
  /** The factors as inputs of a trace, for `traced`; dropout is used in training only. */
  added(trace: Trace, options: { readonly training: boolean; readonly dtype?: Precision }): Record<WeightName, LowRank>;
  /** The change of the weights from trained factors, for an edit; maps that do not affect the loss have none. */
  deltas(factors: ReadonlyMap<string, NdArray>): Record<WeightName, LowRankDelta>;
}

/** The input name of a map's factor A [rank, in] or B [out, rank]. */
export const factorName = (weight: WeightName, factor: "a" | "b"): string => `lora.${factor}.${weight}`;

/** LoRA on a model's linear maps; refuses an unknown target. */
export function loraOf(model: Pick<Model, "arch" | "config">, params: LoraParams): Lora {
  const { rank, alpha, dropout: rate } = params;
  if (!(Number.isInteger(rank) && rank >= 1)) fail("lora", `a rank of ${rank}`, "a whole number of at least 1", "");
  if (!(rate >= 0 && rate < 1)) fail("lora", `a dropout of ${rate}`, "a number from 0 up to, not including, 1", "");
  const maps = targeted(linearMaps(model), params.targets);
  const scale = alpha / rank;
  return {
    params,
    maps,
    start: (seed, dtype = "float32") =>
      new Map(
        [...maps].flatMap(([name, [rows, columns]]) => [
          [factorName(name, "a"), uniform([rank, columns], seed, name, dtype)] as const,
          [factorName(name, "b"), floats(new Float64Array(rows * rank), [rows, rank], dtype)] as const,
        ]),
      ),
    added(trace, { training, dtype = "float32" }) {
      const isDropping = training && rate > 0;
      return Object.fromEntries(
        [...maps].map(([name, [rows, columns]]) => [
          name,
          {
            a: trace.input(factorName(name, "a"), dtype, [rank, columns], "weight"), // with the role "weight", so that blocks share a session
            b: trace.input(factorName(name, "b"), dtype, [rows, rank], "weight"),
            scale: isDropping ? scale / (1 - rate) : scale, // kept values are scaled here, where a token has `rank` numbers, not D
            ...(isDropping && { drop: (x) => dropout(x, rate, name) }),
          } satisfies LowRank,
        ]),
      );
    },
    deltas: (factors) =>
      Object.fromEntries(
        [...maps.keys()].flatMap((name) => {
          if (!factors.has(factorName(name, "b"))) return [];
          const [a, b] = (["a", "b"] as const).map((factor) => {
            const key = factorName(name, factor);
            const array = factors.get(key) ?? fail("lora", `no "${key}"`, "both factors of every map", "", "internal");
            return asFloats(array, array.dtype === "float64" ? "float64" : "float32");
          }) as [NdArray & { data: Float32Array }, NdArray & { data: Float32Array }];
          return [
            [
              name,
              {
                outer: [
                  { ...b, data: b.data.map((x) => scale * x) },
                  { ...a, data: a.data.slice() },
                ],
              } satisfies LowRankDelta,
            ] as const,
          ];
        }),
      ),
  };
}

/** The maps whose names end in one of the targets, after a dot; all maps if none is given. */
function targeted<T>(maps: ReadonlyMap<WeightName, T>, targets: readonly string[]): ReadonlyMap<WeightName, T> {
  if (targets.length === 0) return maps;
  const ends = (name: string, target: string): boolean => name === target || name.endsWith(`.${target}`);
  for (const target of targets)
    if (![...maps.keys()].some((name) => ends(name, target))) {
      const known = [...new Set([...maps.keys()].map((name) => name.replace(/^blocks\.\d+\./, "")))];
      const near = nearest(target, [...known, ...maps.keys()]);
      fail(
        "lora",
        `there is no linear map "${target}"`,
        `one of ${known.join(", ")}, for all blocks or one`,
        near ? `Did you mean "${near}"?` : "",
      );
    }
  return new Map([...maps].filter(([name]) => targets.some((target) => ends(name, target))));
}

/**
 * Uniform within ±1/√in, each map from its own random stream: PEFT's `reset_lora_parameters` (peft/tuners/lora/layer.py 0.21) calls
 * kaiming_uniform_ with a = √5, whose bound is √(6 / ((1 + a²) · in)).
 */
function uniform(shape: readonly [number, number], seed: string | number, name: WeightName, dtype: Precision): NdArray {
  const chance = rng(seed).split("lora").split(name);
  const bound = 1 / Math.sqrt(shape[1]);
  return floats(
    Float64Array.from({ length: shape[0] * shape[1] }, () => bound * (2 * chance.uniform() - 1)),
    shape,
    dtype,
  );
}
