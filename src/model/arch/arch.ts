/** What an architecture is: facts about its config and weights, and its block as a traced function. */
import type { NdArray } from "../../base/array.ts";
import { define, type Forms } from "../../base/define.ts";
import type { Metadata } from "../../checkpoint/gguf-write.ts";
import type { KeyValue } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { atLayer, type Site, type WeightName } from "../names.ts";

/** How rotary frequencies are stretched beyond the context a model was trained on. */
export type RopeScaling =
  | { readonly kind: "linear"; readonly factor: number }
  | { readonly kind: "llama3"; readonly factor: number; readonly low: number; readonly high: number; readonly original: number }
  | { readonly kind: "factors"; readonly factors: readonly number[] }
  /** YaRN (arXiv:2309.00071): frequencies with more than `fast` turns in the original context stay, those with fewer than `slow` are divided. */
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly fast: number;
      readonly slow: number;
      /** Whether the ends of the ramp are whole numbers. */
      readonly whole: boolean;
      /** cos and sin are multiplied by this. */
      readonly amplitude: number;
    }
  /** LongRoPE (arXiv:2402.13753): one divisor a frequency, for texts within the original context; cos and sin are multiplied by `amplitude`. */
  | { readonly kind: "longrope"; readonly factors: readonly number[]; readonly amplitude: number };

/** One rotary table: base, size of the rotated part of a head, scaling. */
export interface Rope {
  readonly theta: number;
  readonly size: number;
  readonly scaling?: RopeScaling;
}

