/** GPT-J: one LayerNorm, attention beside a plain MLP, the first numbers of each head rotated in pairs of neighbours. */
import { geluTanh, halved, layerNorm } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Config, defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { attended, blockWeights, headSizeOf, checkActivation, plainMlp, sideBySide, USUAL_MEMORY } from "./usual.ts";

const norm = (x: Tensor, name: string, c: Config, weight: (name: string) => Tensor): Tensor =>
  layerNorm(x, weight(name), weight(`${name}.bias`), c.normEps);

export const gptj = defineArch({
  name: "gptj",
  claims: ["gptj"],
  className: "GPTJForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    checkActivation(hf["activation_function"], ["gelu_new", "gelu_pytorch_tanh"]);
    const [width, heads] = [read.size("n_embd"), read.count("n_head")];
    return {
      arch: "gptj",
      layers: read.count("n_layer"),
      width,
      mlpWidth: hf["n_inner"] == null ? 4 * width : read.size("n_inner"),
      heads,
      kvHeads: heads,
      headSize: headSizeOf(width, heads),
      vocab: read.size("vocab_size"),
      context: read.size("n_positions", 2048),
      normEps: read.number("layer_norm_epsilon", 1e-5),
      tied: read.flag("tie_word_embeddings", false),
      rope: { theta: 10000, size: hf["rotary_dim"] === null ? width / heads : read.size("rotary_dim", 64) },
      attentionBias: false,
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
    rotary_dim: c.rope!.size,
    layer_norm_epsilon: c.normEps,
    activation_function: "gelu_new",
    tie_word_embeddings: c.tied,
  }),
  weights: (c) => {
    const square = (name: string): readonly [string, number, number] => [`attn.${name}_proj`, c.width, c.width];
    return {
      embed: { name: "transformer.wte.weight", shape: [c.vocab, c.width] },
      ...blockWeights(
        "transformer.h",
        {
          ln1: ["ln_1", c.width],
          "attn.q": square("q"),
          "attn.k": square("k"),
          "attn.v": square("v"),
          "attn.o": square("out"),
          "mlp.in": ["mlp.fc_in", c.mlpWidth, c.width],
          "mlp.out": ["mlp.fc_out", c.width, c.mlpWidth],
        },
        ["ln1", "mlp.in", "mlp.out"],
      ),
      final_norm: { name: "transformer.ln_f.weight", shape: [c.width] },
      "final_norm.bias": { name: "transformer.ln_f.bias", shape: [c.width] },
      ...(!c.tied && { head: { name: "lm_head.weight", shape: [c.vocab, c.width] } }),
      "head.bias": { name: "lm_head.bias", shape: [c.vocab] },
    };
  },
  prefixes: ["transformer."],
  ignored: [/\.attn\.(bias|masked_bias|embed_positions)$/],
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, _layer, at) => {
    const shared = (h: Tensor): Tensor => norm(h, "ln1", c, at.weight);
    const { size } = c.rope!;
    const rotate = (heads: Tensor): Tensor => {
      const turned = at.rope(halved(heads.slice(3, 0, size)));
      return size === c.headSize ? turned : turned.concat([heads.slice(3, size, c.headSize)], 3);
    };
    return sideBySide(
      x,
      at,
      (h) => attended(shared(h), c, at, { rotate }),
      (h) => plainMlp(shared(h), at, geluTanh),
    );
  },
  finalNorm: (x, weight, c) => norm(x, "final_norm", c, weight),
});
