/** Gemma 3 (text): norms before and after each part, norms of queries and keys, and blocks that see only the last keys. */
import { geluTanh } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Config, defineArch } from "./arch.ts";
import { plusOne } from "./forms.ts";
import { kindsFromMetadata, ropeFromMetadata, unsayable, windowMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { ropeEntry, ropeFrom, ropeIn } from "./rotary.ts";
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

const NORMS = ["ln1", "post_attn", "ln2", "post_mlp"] as const;
const THEIRS = {
  ln1: "input_layernorm",
  post_attn: "post_attention_layernorm",
  ln2: "pre_feedforward_layernorm",
  post_mlp: "post_feedforward_layernorm",
};
/** Every sixth block sees all keys. */
const every = (pattern: number) => (layer: number) => ((layer + 1) % pattern === 0 ? FULL : SLIDING);
const LOCAL_BASE = 1e4;
const FULL_BASE = 1e6;
/** The largest model's number of layers: its queries are scaled by the width and not by the size of a head. */
const LARGEST = 62;
/** The number by whose root queries are divided, as llama.cpp derives it. */
const queryOf = (c: Config): number => (c.layers === LARGEST ? c.width / c.heads : c.headSize);

/** RMSNorm whose weight is one more than the stored one. */
const norm = (x: Tensor, weight: Tensor, c: Config): Tensor => x.rmsNorm(weight.add(1), c.normEps);

export const gemma3 = defineArch({
  name: "gemma3",
  claims: ["gemma3_text"],
  className: "Gemma3ForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const usual = usualConfig("gemma3", hf, { activations: ["gelu_pytorch_tanh"] });
    const { headSize } = usual;
    const tables = read.object("rope_parameters");
    const [full, local] = [FULL, SLIDING].map((kind) => tables?.[kind] as Record<string, unknown> | undefined);
    const cap = hf["final_logit_softcapping"] == null ? undefined : read.number("final_logit_softcapping");
    const scores = hf["attn_logit_softcapping"] == null ? undefined : read.number("attn_logit_softcapping");
    return {
      ...usual,
      tied: read.flag("tie_word_embeddings", true),
      rope: full ? ropeIn(hf, full, { headSize, theta: FULL_BASE }) : ropeFrom(hf, { headSize, theta: FULL_BASE }),
      ropes: {
        local: local
          ? ropeIn(hf, local, { headSize, theta: LOCAL_BASE })
          : { theta: read.number("rope_local_base_freq", LOCAL_BASE), size: headSize },
      },
      own: { query: read.number("query_pre_attn_scalar", 256), ...(scores !== undefined && { scoreCap: scores }) },
      ...(cap !== undefined && { logitCap: cap }),
      ...windows(hf, every(read.size("sliding_window_pattern", read.size("_sliding_window_pattern", 6)))),
    };
  },
  configJson: (c) => {
    const { hidden_act: _, ...json } = usualJson(c);
    const local = c.ropes!["local"]!;
    return {
      ...json,
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: c.own!["query"],
      attn_logit_softcapping: c.own!["scoreCap"] ?? null,
      final_logit_softcapping: c.logitCap ?? null,
      ...(c.kinds && { layer_types: c.kinds }),
      rope_parameters: { [FULL]: ropeEntry(c.rope!, c.headSize), [SLIDING]: ropeEntry(local, c.headSize) },
      rope_local_base_freq: local.theta,
    };
  },
  weights: (c) => ({
    ...usualEnds(c),
    ...blockWeights(
      "model.layers",
      {
        ...Object.fromEntries(NORMS.map((name) => [name, [THEIRS[name], c.width] as const])),
        "attn.q_norm": ["self_attn.q_norm", c.headSize],
        "attn.k_norm": ["self_attn.k_norm", c.headSize],
        ...usualAttention(c),
        ...usualMlp(c),
      },
      c.attentionBias ? ["attn.q", "attn.k", "attn.v", "attn.o"] : [],
    ),
  }),
  prefixes: ["language_model."],
  gguf: ggufNames("gemma3", "gemma3", {
    weights: { "blocks.{i}.post_attn": "blk.{i}.post_attention_norm.weight", "blocks.{i}.post_mlp": "blk.{i}.post_ffw_norm.weight" },
    forms: () =>
      Object.fromEntries(
        ["final_norm", ...[...NORMS, "attn.q_norm", "attn.k_norm"].map((name) => `blocks.{i}.${name}`)].map((name) => [name, plusOne]),
      ),
    config: (c, kv) => {
      const read = reader("GGUF metadata", kv);
      const window = read.size("gemma3.attention.sliding_window", 4096);
      const cap = kv["gemma3.final_logit_softcapping"] === undefined ? undefined : read.number("gemma3.final_logit_softcapping");
      return {
        ...c,
        rope: { ...ropeFromMetadata("gemma3", kv, c), theta: read.number("gemma3.rope.freq_base", FULL_BASE) },
        ropes: { local: { theta: read.number("gemma3.rope.freq_base_swa", LOCAL_BASE), size: c.headSize } },
        own: { query: queryOf(c) },
        ...(cap !== undefined && { logitCap: cap }),
        window,
        kinds: kindsFromMetadata("gemma3", kv, c.layers, 6),
      };
    },
    hasWindow: true,
    metadata: (c) => {
      if (c.own!["query"] !== queryOf(c)) unsayable(`"query_pre_attn_scalar" of ${c.own!["query"] as number}`);
      if (c.own!["scoreCap"] !== undefined) unsayable("a Gemma 3 with a cap on its scores");
      const { theta, size, scaling } = c.ropes!["local"]!;
      if (size !== c.headSize || scaling) unsayable("a Gemma 3 with stretched positions in blocks that see the last keys");
      return {
        ...windowMetadata(c, 6),
        ...(theta !== LOCAL_BASE && { "rope.freq_base_swa": { float32: theta } }),
        ...(c.logitCap !== undefined && { final_logit_softcapping: { float32: c.logitCap } }),
      };
    },
  }),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight, c) => weight("embed").rows(tokens).mul(Math.sqrt(c.width)),
  block: (x, c, layer, at) => {
    const window = windowOf(c, layer);
    return inTurn(
      x,
      at,
      (h) =>
        attended(norm(h, at.weight("ln1"), c), c, at, {
          norm: (heads, which) => norm(heads, at.weight(`attn.${which}_norm`), c),
          rotate: (heads) => at.rope(heads, window === undefined ? undefined : "local"),
          scale: (c.own!["query"] as number) ** -0.5,
          how: { window, cap: c.own!["scoreCap"] as number | undefined },
        }),
      (h) => norm(gated(norm(h, at.weight("ln2"), c), at, geluTanh), at.weight("post_mlp"), c),
      (h) => norm(h, at.weight("post_attn"), c),
    );
  },
  finalNorm: (x, weight, c) => norm(x, weight("final_norm"), c),
});
