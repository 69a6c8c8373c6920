/** What Gemma 2 and 3 share: norms before and after each part, caps, and the scale of queries. */
import { geluTanh } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Arch, BlockSite, Config, Form, StoredWeight } from "./arch.ts";
import { plusOne } from "./forms.ts";
import { unsayable } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { attentionBiases, type Named, usualConfig, usualJson, usualWeights } from "./usual.ts";
import { attended, gated, inTurn, type Mixing, RMS_MODEL } from "./usual-blocks.ts";
import { windowOf } from "./windows.ts";

type Json = Readonly<Record<string, unknown>>;

/** The norms of a block, and their names in a checkpoint. */
const NORMS = {
  ln1: "input_layernorm",
  post_attn: "post_attention_layernorm",
  ln2: "pre_feedforward_layernorm",
  post_mlp: "post_feedforward_layernorm",
};

/** RMSNorm whose weight is one more than the stored one. */
export const gemmaNorm = (x: Tensor, weight: Tensor, c: Config): Tensor => x.rmsNorm(weight.add(1), c.normEps);

/** A config without what differs: windows and rotary tables. */
export function gemmaConfig(arch: string, hf: Json): Config {
  const read = reader("config.json", hf);
  const capOf = (key: string): number | undefined => (hf[key] == null ? undefined : read.number(key));
  const [scores, logits] = [capOf("attn_logit_softcapping"), capOf("final_logit_softcapping")];
  return {
    ...usualConfig(arch, hf, { activations: ["gelu_pytorch_tanh"] }),
    tied: read.flag("tie_word_embeddings", true),
    own: { query: read.number("query_pre_attn_scalar", 256), ...(scores !== undefined && { scoreCap: scores }) },
    ...(logits !== undefined && { logitCap: logits }),
  };
}

export function gemmaJson(c: Config): Record<string, unknown> {
  const { hidden_act: _, mlp_bias: __, ...json } = usualJson(c);
  return {
    ...json,
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: c.own!["query"],
    attn_logit_softcapping: c.own!["scoreCap"] ?? null,
    final_logit_softcapping: c.logitCap ?? null,
    ...(c.kinds && { layer_types: c.kinds }),
  };
}

/** `more` are norms of blocks besides the four. */
export const gemmaWeights = (c: Config, more: Record<string, Named> = {}): Record<string, StoredWeight> => {
  const norms = Object.entries(NORMS).map(([ours, theirs]): [string, Named] => [ours, [theirs, c.width]]);
  return usualWeights(c, { norms: { ...Object.fromEntries(norms), ...more }, biased: attentionBiases(c) });
};

/** GGUF's names of the norms behind the parts. */
export const GEMMA_GGUF = {
  "blocks.{i}.post_attn": "blk.{i}.post_attention_norm.weight",
  "blocks.{i}.post_mlp": "blk.{i}.post_ffw_norm.weight",
};

/** GGUF stores the norms with 1 added. `more` are norms of blocks besides the four. */
export const gemmaForms = (more: readonly string[] = []): Record<string, Form> =>
  Object.fromEntries(
    ["final_norm", ...[...Object.keys(NORMS), ...more].map((name) => `blocks.{i}.${name}`)].map((name) => [name, plusOne]),
  );

/**
 * The number by whose root queries are divided, as llama.cpp derives it: the size of a head; in the model of `largest` layers, the width by the
 * number of heads.
 */
export const derivedQuery = (c: Config, largest: number): number => (c.layers === largest ? c.width / c.heads : c.headSize);

/** Refuses a scale of queries that GGUF cannot say. */
export function checkQuery(c: Config, largest: number): void {
  if (c.own!["query"] !== derivedQuery(c, largest)) unsayable(`"query_pre_attn_scalar" of ${c.own!["query"] as number}`);
}

/** What stands around the blocks: the embedding is multiplied by the root of the width. */
export const GEMMA_MODEL: typeof RMS_MODEL = {
  ...RMS_MODEL,
  embed: (tokens, positions, weight, c) => RMS_MODEL.embed(tokens, positions, weight, c).mul(Math.sqrt(c.width)),
  finalNorm: (x, weight, c) => gemmaNorm(x, weight("final_norm"), c),
};

export const gemmaBlock = (
  x: Tensor,
  c: Config,
  layer: Parameters<Arch["block"]>[2],
  at: BlockSite,
  mixing: Pick<Mixing, "norm" | "rotate"> = {},
): Tensor =>
  inTurn(
    x,
    at,
    (h) =>
      attended(gemmaNorm(h, at.weight("ln1"), c), c, at, {
        ...mixing,
        scale: (c.own!["query"] as number) ** -0.5,
        how: { window: windowOf(c, layer), cap: c.own!["scoreCap"] as number | undefined },
      }),
    (h) => gemmaNorm(gated(gemmaNorm(h, at.weight("ln2"), c), at, geluTanh), at.weight("post_mlp"), c),
    (h) => gemmaNorm(h, at.weight("post_attn"), c),
  );
