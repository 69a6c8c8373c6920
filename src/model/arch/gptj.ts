/** GPT-J: one LayerNorm, attention beside a plain MLP, the first numbers of each head rotated in pairs of neighbours. */
import { geluTanh, halved } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineArch } from "./arch.ts";
import { gptConfig, gptEnds, gptJson } from "./gpt-words.ts";
import { reader } from "./read-config.ts";
import { blockWeights } from "./usual.ts";
import { attended, LAYER_NORM_MODEL, layerNormed, plainMlp, sideBySide } from "./usual-blocks.ts";

export const gptj = defineArch({
  name: "gptj",
  claims: ["gptj"],
  className: "GPTJForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const usual = gptConfig(hf, { arch: "gptj", context: 2048, tied: false, attentionBias: false });
    return { ...usual, rope: { theta: 10000, size: hf["rotary_dim"] === null ? usual.headSize : read.size("rotary_dim", 64) } };
  },
  configJson: (c) => ({ ...gptJson(c), rotary_dim: c.rope!.size }),
  weights: (c) => {
    const square = (name: string): readonly [string, number, number] => [`attn.${name}_proj`, c.width, c.width];
    return {
      ...gptEnds(c),
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
      "head.bias": { name: "lm_head.bias", shape: [c.vocab] },
    };
  },
  prefixes: ["transformer."],
  ignored: [/\.attn\.(bias|masked_bias|embed_positions)$/],
  ...LAYER_NORM_MODEL,
  block: (x, c, _layer, at) => {
    const shared = (h: Tensor): Tensor => layerNormed(h, "ln1", c, at.weight);
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
});
