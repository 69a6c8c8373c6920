/** Llama and its kin (Llama 1–3, Mistral, SmolLM2): RMSNorm before, rotary positions, grouped queries, gated MLP. */
import { defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { pairedRows } from "./forms.ts";
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

export const llama = defineArch({
  name: "llama",
  claims: ["llama", "mistral"],
  className: "LlamaForCausalLM",
  config: (hf) => {
    const window = hf["sliding_window"] == null ? undefined : reader("config.json", hf).size("sliding_window");
    return { ...usualConfig("llama", hf), ...(window !== undefined && { window }) };
  },
  // transformers reads a window for this type alone
  configJson: (c) => ({ ...usualJson(c), ...(c.window !== undefined && { architectures: ["MistralForCausalLM"], model_type: "mistral" }) }),
  weights: (c) => {
    const [attention, mlp] = [usualAttention(c), usualMlp(c)];
    const biased = [...(c.attentionBias ? Object.keys(attention) : []), ...(c.mlpBias ? Object.keys(mlp) : [])];
    const norms = { ln1: ["input_layernorm", c.width], ln2: ["post_attention_layernorm", c.width] } as const;
    return { ...usualEnds(c), ...blockWeights("model.layers", { ...norms, ...attention, ...mlp }, biased) };
  },
  gguf: ggufNames("llama", "llama", { ropeFactors: "rope_freqs.weight", forms: pairedRows }),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, _layer, at) =>
    inTurn(
      x,
      at,
      (h) => attended(h.rmsNorm(at.weight("ln1"), c.normEps), c, at),
      (h) => gated(h.rmsNorm(at.weight("ln2"), c.normEps), at),
    ),
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
});
