/** Phi 1, 1.5 and 2: one LayerNorm, attention beside a plain MLP, part of each head rotated, biases everywhere. */
import { geluTanh } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { blockWeights, endWeights, ggufNames, refuseSwitch, USUAL_ENDS, usualAttention, usualConfig, usualJson } from "./usual.ts";
import { attended, LAYER_NORM_MODEL, layerNormed, plainMlp, sideBySide } from "./usual-blocks.ts";

export const phi = defineArch({
  name: "phi",
  claims: ["phi"],
  className: "PhiForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    refuseSwitch(hf, "qk_layernorm", false);
    return {
      ...usualConfig("phi", hf, { activations: ["gelu_new", "gelu_pytorch_tanh"], rope: { partial: 0.5 } }),
      normEps: read.number("layer_norm_eps", 1e-5),
      attentionBias: true,
      mlpBias: true,
    };
  },
  configJson: (c) => {
    const { attention_bias: _, mlp_bias: __, rms_norm_eps: ___, head_dim: ____, ...json } = usualJson(c);
    return { ...json, hidden_act: "gelu_new", layer_norm_eps: c.normEps };
  },
  weights: (c) => {
    const own = {
      ln1: ["input_layernorm", c.width],
      ...usualAttention(c),
      "attn.o": ["self_attn.dense", c.width, c.heads * c.headSize],
      "mlp.in": ["mlp.fc1", c.mlpWidth, c.width],
      "mlp.out": ["mlp.fc2", c.width, c.mlpWidth],
    } as const;
    return {
      ...endWeights(c, { ...USUAL_ENDS, norm: "model.final_layernorm", hasBias: true }),
      ...blockWeights("model.layers", own, Object.keys(own)),
      "head.bias": { name: "lm_head.bias", shape: [c.vocab] },
    };
  },
  gguf: ggufNames("phi", "phi2", {
    config: (c) => ({ ...c, attentionBias: true, mlpBias: true }),
    norm: "layer",
    needsHead: true,
  }),
  ...LAYER_NORM_MODEL,
  block: (x, c, _layer, at) => {
    const shared = (h: Tensor): Tensor => layerNormed(h, "ln1", c, at.weight);
    return sideBySide(
      x,
      at,
      (h) => attended(shared(h), c, at),
      (h) => plainMlp(shared(h), at, geluTanh),
    );
  },
});
