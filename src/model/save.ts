/** A model written as an ordinary Hugging Face folder: weights, config, tokenizer and chat template, whole or absent. */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { asFloats, bytesPer, type Dtype, type NdArray, sizeOf } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { holdOutput, writeAtomic, writeSafetensors, type Writable } from "../base/store.ts";
import { type Arch, type Config, type Rope, storedWeights } from "./arch/arch.ts";
import { transposed } from "./arch/forms.ts";
import { toHalf } from "../checkpoint/half.ts";
import type { Model, ModelFiles, Weights } from "./model.ts";
import { frequencies } from "./rope.ts";

export type StoredDtype = "float32" | "bfloat16" | "float16";

export interface SaveOptions {
  /** How weights are stored (default float32). */
  readonly dtype?: StoredDtype;
  /** Replace a folder that is there. */
  readonly force?: boolean;
  /** Bytes of one weights file; a model of more is sharded under an index. */
  readonly shardBytes?: number;
}

/** What a checkpoint is made of; a Model will do. */
export interface Savable {
  readonly config: Config;
  readonly arch: Arch;
  readonly weights: Weights;
  readonly files: ModelFiles;
}

const WHO = "export";
const SHARD = 4.5e9;

/**
 * Writes a folder that Python's transformers (4 and 5) and this program load: config.json, generation_config.json, weights as
 * safetensors, tokenizer files, chat template. Refuses a folder that holds anything unless forced; nothing half-written is ever at `dir`.
 */
export function saveCheckpoint(dir: string, model: Savable, options: SaveOptions = {}): void {
  const { dtype = "float32", force = false, shardBytes = SHARD } = options;
  const output = holdOutput(dir, WHO);
  try {
    refuseOccupied(dir, force);
    output.put((making) => {
      mkdirSync(making);
      for (const [name, text] of sideFiles(model, dtype)) writeAtomic(join(making, name), text);
      writeWeights(making, storedTensors(model, dtype), shardBytes);
    });
  } finally {
    output.release();
  }
}

/** Writes a model, edits and all, with the files of the checkpoint it was loaded from. */
export const exportModel = (model: Model, dir: string, options: SaveOptions = {}): void => saveCheckpoint(dir, model, options);

/** Refuses a target that already holds something. */
function refuseOccupied(dir: string, force = false): void {
  if (!existsSync(dir)) return;
  if (!statSync(dir).isDirectory()) fail(WHO, `${dir} is a file`, "a folder to be made", "Choose another name.");
  if (!force && readdirSync(dir).length > 0)
    fail(WHO, `${dir} is not empty`, "a new or empty folder", "Choose another, or replace it with --force.");
}

/** Their names in the order of the architecture's table, each read when it is written. */
function storedTensors(model: Savable, dtype: StoredDtype): (readonly [string, Writable])[] {
  return [...storedWeights(model)].map(([ours, { name: theirs, transposed: isTransposed }]) => {
    const array = model.weights.get(ours) ?? fail(WHO, `a model without "${ours}"`, "every weight of its architecture", "", "internal");
    const shape = isTransposed ? [...array.shape].reverse() : array.shape;
    return [theirs, { dtype, shape, read: () => convert(isTransposed ? transposed(array) : array, dtype, theirs) }] as const;
  });
}

function convert(array: NdArray, dtype: StoredDtype, name: string): NdArray {
  if (array.dtype === dtype) return array;
  const wide = asFloats(array, "float32") as NdArray & { data: Float32Array };
  if (dtype === "float32") return wide;
  const data = toHalf(wide.data, dtype);
  const infinite = dtype === "float16" ? 0x7c00 : 0x7f80;
  const at = data.findIndex((bits, i) => (bits & 0x7fff) === infinite && Number.isFinite(wide.data[i]));
  if (at >= 0)
    fail(
      WHO,
      `"${name}" holds ${wide.data[at]}`,
      `values that ${dtype} can hold`,
      `Use --dtype ${dtype === "float16" ? "bfloat16" : "float32"}.`,
    );
  return { dtype, shape: array.shape, data };
}

/** One file, or shards of at most `limit` bytes with the index that names them. */
function writeWeights(folder: string, tensors: readonly (readonly [string, Writable])[], limit: number): void {
  const bytesOf = ({ dtype, shape }: Writable): number => sizeOf(shape) * bytesPer(dtype as Dtype);
  const shards: (typeof tensors)[number][][] = [[]];
  let size = 0;
  for (const entry of tensors) {
    const bytes = bytesOf(entry[1]);
    if (size > 0 && size + bytes > limit) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(entry);
    size += bytes;
  }
  const metadata = { format: "pt" };
  if (shards.length === 1) {
    writeSafetensors(join(folder, "model.safetensors"), tensors, metadata);
    return;
  }
  const pad = (n: number): string => String(n).padStart(5, "0");
  const map: Record<string, string> = {};
  shards.forEach((shard, i) => {
    const name = `model-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`;
    writeSafetensors(join(folder, name), shard, metadata);
    for (const [tensor] of shard) map[tensor] = name;
  });
  const total = tensors.reduce((sum, [, tensor]) => sum + bytesOf(tensor), 0);
  writeAtomic(join(folder, "model.safetensors.index.json"), pretty({ metadata: { total_size: total }, weight_map: map }));
}

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Keys whose values are real numbers: transformers 5 refuses a whole number there. */
const REAL =
  /_softcapping|_multiplier|logits_scaling|theta|factor|eps|epsilon|beta|beta_fast|beta_slow|mscale|mscale_all_dim|_pct|_base|_freq|_limit/;

