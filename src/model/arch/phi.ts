/** Phi 1, 1.5 and 2: one LayerNorm, attention beside a plain MLP, part of each head rotated, biases everywhere. */
import { geluTanh, layerNorm } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Config, defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import {
  attended,
  blockWeights,
  ggufNames,
  plainMlp,
  refuseSwitch,
  sideBySide,
  usualAttention,
  usualConfig,
  usualJson,
  USUAL_MEMORY,
} from "./usual.ts";

const norm = (x: Tensor, name: string, c: Config, weight: (name: string) => Tensor): Tensor =>
  layerNorm(x, weight(name), weight(`${name}.bias`), c.normEps);

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
      embed: { name: "model.embed_tokens.weight", shape: [c.vocab, c.width] },
      ...blockWeights("model.layers", own, Object.keys(own)),
      final_norm: { name: "model.final_layernorm.weight", shape: [c.width] },
      "final_norm.bias": { name: "model.final_layernorm.bias", shape: [c.width] },
      ...(!c.tied && { head: { name: "lm_head.weight", shape: [c.vocab, c.width] } }),
      "head.bias": { name: "lm_head.bias", shape: [c.vocab] },
    };
  },
  gguf: ggufNames("phi", "phi2", {
    config: (c) => ({ ...c, attentionBias: true, mlpBias: true }),
    norm: "layer",
    needsHead: true,
  }),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, _layer, at) => {
    const shared = (h: Tensor): Tensor => norm(h, "ln1", c, at.weight);
    return sideBySide(
      x,
      at,
      (h) => attended(shared(h), c, at),
      (h) => plainMlp(shared(h), at, geluTanh),
    );
  },
  finalNorm: (x, weight, c) => norm(x, "final_norm", c, weight),
});
