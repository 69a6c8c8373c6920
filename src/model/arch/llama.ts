/** Llama and its kin (Llama 1–3, Mistral, SmolLM2): RMSNorm before, rotary positions, grouped queries, gated MLP. */
import { defineArch } from "./arch.ts";
import { pairedRows } from "./forms.ts";
import { attentionBiases, ggufNames, mlpBiases, usualConfig, usualJson, usualWeights } from "./usual.ts";
import { preNormed, RMS_MODEL } from "./usual-blocks.ts";
import { oneWindow } from "./windows.ts";

export const llama = defineArch({
  name: "llama",
  claims: ["llama", "mistral"],
  className: "LlamaForCausalLM",
  config: (hf) => ({ ...usualConfig("llama", hf), ...oneWindow(hf) }),
  // transformers reads a window for this type alone
  configJson: (c) => ({ ...usualJson(c), ...(c.window !== undefined && { architectures: ["MistralForCausalLM"], model_type: "mistral" }) }),
  weights: (c) => usualWeights(c, { biased: [...attentionBiases(c), ...mlpBiases(c)] }),
  gguf: ggufNames("llama", "llama", { ropeFactors: "rope_freqs.weight", forms: pairedRows }),
  ...RMS_MODEL,
  block: (x, c, _layer, at) => preNormed(x, c, at),
});
