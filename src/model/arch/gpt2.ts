/** GPT-2: LayerNorm before, learned positions, biases everywhere, a plain MLP; weights are stored [in, out]. */
import { geluTanh, joinHeads, splitHeads } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type BlockSite, type Config, defineArch } from "./arch.ts";
import { gptConfig, gptEnds, gptJson } from "./gpt-words.ts";
import { blockWeights, ggufNames, refuseSwitch } from "./usual.ts";
import { inTurn, LAYER_NORM_MODEL, layerNormed, plainMlp } from "./usual-blocks.ts";

function mixed(h: Tensor, c: Config, { linear, attend }: BlockSite): Tensor {
  const qkv = linear("attn.qkv", h);
  const [q, k, v] = [0, 1, 2].map((part) => splitHeads(qkv.slice(2, part * c.width, (part + 1) * c.width), c.heads, c.headSize)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  return linear("attn.o", joinHeads(attend(q, { k, v }, c.headSize ** -0.5)));
}

export const gpt2 = defineArch({
  name: "gpt2",
  claims: ["gpt2"],
  className: "GPT2LMHeadModel",
  config: (hf) => {
    refuseSwitch(hf, "scale_attn_by_inverse_layer_idx", false);
    refuseSwitch(hf, "scale_attn_weights", true);
    refuseSwitch(hf, "add_cross_attention", false);
    return gptConfig(hf, { arch: "gpt2", context: 1024, tied: true, attentionBias: true });
  },
  configJson: (c) => ({ ...gptJson(c), n_ctx: c.context }),
  weights: (c) => ({
    ...gptEnds(c),
    embed_positions: { name: "transformer.wpe.weight", shape: [c.context, c.width] },
    ...blockWeights(
      "transformer.h",
      {
        ln1: ["ln_1", c.width],
        ln2: ["ln_2", c.width],
        "attn.qkv": ["attn.c_attn", 3 * c.width, c.width],
        "attn.o": ["attn.c_proj", c.width, c.width],
        "mlp.in": ["mlp.c_fc", c.mlpWidth, c.width],
        "mlp.out": ["mlp.c_proj", c.width, c.mlpWidth],
      },
      ["ln1", "ln2", "attn.qkv", "attn.o", "mlp.in", "mlp.out"],
      { transposed: true },
    ),
  }),
  prefixes: ["transformer."],
  ignored: [/\.attn\.(bias|masked_bias)$/],
  gguf: ggufNames("gpt2", "gpt2", {
    weights: { embed_positions: "position_embd.weight" },
    config: ({ rope: _, ...c }) => ({ ...c, attentionBias: true, mlpBias: true }),
    norm: "layer",
  }),
  ...LAYER_NORM_MODEL,
  embed: (tokens, positions, weight) => weight("embed").rows(tokens).add(weight("embed_positions").rows(positions)),
  block: (x, c, _layer, at) =>
    inTurn(
      x,
      at,
      (h) => mixed(layerNormed(h, "ln1", c, at.weight), c, at),
      (h) => plainMlp(layerNormed(h, "ln2", c, at.weight), at, geluTanh),
    ),
});
