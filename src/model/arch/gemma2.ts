/** Gemma 2: norms before and after each part, every other block sees only the last keys, scores and logits are capped. */
import { geluTanh } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Config, defineArch } from "./arch.ts";
import { plusOne } from "./forms.ts";
import { kindsFromMetadata, unsayable, windowMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import {
  attended,
  blockWeights,
  gated,
  ggufNames,
  inTurn,
  usualAttention,
  usualConfig,
  usualEnds,
  usualJson,
  USUAL_MEMORY,
  usualMlp,
} from "./usual.ts";
import { FULL, SLIDING, windowOf, windows } from "./windows.ts";

const THEIRS = {
  ln1: "input_layernorm",
  post_attn: "post_attention_layernorm",
  ln2: "pre_feedforward_layernorm",
  post_mlp: "post_feedforward_layernorm",
};
const kindOf = (layer: number): string => (layer % 2 === 0 ? SLIDING : FULL);
/** The largest model's number of layers: its queries are scaled by the width and not by the size of a head. */
const LARGEST = 46;
/** The number by whose root queries are divided, as llama.cpp derives it. */
const queryOf = (c: Config): number => (c.layers === LARGEST ? c.width / c.heads : c.headSize);

/** RMSNorm whose weight is one more than the stored one. */
const norm = (x: Tensor, weight: Tensor, c: Config): Tensor => x.rmsNorm(weight.add(1), c.normEps);

export const gemma2 = defineArch({
  name: "gemma2",
  claims: ["gemma2"],
  className: "Gemma2ForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const usual = usualConfig("gemma2", hf, { activations: ["gelu_pytorch_tanh"] });
    const capOf = (key: string): number | undefined => (hf[key] == null ? undefined : read.number(key));
    const [scores, logits] = [capOf("attn_logit_softcapping"), capOf("final_logit_softcapping")];
    return {
      ...usual,
      tied: read.flag("tie_word_embeddings", true),
      own: { query: read.number("query_pre_attn_scalar", 256), ...(scores !== undefined && { scoreCap: scores }) },
      ...(logits !== undefined && { logitCap: logits }),
      ...windows(hf, kindOf),
    };
  },
  configJson: (c) => {
    const { hidden_act: _, mlp_bias: __, ...json } = usualJson(c);
    return {
      ...json,
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: c.own!["query"],
      attn_logit_softcapping: c.own!["scoreCap"] ?? null,
      final_logit_softcapping: c.logitCap ?? null,
      ...(c.kinds && { layer_types: c.kinds }),
    };
  },
  weights: (c) => ({
    ...usualEnds(c),
    ...blockWeights(
      "model.layers",
      {
        ...Object.fromEntries(Object.entries(THEIRS).map(([ours, theirs]) => [ours, [theirs, c.width] as const])),
        ...usualAttention(c),
        ...usualMlp(c),
      },
      c.attentionBias ? ["attn.q", "attn.k", "attn.v", "attn.o"] : [],
    ),
  }),
  gguf: ggufNames("gemma2", "gemma2", {
    weights: { "blocks.{i}.post_attn": "blk.{i}.post_attention_norm.weight", "blocks.{i}.post_mlp": "blk.{i}.post_ffw_norm.weight" },
    forms: () =>
      Object.fromEntries(["final_norm", ...Object.keys(THEIRS).map((name) => `blocks.{i}.${name}`)].map((name) => [name, plusOne])),
    config: (c, kv) => {
      const read = reader("GGUF metadata", kv);
      return {
        ...c,
        own: {
          query: queryOf(c),
          scoreCap: read.number("gemma2.attn_logit_softcapping", 50),
        },
        logitCap: read.number("gemma2.final_logit_softcapping", 30),
        window: read.size("gemma2.attention.sliding_window", 4096),
        kinds: kindsFromMetadata("gemma2", kv, c.layers, 2),
      };
    },
    hasWindow: true,
    metadata: (c) => {
      if (c.own!["query"] !== queryOf(c)) unsayable(`"query_pre_attn_scalar" of ${c.own!["query"] as number}`);
      if (c.own!["scoreCap"] === undefined || c.logitCap === undefined) unsayable("a Gemma 2 without caps");
      return {
        ...windowMetadata(c, 2),
        attn_logit_softcapping: { float32: c.own!["scoreCap"] as number },
        final_logit_softcapping: { float32: c.logitCap! },
      };
    },
  }),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight, c) => weight("embed").rows(tokens).mul(Math.sqrt(c.width)),
  block: (x, c, layer, at) =>
    inTurn(
      x,
      at,
      (h) =>
        attended(norm(h, at.weight("ln1"), c), c, at, {
          scale: (c.own!["query"] as number) ** -0.5,
          how: { window: windowOf(c, layer), cap: c.own!["scoreCap"] as number | undefined },
        }),
      (h) => norm(gated(norm(h, at.weight("ln2"), c), at, geluTanh), at.weight("post_mlp"), c),
      (h) => norm(h, at.weight("post_attn"), c),
    ),
  finalNorm: (x, weight, c) => norm(x, weight("final_norm"), c),
});