/** The text of a config in which whole numbers under such keys are written as 12.0; in lists too. */
function asReals(text: string): string {
  const real = new RegExp(`^\\s*"\\w*(?:${REAL.source})": (?=-?\\d|\\[)`);
  let isList = false;
  return text
    .split("\n")
    .map((line) => {
      if (isList) {
        isList = !/^\s*\]/.test(line);
        return line.replace(/^(\s*-?\d+)(,?)$/, "$1.0$2");
      }
      if (!real.test(line)) return line;
      isList = line.endsWith("[");
      return line.replace(/(: -?\d+)(,?)$/, "$1.0$2");
    })
    .join("\n");
}

function sideFiles({ config, arch, files }: Savable, dtype: StoredDtype): (readonly [string, string])[] {
  const { tokenizerJson, tokenizerConfig, chatTemplate } = files;
  return [
    ["config.json", asReals(pretty(configJson(config, arch, files, dtype)))],
    ["generation_config.json", pretty(files.generation ?? generationOf(files))],
    ["tokenizer.json", `${JSON.stringify(tokenizerJson)}\n`],
    ["tokenizer_config.json", pretty({ tokenizer_class: "PreTrainedTokenizerFast", ...tokenizerConfig })],
    ...(chatTemplate === undefined ? [] : [["chat_template.jinja", chatTemplate] as const]),
  ];
}

/** Keys in which transformers 4 and 5 differ. Ours are written in both layouts, whatever the source had. */
const POSITIONS = [
  "rope_theta",
  "rope_parameters",
  "rope_scaling",
  "rope_local_base_freq",
  "partial_rotary_factor",
  "rotary_pct",
  "rotary_emb_base",
];

/** A config.json for transformers 5 (rope_parameters, dtype) and 4 (rope_theta, rope_scaling, torch_dtype): the source's own keys, and what they leave out. */
export function configJson(config: Config, arch: Arch, files: ModelFiles, dtype: StoredDtype): Record<string, unknown> {
  const { quantization_config: _, _name_or_path: __, transformers_version: ___, ...source } = files.config ?? {};
  if (!arch.configJson && !files.config)
    fail(
      WHO,
      `a model of architecture "${arch.name}" without a config.json`,
      "one to keep",
      "Give the architecture a configJson.",
      "unavailable",
    );
  const entries = Object.entries(arch.configJson?.(sayable(config)) ?? {});
  const isPosition = ([key]: readonly [string, unknown]): boolean => POSITIONS.includes(key);
  return {
    ...(arch.className !== undefined && { architectures: [arch.className] }),
    model_type: arch.claims[0]!,
    ...Object.fromEntries(entries.filter((entry) => !isPosition(entry))),
    ...specialIds(files),
    ...source,
    ...Object.fromEntries(entries.filter(isPosition)),
    torch_dtype: dtype,
    dtype,
  };
}

/** The config with rotary settings that config.json has words for: GGUF keeps only the divisors that Llama 3's scaling led to. */
function sayable(config: Config): Config {
  const { rope } = config;
  if (rope?.scaling?.kind !== "factors") return config;
  return { ...config, rope: { ...rope, scaling: { kind: "llama3", ...fromFactors(rope, rope.scaling.factors) } } };
}

/** The published settings that lead to these divisors. */
function fromFactors(rope: Rope, factors: readonly number[]): { factor: number; low: number; high: number; original: number } {
  const settings = { factor: Math.round(Math.max(...factors) * 1000) / 1000, low: 1, high: 4, original: 8192 };
  const plain = frequencies({ theta: rope.theta, size: rope.size });
  const scaled = frequencies({ theta: rope.theta, size: rope.size, scaling: { kind: "llama3", ...settings } });
  const isSame = factors.length === plain.length && factors.every((f, i) => Math.abs(plain[i]! / scaled[i]! / f - 1) < 1e-3);
  return isSame
    ? settings
    : fail(
        WHO,
        "rotary frequencies divided by factors of the model's own",
        "a scaling that config.json can say",
        "Export from the Hugging Face folder that the .gguf was made from.",
        "unavailable",
      );
}

/** bos_token_id, eos_token_id and pad_token_id as far as the tokenizer's files name the tokens. */
function specialIds({ tokenizerJson, tokenizerConfig }: ModelFiles): Record<string, number> {
  const added = Array.isArray(tokenizerJson["added_tokens"]) ? (tokenizerJson["added_tokens"] as { id?: number; content?: string }[]) : [];
  return Object.fromEntries(
    ["bos", "eos", "pad"].flatMap((kind) => {
      const token = tokenizerConfig[`${kind}_token`];
      const text = typeof token === "object" && token !== null ? (token as { content?: string }).content : token;
      const id = text === undefined ? undefined : added.find(({ content }) => content === text)?.id;
      return id === undefined ? [] : [[`${kind}_token_id`, id] as const];
    }),
  );
}

const generationOf = (files: ModelFiles): Record<string, unknown> => ({ _from_model_config: true, ...specialIds(files) });
