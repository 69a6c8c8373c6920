/** StableLM: LayerNorm before, part of each head rotated, a gated MLP; some have both parts side by side, and a norm for each head. */
import { layerNorm } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type BlockSite, type Config, defineArch } from "./arch.ts";
import { unsayable } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { ggufNames, type Named, refuseSwitch, usualConfig, usualJson, usualNorms, usualWeights } from "./usual.ts";
import { attended, gated, inTurn, LAYER_NORM_MODEL, layerNormed, sideBySide } from "./usual-blocks.ts";

const headsOf = (c: Config, which: "q" | "k"): number => (which === "q" ? c.heads : c.kvHeads);

/** A LayerNorm without bias for each head, [B, H, T, d]. */
function normOfHeads(x: Tensor, which: "q" | "k", c: Config, { weight }: BlockSite): Tensor {
  const [first, ...rest] = Array.from({ length: headsOf(c, which) }, (_, head) => weight(`attn.${which}_norm.${head}`)) as [
    Tensor,
    ...Tensor[],
  ];
  const all = rest.length > 0 ? first.concat(rest, 0) : first;
  return layerNorm(x, all.reshape([headsOf(c, which), 1, c.headSize]), undefined, c.normEps);
}

export const stablelm = defineArch({
  name: "stablelm",
  claims: ["stablelm"],
  className: "StableLmForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    return {
      ...usualConfig("stablelm", hf, { rope: { partial: 0.25 } }),
      normEps: read.number("layer_norm_eps", 1e-5),
      attentionBias: read.flag("use_qkv_bias", false),
      own: { isParallel: read.flag("use_parallel_residual", false), normsHeads: read.flag("qk_layernorm", false) },
    };
  },
  configJson: (c) => {
    const { attention_bias: _, mlp_bias: __, rms_norm_eps: ___, head_dim: ____, ...json } = usualJson(c);
    return {
      ...json,
      layer_norm_eps: c.normEps,
      use_qkv_bias: c.attentionBias,
      use_parallel_residual: c.own!["isParallel"],
      qk_layernorm: c.own!["normsHeads"],
    };
  },
  weights: (c) => {
    const { isParallel, normsHeads } = c.own!;
    const perHead = (["q", "k"] as const).flatMap((which) =>
      Array.from({ length: headsOf(c, which) }, (_, head): [string, Named] => [
        `attn.${which}_norm.${head}`,
        [`self_attn.${which}_layernorm.norms.${head}`, c.headSize],
      ]),
    );
    const { ln1, ln2 } = usualNorms(c) as { ln1: Named; ln2: Named };
    const norms = isParallel ? { ln1 } : { ln1, ln2 };
    return {
      ...usualWeights(c, {
        norms: { ...norms, ...(normsHeads && Object.fromEntries(perHead)) },
        biased: [...Object.keys(norms), ...(c.attentionBias ? ["attn.q", "attn.k", "attn.v"] : [])],
      }),
      "final_norm.bias": { name: "model.norm.bias", shape: [c.width] },
    };
  },
  gguf: ggufNames("stablelm", "stablelm", {
    config: (c, _kv, tensors) => {
      refuseSwitch({ "norms of heads": tensors.has("blk.0.attn_q_norm.weight") }, "norms of heads", false);
      return { ...c, own: { isParallel: !tensors.has("blk.0.ffn_norm.weight"), normsHeads: false } };
    },
    norm: "layer",
    needsHead: true,
    metadata: (c) => {
      if (c.own!["normsHeads"]) unsayable("a StableLM with norms of heads");
      return { use_parallel_residual: { bool: c.own!["isParallel"] as boolean } };
    },
  }),
  ...LAYER_NORM_MODEL,
  block: (x, c, _layer, at) => {
    const { isParallel, normsHeads } = c.own!;
    const mixing = normsHeads ? { norm: (heads: Tensor, which: "q" | "k") => normOfHeads(heads, which, c, at) } : {};
    return (isParallel ? sideBySide : inTurn)(
      x,
      at,
      (h) => attended(layerNormed(h, "ln1", c, at.weight), c, at, mixing),
      (h) => gated(layerNormed(h, isParallel ? "ln1" : "ln2", c, at.weight), at),
    );
  },
});
