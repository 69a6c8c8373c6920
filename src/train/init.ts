/** A new model with seeded random weights, for training from scratch. */
import type { NdArray } from "../base/array.ts";
import { zeros } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import { rng } from "../base/rng.ts";
import { identifyConfig } from "../model/load.ts";
import { createModel, type Model, type ModelFiles } from "../model/model.ts";
import { atLayer, type WeightName } from "../model/names.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { Sessions } from "../onnx/session.ts";

/** The files of a checkpoint without its weights. */
export type Blueprint = ModelFiles & { readonly config: Readonly<Record<string, unknown>> };

/**
 * A new model for a config.json and tokenizer files: matrices normal with the config's `initializer_range` (0.02), those that write
 * to the residual stream divided by √(2 · layers) as in GPT-2, norms one, biases zero. Each weight has its own stream of the seed.
 */
export function initModel(files: Blueprint, seed: string | number, ctx: Context): Model {
  const { arch, config } = identifyConfig(files.config, { path: "the recipe's config" }, ctx);
  const tokenizer = createTokenizer(files.tokenizerJson, files.tokenizerConfig, files.generation);
  if (tokenizer.size > config.vocab)
    fail(
      "train",
      `a tokenizer of ${tokenizer.size} tokens for an embedding of ${config.vocab}`,
      "a vocab_size that is large enough",
      "Raise vocab_size.",
    );
  const std = Number(files.config["initializer_range"] ?? 0.02);
  const weights = new Map<WeightName, NdArray>();
  for (const [template, { shape }] of Object.entries(arch.weights(config)))
    for (let layer = 0; layer < (template.includes("{i}") ? config.layers : 1); layer++) {
      const name = atLayer(template, layer);
      weights.set(name, drawn(name, shape, WRITES.test(name) ? std / Math.sqrt(2 * config.layers) : std, seed));
    }
  return createModel({
    config,
    arch,
    tokenizer,
    weights,
    files,
    sessions: new Sessions(ctx.threads),
    ...(files.chatTemplate !== undefined && { chatTemplate: files.chatTemplate }),
    hashWeights: () => hash("initial", ...[...weights].flat()),
    close: () => {},
  });
}

/** Matrices whose output is added to the residual stream. */
const WRITES = /\.(attn\.o|mlp\.out)$/;

function drawn(name: WeightName, shape: readonly number[], std: number, seed: string | number): NdArray {
  const array = zeros("float32", shape);
  if (name.endsWith(".bias")) return array;
  if (shape.length === 1) return { ...array, data: (array.data as Float32Array).fill(1) };
  const chance = rng(seed).split("weights").split(name);
  const data = array.data as Float32Array;
  for (let i = 0; i < data.length; i++) data[i] = std * chance.normal();
  return array;
}
