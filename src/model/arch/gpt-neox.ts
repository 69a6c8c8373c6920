/** GPT-NeoX and Pythia: two LayerNorms of one input, attention beside the MLP, part of each head rotated, one matrix for queries, keys and values. */
import { gelu, geluTanh, joinHeads } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type BlockSite, type Config, defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { blockWeights, endWeights, usualConfig, usualJson, usualNorms } from "./usual.ts";
import { inTurn, LAYER_NORM_MODEL, layerNormed, plainMlp, sideBySide } from "./usual-blocks.ts";

const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
};

/** The rows of the joint matrix are sorted by head: those of its queries, its keys, its values. */
function mixed(h: Tensor, c: Config, { linear, rope, attend }: BlockSite): Tensor {
  const [B, T] = h.shape;
  const heads = linear("attn.qkv", h)
    .reshape([B!, T!, c.heads, 3 * c.headSize])
    .transpose(0, 2, 1, 3);
  const [q, k, v] = [0, 1, 2].map((part) => heads.slice(3, part * c.headSize, (part + 1) * c.headSize)) as [Tensor, Tensor, Tensor];
  return linear("attn.o", joinHeads(attend(rope(q), { k: rope(k), v }, c.headSize ** -0.5)));
}

export const gptNeox = defineArch({
  name: "gpt-neox",
  claims: ["gpt_neox"],
  className: "GPTNeoXForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const usual = usualConfig("gpt-neox", hf, {
      activations: Object.keys(ACTIVATIONS),
      rope: { partial: 0.25, older: { theta: "rotary_emb_base", partial: "rotary_pct" } },
    });
    return {
      ...usual,
      normEps: read.number("layer_norm_eps", 1e-5),
      attentionBias: read.flag("attention_bias", true),
      mlpBias: true,
      own: {
        isParallel: read.flag("use_parallel_residual", true),
        isExact: read.text("hidden_act", "gelu") === "gelu",
      },
    };
  },
  configJson: (c) => {
    const { mlp_bias: _, rms_norm_eps: __, head_dim: ___, num_key_value_heads: ____, ...json } = usualJson(c);
    return {
      ...json,
      layer_norm_eps: c.normEps,
      hidden_act: c.own!["isExact"] ? "gelu" : "gelu_new",
      use_parallel_residual: c.own!["isParallel"],
      rotary_pct: c.rope!.size / c.headSize,
      rotary_emb_base: c.rope!.theta,
    };
  },
  weights: (c) => ({
    ...endWeights(c, { embed: "gpt_neox.embed_in", norm: "gpt_neox.final_layer_norm", head: "embed_out", hasBias: true }),
    ...blockWeights(
      "gpt_neox.layers",
      {
        ...usualNorms(c),
        "attn.qkv": ["attention.query_key_value", 3 * c.width, c.width],
        "attn.o": ["attention.dense", c.width, c.width],
        "mlp.in": ["mlp.dense_h_to_4h", c.mlpWidth, c.width],
        "mlp.out": ["mlp.dense_4h_to_h", c.width, c.mlpWidth],
      },
      ["ln1", "ln2", ...(c.attentionBias ? ["attn.qkv", "attn.o"] : []), "mlp.in", "mlp.out"],
    ),
  }),
  ignored: [/\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/],
  ...LAYER_NORM_MODEL,
  block: (x, c, _layer, at) =>
    (c.own!["isParallel"] ? sideBySide : inTurn)(
      x,
      at,
      (h) => mixed(layerNormed(h, "ln1", c, at.weight), c, at),
      (h) => plainMlp(layerNormed(h, "ln2", c, at.weight), at, c.own!["isExact"] ? gelu : geluTanh),
    ),
});
