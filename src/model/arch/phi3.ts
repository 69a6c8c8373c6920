/** Phi-3 and Phi-4-mini: as Llama, with one matrix for queries, keys and values, and one for both sides of the gated MLP. */
import { joinHeads, splitHeads } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type BlockSite, type Config, defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { blockWeights, endWeights, ggufNames, USUAL_ENDS, usualConfig, usualJson, usualNorms } from "./usual.ts";
import { gatedTogether, inTurn, RMS_MODEL } from "./usual-blocks.ts";
import { oneWindow } from "./windows.ts";

/** LongRoPE's divisors for texts within the original context. */
const SHORT = "rope_factors_short.weight";

/** Queries, keys and values, one after the other. */
function mixed(h: Tensor, c: Config, { linear, rope, attend }: BlockSite): Tensor {
  const qkv = linear("attn.qkv", h);
  const [q, kv] = [c.heads * c.headSize, c.kvHeads * c.headSize];
  const part = (from: number, to: number, heads: number): Tensor => splitHeads(qkv.slice(2, from, to), heads, c.headSize);
  const keys = { k: rope(part(q, q + kv, c.kvHeads)), v: part(q + kv, q + 2 * kv, c.kvHeads) };
  return linear("attn.o", joinHeads(attend(rope(part(0, q, c.heads)), keys, c.headSize ** -0.5, { window: c.window })));
}

export const phi3 = defineArch({
  name: "phi3",
  claims: ["phi3"],
  className: "Phi3ForCausalLM",
  config: (hf) => ({ ...usualConfig("phi3", hf), ...oneWindow(hf) }),
  configJson: (c) => {
    const { attention_bias: _, mlp_bias: __, head_dim: ___, ...json } = usualJson(c);
    return { ...json, original_max_position_embeddings: c.context };
  },
  weights: (c) => ({
    ...endWeights(c, USUAL_ENDS),
    ...blockWeights("model.layers", {
      ...usualNorms(c),
      "attn.qkv": ["self_attn.qkv_proj", (c.heads + 2 * c.kvHeads) * c.headSize, c.width],
      "attn.o": ["self_attn.o_proj", c.width, c.heads * c.headSize],
      "mlp.gate_in": ["mlp.gate_up_proj", 2 * c.mlpWidth, c.width],
      "mlp.out": ["mlp.down_proj", c.width, c.mlpWidth],
    }),
  }),
  gguf: ggufNames("phi3", "phi3", {
    weights: { "blocks.{i}.mlp.gate_in": "blk.{i}.ffn_up.weight" },
    ropeFactors: SHORT,
    ignored: [/^rope_factors_long\.weight$/], // for texts behind the original context
    config: (c, kv, tensors) => {
      const read = reader("GGUF metadata", kv);
      const window = read.number("phi3.attention.sliding_window", 0); // 0: none
      const windowed = { ...c, ...(window > 0 && { window }) };
      if (!tensors.has(SHORT)) return windowed;
      const amplitude = read.number("phi3.rope.scaling.attn_factor", 1);
      return {
        ...windowed,
        context: Math.min(c.context, read.size("phi3.rope.scaling.original_context_length", c.context)),
        rope: { ...c.rope!, scaling: { kind: "longrope", factors: [], amplitude } },
      };
    },
    hasWindow: true,
    metadata: (c) => ({
      "attention.sliding_window": { uint32: c.window ?? 0 },
      "rope.scaling.original_context_length": { uint32: c.context },
    }),
  }),
  ...RMS_MODEL,
  block: (x, c, _layer, at) =>
    inTurn(
      x,
      at,
      (h) => mixed(h.rmsNorm(at.weight("ln1"), c.normEps), c, at),
      (h) => gatedTogether(h.rmsNorm(at.weight("ln2"), c.normEps), c, at),
    ),
});
