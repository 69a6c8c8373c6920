/** What most architectures have in common: the keys of their configs, and the names of their weights in both kinds of files. */
import { fail } from "../../base/fail.ts";
import type { Metadata } from "../../checkpoint/gguf-write.ts";
import type { Config, GgufNames, StoredWeight } from "./arch.ts";
import { ropeFromMetadata, ropeMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { contextOf, ropeFrom, ropeJson, type Wanted } from "./rotary.ts";

type Json = Readonly<Record<string, unknown>>;
type GgufTensors = ReadonlyMap<string, { readonly shape: readonly number[] }>;

const WHO = "config.json";

/** A config by the keys that most checkpoints use. Refuses another activation than the given ones. */
export function usualConfig(
  arch: string,
  hf: Json,
  { activations = ["silu"], rope = {} }: { readonly activations?: readonly string[]; readonly rope?: Partial<Wanted> } = {},
): Config {
  const read = reader(WHO, hf);
  const [width, heads] = [read.size("hidden_size"), read.count("num_attention_heads")];
  const headSize = read.size("head_dim", width / heads);
  checkActivation(hf["hidden_act"] ?? hf["hidden_activation"] ?? hf["activation_function"], activations);
  return {
    arch,
    layers: read.count("num_hidden_layers"),
    width,
    mlpWidth: read.size("intermediate_size", 4 * width),
    heads,
    kvHeads: read.count("num_key_value_heads", heads),
    headSize,
    vocab: read.size("vocab_size"),
    context: contextOf(hf, 2048),
    normEps: read.number("rms_norm_eps", 1e-6),
    tied: read.flag("tie_word_embeddings", false),
    attentionBias: read.flag("attention_bias", false),
    mlpBias: read.flag("mlp_bias", false),
    rope: ropeFrom(hf, { headSize, ...rope }),
  };
}

/** The size of a head where the width is divided evenly; refuses one that is not. */
export function headSizeOf(width: number, heads: number): number {
  return width % heads === 0
    ? width / heads
    : fail(WHO, `a width of ${width} for ${heads} heads`, "a width that the heads divide", "The file is damaged.", "unavailable");
}

/** Refuses an activation that the architecture's block does not compute. */
export function checkActivation(given: unknown, known: readonly string[]): void {
  if (given === undefined || given === null || known.includes(given as string)) return;
  fail(
    WHO,
    `the activation ${JSON.stringify(given)}`,
    known.map((name) => `"${name}"`).join(" or "),
    "This checkpoint is not of the family that it claims.",
    "unavailable",
  );
}

/** Refuses a switch that the architecture's block has no code for. */
export function refuseSwitch(hf: Json, key: string, wanted: unknown, otherwise: unknown = wanted): void {
  const given = hf[key] ?? otherwise;
  if (given !== wanted)
    fail(
      WHO,
      `"${key}" is ${JSON.stringify(given)}`,
      JSON.stringify(wanted),
      "This variant of the architecture is not supported.",
      "unavailable",
    );
}

/** The keys of {@link usualConfig}, from a config. */
export const usualJson = (c: Config): Record<string, unknown> => ({
  vocab_size: c.vocab,
  hidden_size: c.width,
  intermediate_size: c.mlpWidth,
  num_hidden_layers: c.layers,
  num_attention_heads: c.heads,
  num_key_value_heads: c.kvHeads,
  head_dim: c.headSize,
  hidden_act: "silu",
  rms_norm_eps: c.normEps,
  max_position_embeddings: c.context,
  tie_word_embeddings: c.tied,
  attention_bias: c.attentionBias,
  mlp_bias: c.mlpBias,
  ...(c.window !== undefined && { sliding_window: c.window }),
  ...(c.rope && ropeJson(c.rope, c.headSize)),
});

/** A weight of a block: its name in the checkpoint behind the layer, and its shape, [out, in] for a linear map. */
export type Named = readonly [theirs: string, ...shape: number[]];

/**
 * The weights of blocks in a list: `stem` is the checkpoint's name of the list, such as "model.layers". Each linear map of `biased` has a bias
 * besides.
 */
export function blockWeights(
  stem: string,
  own: Readonly<Record<string, Named>>,
  biased: readonly string[] = [],
  form: Partial<StoredWeight> = {},
): Record<string, StoredWeight> {
  const named = Object.entries(own).map(([ours, [theirs, ...shape]]): [string, StoredWeight] => [
    `blocks.{i}.${ours}`,
    { name: `${stem}.{i}.${theirs}.weight`, shape, ...(shape.length === 2 ? form : {}) },
  ]);
  const biases = biased.map((ours): [string, StoredWeight] => {
    const [theirs, rows] = own[ours]!;
    return [`blocks.{i}.${ours}.bias`, { name: `${stem}.{i}.${theirs}.bias`, shape: [rows!] }];
  });
  return Object.fromEntries([...named, ...biases]);
}

/** The linear maps of attention in most checkpoints. */
export const usualAttention = (c: Config): Record<string, Named> => {
  const [q, kv] = [c.heads * c.headSize, c.kvHeads * c.headSize];
  return {
    "attn.q": ["self_attn.q_proj", q, c.width],
    "attn.k": ["self_attn.k_proj", kv, c.width],
    "attn.v": ["self_attn.v_proj", kv, c.width],
    "attn.o": ["self_attn.o_proj", c.width, q],
  };
};

/** The linear maps of a gated MLP in most checkpoints. */
const usualMlp = (c: Config): Record<string, Named> => ({
  "mlp.gate": ["mlp.gate_proj", c.mlpWidth, c.width],
  "mlp.in": ["mlp.up_proj", c.mlpWidth, c.width],
  "mlp.out": ["mlp.down_proj", c.width, c.mlpWidth],
});

export interface Ends {
  /** The checkpoint's names, without ".weight". */
  readonly embed: string;
  readonly norm: string;
  readonly head: string;
  /** The norm is a LayerNorm, with a bias. */
  readonly hasBias?: boolean;
}

/** The embedding, the last norm, and the head where it is a matrix of its own. */
export const endWeights = (c: Config, { embed, norm, head, hasBias = false }: Ends): Record<string, StoredWeight> => ({
  embed: { name: `${embed}.weight`, shape: [c.vocab, c.width] },
  final_norm: { name: `${norm}.weight`, shape: [c.width] },
  ...(hasBias && { "final_norm.bias": { name: `${norm}.bias`, shape: [c.width] } }),
  ...(!c.tied && { head: { name: `${head}.weight`, shape: [c.vocab, c.width] } }),
});

/** The names of the ends in most checkpoints. */
export const USUAL_ENDS: Ends = { embed: "model.embed_tokens", norm: "model.norm", head: "lm_head" };

/** The maps of attention that have biases. */
export const attentionBiases = (c: Config): string[] => (c.attentionBias ? ["attn.q", "attn.k", "attn.v", "attn.o"] : []);
/** The maps of a gated MLP that have biases. */
export const mlpBiases = (c: Config): string[] => (c.mlpBias ? ["mlp.gate", "mlp.in", "mlp.out"] : []);

/** The norms before both parts in most checkpoints. */
export const usualNorms = (c: Config): Record<string, Named> => ({
  ln1: ["input_layernorm", c.width],
  ln2: ["post_attention_layernorm", c.width],
});

/**
 * The weights of a model with the usual ends, attention and gated MLP. `norms` are those of its blocks, by default one before each part;
 * `mlp` takes the place of the usual maps of the MLP.
 */
export const usualWeights = (
  c: Config,
  {
    norms = usualNorms(c),
    mlp = usualMlp(c),
    biased = attentionBiases(c),
  }: { readonly norms?: Record<string, Named>; readonly mlp?: Record<string, Named>; readonly biased?: readonly string[] } = {},
): Record<string, StoredWeight> => ({
  ...endWeights(c, USUAL_ENDS),
  ...blockWeights("model.layers", { ...norms, ...usualAttention(c), ...mlp }, biased),
});

/** What llama.cpp calls the weights of most architectures. */
const USUAL_GGUF: Readonly<Record<string, string>> = {
  embed: "token_embd.weight",
  final_norm: "output_norm.weight",
  "final_norm.bias": "output_norm.bias",
  head: "output.weight",
  "head.bias": "output.bias",
  "blocks.{i}.ln1": "blk.{i}.attn_norm.weight",
  "blocks.{i}.ln1.bias": "blk.{i}.attn_norm.bias",
  "blocks.{i}.ln2": "blk.{i}.ffn_norm.weight",
  "blocks.{i}.ln2.bias": "blk.{i}.ffn_norm.bias",
  ...Object.fromEntries(
    Object.entries({
      "attn.q": "attn_q",
      "attn.k": "attn_k",
      "attn.v": "attn_v",
      "attn.o": "attn_output",
      "attn.qkv": "attn_qkv",
      "mlp.gate": "ffn_gate",
      "mlp.in": "ffn_up",
      "mlp.out": "ffn_down",
      "attn.q_norm": "attn_q_norm",
      "attn.k_norm": "attn_k_norm",
    }).flatMap(([ours, theirs]) =>
      ["weight", "bias"].map((kind) => [`blocks.{i}.${ours}${kind === "bias" ? ".bias" : ""}`, `blk.{i}.${theirs}.${kind}`]),
    ),
  ),
};

/** A config by the metadata that most GGUF files have. */
function usualGguf(arch: string, prefix: string, kv: Json, tensors: GgufTensors): Config {
  const read = reader("GGUF metadata", kv);
  const [width, heads] = [read.size(`${prefix}.embedding_length`), read.count(`${prefix}.attention.head_count`)];
  const headSize = read.size(`${prefix}.attention.key_length`, width / heads);
  return {
    arch,
    layers: read.count(`${prefix}.block_count`),
    width,
    mlpWidth: read.size(`${prefix}.feed_forward_length`),
    heads,
    kvHeads: read.count(`${prefix}.attention.head_count_kv`, heads),
    headSize,
    vocab: tensors.get("token_embd.weight")?.shape[0] ?? read.size(`${prefix}.vocab_size`),
    context: read.size(`${prefix}.context_length`, 2048),
    normEps: read.number(`${prefix}.attention.layer_norm_rms_epsilon`, read.number(`${prefix}.attention.layer_norm_epsilon`, 1e-6)),
    tied: !tensors.has("output.weight"),
    attentionBias: tensors.has("blk.0.attn_q.bias"),
    mlpBias: tensors.has("blk.0.ffn_down.bias"),
    rope: ropeFromMetadata(prefix, kv, { headSize, hasFactors: tensors.has("rope_freqs.weight") }),
  };
}

/** What a file says of a config by the metadata that most of them have. */
function usualMetadata(prefix: string, c: Config, norm: "rms" | "layer", hasWindow: boolean): Metadata {
  const words: Metadata = {
    // without a word for the window, the context ends where the window begins to count
    context_length: { uint32: hasWindow ? c.context : Math.min(c.context, c.window ?? c.context) },
    embedding_length: { uint32: c.width },
    block_count: { uint32: c.layers },
    feed_forward_length: { uint32: c.mlpWidth },
    vocab_size: { uint32: c.vocab },
    "attention.head_count": { uint32: c.heads },
    "attention.head_count_kv": { uint32: c.kvHeads },
    "attention.key_length": { uint32: c.headSize },
    "attention.value_length": { uint32: c.headSize },
    [norm === "rms" ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"]: { float32: c.normEps },
    ...(c.rope && ropeMetadata(c.rope)),
  };
  return prefixed(prefix, words);
}

/** Words of one architecture as keys of a file. */
const prefixed = (prefix: string, words: Metadata): Metadata =>
  Object.fromEntries(Object.entries(words).map(([word, value]) => [`${prefix}.${word}`, value]));

interface OwnGguf extends Partial<Omit<GgufNames, "config" | "metadata">> {
  readonly config?: (c: Config, kv: Json, tensors: GgufTensors) => Config;
  /** Words that are the architecture's own, without its name before them. */
  readonly metadata?: (c: Config) => Metadata;
  /** How the norms are spelled: RMSNorm or LayerNorm. */
  readonly norm?: "rms" | "layer";
  /** It has words for windows. */
  readonly hasWindow?: boolean;
}

/** How GGUF spells an architecture that uses the usual words. `more` has its own names, and what else it declares. */
export const ggufNames = (
  arch: string,
  architecture: string,
  { weights = {}, config, metadata, norm = "rms", hasWindow = false, ...more }: OwnGguf = {},
): GgufNames => ({
  architecture,
  config: (kv, tensors) => {
    const usual = usualGguf(arch, architecture, kv, tensors);
    return config ? config(usual, kv, tensors) : usual;
  },
  metadata: (c) => ({ ...usualMetadata(architecture, c, norm, hasWindow), ...prefixed(architecture, metadata?.(c) ?? {}) }),
  weights: { ...USUAL_GGUF, ...weights },
  ...more,
});