/** What the rest of Lethe knows of a model's shape. */
export interface Config {
  readonly arch: string;
  readonly layers: number;
  readonly width: number;
  readonly mlpWidth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocab: number;
  readonly context: number;
  readonly normEps: number;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
  /** A query sees this many keys at most, in the blocks that have a window; absent: all. */
  readonly window?: number;
  /** The rotary table; absent: positions are not rotated. */
  readonly rope?: Rope;
  /** Further rotary tables by name, for blocks that use another one. */
  readonly ropes?: Readonly<Record<string, Rope>>;
  /** What each block is, in the architecture's words; absent: all are alike. */
  readonly kinds?: readonly string[];
  /** Logits are cap · tanh(logits / cap); absent: they are as they are. */
  readonly logitCap?: number;
  /** Numbers and switches of this architecture alone. */
  readonly own?: Readonly<Record<string, number | boolean>>;
  /** Biases of q, k, v and o; of the MLP. */
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

/** What a block may ask of whoever runs it. */
export interface BlockSite {
  /** A weight of this block that is no linear map, in the program's dtype. */
  readonly weight: (name: string) => Tensor;
  /** A linear map of this block by its weight's name, with its bias where the model has one: h [..., in] → [..., out]. What runs the block may add to it. */
  readonly linear: (name: string, h: Tensor) => Tensor;
  /** Passes an activation by: it may be read or rewritten there. */
  readonly tap: (site: Site, h: Tensor) => Tensor;
  /** Where the tokens stand: int64 [B, T]. */
  readonly positions: Tensor;
  /**
   * Rotates the first numbers of each head, x [B, H, T, d], to the positions: as many as the table is wide. `table` is one of
   * {@link Config.ropes}; without it, {@link Config.rope} is used.
   */
  readonly rope: (x: Tensor, table?: string) => Tensor;
  /** Causal attention over what came before and these keys and values; [B, H, T, d]. */
  readonly attend: (q: Tensor, kv: KeyValue, scale: number, how?: Attending) => Tensor;
}

export interface Attending {
  /** A query sees this many keys at most, its own among them; absent: {@link Config.window} where all blocks are alike, else all. */
  readonly window?: number | undefined;
  /** Scores are cap · tanh(scores / cap); absent: they are as they are. */
  readonly cap?: number | undefined;
}

/** A weight as the checkpoint stores it. */
export interface StoredWeight {
  readonly name: string;
  /** Ours, [out, in]. */
  readonly shape: readonly number[];
  /** Stored [in, out] rather than [out, in] in safetensors. GGUF files have it the other way round. */
  readonly transposed?: boolean;
}

/** How a GGUF file spells an architecture. */
export interface GgufNames {
  readonly architecture: string;
  readonly config: (kv: Readonly<Record<string, unknown>>, tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>) => Config;
  /** The way back: what a file says of a config, besides its tokenizer. Refuses what GGUF has no words for. Absent: it is only read. */
  readonly metadata?: (c: Config) => Metadata;
  readonly weights: Readonly<Record<string, string>>;
  /** A head is always stored: for a tied model, a copy of the embedding. */
  readonly needsHead?: boolean;
  /** A tensor of divisors of the rotary frequencies, where the file has one. */
  readonly ropeFactors?: string;
  /** Weights that GGUF stores in another form, by our name with {i} for the layer. */
  readonly forms?: (c: Config) => Readonly<Record<string, Form>>;
  /** Tensors that are not used, as patterns of their whole names. */
  readonly ignored?: readonly RegExp[];
}

/** The two directions of a change of form. Both keep the shape. */
export interface Form {
  /** From the file to ours. */
  readonly read: (array: NdArray) => NdArray;
  /** From ours to the file. */
  readonly write: (array: NdArray) => NdArray;
}

export interface Arch {
  readonly name: string;
  /** config.json's model_type values. */
  readonly claims: readonly string[];
  readonly config: (hf: Readonly<Record<string, unknown>>) => Config;
  /** The model's class in transformers, as config.json names it under `architectures`; absent: as the source names it. */
  readonly className?: string;
  /**
   * config.json in transformers' words, from ours: shapes, norms, positions, activations. Shared code adds the type, the dtype and the ids of
   * special tokens, and keeps the source's other keys. Without it, the source's config.json is written as it is.
   */
  readonly configJson?: (c: Config) => Readonly<Record<string, unknown>>;
  /** Ours → the checkpoint's; {i} stands for the layer. */
  readonly weights: (c: Config) => Readonly<Record<string, StoredWeight>>;
  /** Beginnings that the names of a checkpoint may lack, or have besides, such as "transformer." or "language_model.". */
  readonly prefixes?: readonly string[];
  /** Tensors of a checkpoint that are not used: buffers, as patterns of their whole names. */
  readonly ignored?: readonly RegExp[];
  readonly gguf?: GgufNames;
  /** Where locate-then-edit works: the matrix that maps keys to values, and the sites of both. */
  readonly memory: { readonly weight: string; readonly key: Site; readonly value: Site };
  /** Inputs [B, T, D] of the first block. */
  readonly embed: (tokens: Tensor, positions: Tensor, weight: (name: string) => Tensor, c: Config) => Tensor;
  readonly block: (x: Tensor, c: Config, layer: number, at: BlockSite) => Tensor;
  /** The norm before the head, over [..., D]. What scales the logits belongs here too. */
  readonly finalNorm: (x: Tensor, weight: (name: string) => Tensor, c: Config) => Tensor;
}

/** A weight of a model: its template with {i} for the layer, the layer (0 for a weight of no block), our name, and how it is stored. */
export interface DeclaredWeight {
  readonly template: string;
  readonly layer: number;
  readonly ours: WeightName;
  /** With the checkpoint's own name of this layer. */
  readonly stored: StoredWeight;
}

/** Every weight of a model, in the architecture's order. */
export const declaredWeights = ({ arch, config }: { readonly arch: Arch; readonly config: Config }): DeclaredWeight[] =>
  Object.entries(arch.weights(config)).flatMap(([template, stored]) =>
    Array.from({ length: template.includes("{i}") ? config.layers : 1 }, (_, layer) => ({
      template,
      layer,
      ours: atLayer(template, layer),
      stored: { ...stored, name: atLayer(stored.name, layer) },
    })),
  );

/** Every weight of a model by our name, as its checkpoint stores it. */
export const storedWeights = (of: { readonly arch: Arch; readonly config: Config }): ReadonlyMap<WeightName, StoredWeight> =>
  new Map(declaredWeights(of).map(({ ours, stored }) => [ours, stored]));

/** The linear maps of a model's blocks, [out, in] by the weight's name: what a block asks for through {@link BlockSite.linear}. */
export const linearMaps = (of: { readonly arch: Arch; readonly config: Config }): ReadonlyMap<WeightName, readonly [number, number]> =>
  new Map(
    [...storedWeights(of)].flatMap(
      ([
        name,
        {
          shape: [rows, columns],
        },
      ]) => (name.startsWith("blocks.") && columns !== undefined ? [[name, [rows!, columns] as const] as const] : []),
    ),
  );

const FIELDS: Forms<Arch> = {
  name: "text",
  claims: "texts",
  className: { optional: "text" },
  config: "function",
  configJson: { optional: "function" },
  weights: "function",
  prefixes: { optional: "texts" },
  ignored: { optional: "patterns" },
  gguf: { optional: "table" },
  memory: "table",
  embed: "function",
  block: "function",
  finalNorm: "function",
};

/** An architecture, checked and marked; refuses what lacks a field, by its name. */
export const defineArch = (arch: Arch): Arch => define("arch", FIELDS, arch);
