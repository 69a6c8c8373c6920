/** GPT-2: LayerNorm before, learned positions, biases everywhere, a plain MLP; weights are stored [in, out]. */
import { geluTanh, joinHeads, layerNorm, splitHeads } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type BlockSite, type Config, defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { blockWeights, headSizeOf, checkActivation, ggufNames, inTurn, plainMlp, refuseSwitch, USUAL_MEMORY } from "./usual.ts";

/** LayerNorm by the weight and the bias of this name. */
const norm = (x: Tensor, name: string, c: Config, weight: (name: string) => Tensor): Tensor =>
  layerNorm(x, weight(name), weight(`${name}.bias`), c.normEps);

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
    const read = reader("config.json", hf);
    checkActivation(hf["activation_function"], ["gelu_new", "gelu_pytorch_tanh"]);
    refuseSwitch(hf, "scale_attn_by_inverse_layer_idx", false);
    refuseSwitch(hf, "scale_attn_weights", true);
    refuseSwitch(hf, "add_cross_attention", false);
    const [width, heads] = [read.size("n_embd"), read.count("n_head")];
    return {
      arch: "gpt2",
      layers: read.count("n_layer"),
      width,
      mlpWidth: hf["n_inner"] == null ? 4 * width : read.size("n_inner"),
      heads,
      kvHeads: heads,
      headSize: headSizeOf(width, heads),
      vocab: read.size("vocab_size"),
      context: read.size("n_positions", 1024),
      normEps: read.number("layer_norm_epsilon", 1e-5),
      tied: read.flag("tie_word_embeddings", true),
      attentionBias: true,
      mlpBias: true,
    };
  },
  configJson: (c) => ({
    vocab_size: c.vocab,
    n_embd: c.width,
    n_inner: c.mlpWidth === 4 * c.width ? null : c.mlpWidth,
    n_layer: c.layers,
    n_head: c.heads,
    n_positions: c.context,
    n_ctx: c.context,
    layer_norm_epsilon: c.normEps,
    activation_function: "gelu_new",
    tie_word_embeddings: c.tied,
  }),
  weights: (c) => ({
    embed: { name: "transformer.wte.weight", shape: [c.vocab, c.width] },
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
    final_norm: { name: "transformer.ln_f.weight", shape: [c.width] },
    "final_norm.bias": { name: "transformer.ln_f.bias", shape: [c.width] },
    ...(!c.tied && { head: { name: "lm_head.weight", shape: [c.vocab, c.width] } }),
  }),
  prefixes: ["transformer."],
  ignored: [/\.attn\.(bias|masked_bias)$/],
  gguf: ggufNames("gpt2", "gpt2", {
    weights: { embed_positions: "position_embd.weight" },
    config: ({ rope: _, ...c }) => ({ ...c, attentionBias: true, mlpBias: true }),
    norm: "layer",
  }),
  memory: USUAL_MEMORY,
  embed: (tokens, positions, weight) => weight("embed").rows(tokens).add(weight("embed_positions").rows(positions)),
  block: (x, c, _layer, at) =>
    inTurn(
      x,
      at,
      (h) => mixed(norm(h, "ln1", c, at.weight), c, at),
      (h) => plainMlp(norm(h, "ln2", c, at.weight), at, geluTanh),
    ),
  finalNorm: (x, weight, c) => norm(x, "final_norm", c, weight),
});
