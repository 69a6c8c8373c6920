/** OLMo 2 and 3: norms behind each part and of all queries and keys; OLMo 3 has blocks that see only the last keys. */
import { defineArch } from "./arch.ts";
import { kindsFromMetadata, unsayable, windowMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { ropeEntry, ropeFrom, ropeIn } from "./rotary.ts";
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
import { FULL, SLIDING, windowOf, windows } from "./windows.ts";

/** Of OLMo 3's blocks, every fourth one sees all keys. */
const kindOf = (layer: number): string => ((layer + 1) % 4 === 0 ? FULL : SLIDING);
const BASE = 5e5;

export const olmo2 = defineArch({
  name: "olmo2",
  claims: ["olmo2", "olmo3"],
  className: "Olmo2ForCausalLM",
  config: (hf) => {
    const usual = {
      ...usualConfig("olmo2", hf, { rope: { theta: BASE } }),
      normEps: reader("config.json", hf).number("rms_norm_eps", 1e-5),
    };
    if (hf["model_type"] !== "olmo3") return usual;
    const { headSize } = usual;
    const tables = reader("config.json", hf).object("rope_parameters");
    const [full, local] = [FULL, SLIDING].map((kind) => tables?.[kind] as Record<string, unknown> | undefined);
    const rope = full ? ropeIn(hf, full, { headSize, theta: BASE }) : ropeFrom(hf, { headSize, theta: BASE });
    const { scaling: _, ...plain } = rope; // the blocks with a window do not stretch their positions
    return {
      ...usual,
      rope,
      ropes: { local: local ? ropeIn(hf, local, { headSize, theta: BASE }) : plain },
      ...windows(hf, kindOf),
    };
  },
  configJson: (c) => {
    const { head_dim: _, mlp_bias: __, ...json } = usualJson(c);
    if (!c.ropes) return json;
    return {
      ...json,
      architectures: ["Olmo3ForCausalLM"],
      model_type: "olmo3",
      ...(c.kinds && { layer_types: c.kinds }),
      rope_parameters: { [FULL]: ropeEntry(c.rope!, c.headSize), [SLIDING]: ropeEntry(c.ropes["local"]!, c.headSize) },
    };
  },
  weights: (c) => ({
    ...usualEnds(c),
    ...blockWeights(
      "model.layers",
      {
        post_attn: ["post_attention_layernorm", c.width],
        post_mlp: ["post_feedforward_layernorm", c.width],
        "attn.q_norm": ["self_attn.q_norm", c.heads * c.headSize],
        "attn.k_norm": ["self_attn.k_norm", c.kvHeads * c.headSize],
        ...usualAttention(c),
        ...usualMlp(c),
      },
      c.attentionBias ? ["attn.q", "attn.k", "attn.v", "attn.o"] : [],
    ),
  }),
  gguf: ggufNames("olmo2", "olmo2", {
    weights: { "blocks.{i}.post_attn": "blk.{i}.post_attention_norm.weight", "blocks.{i}.post_mlp": "blk.{i}.post_ffw_norm.weight" },
    config: (c, kv) => {
      const window = reader("GGUF metadata", kv).number("olmo2.attention.sliding_window", 0); // OLMo 3 alone has one
      const { scaling: _, ...plain } = c.rope!;
      return window > 0 ? { ...c, window, kinds: kindsFromMetadata("olmo2", kv, c.layers, 4), ropes: { local: plain } } : c;
    },
    needsHead: true,
    hasWindow: true,
    metadata: (c) => {
      if (!c.ropes) return {};
      const { scaling: _, ...plain } = c.rope!;
      const local = c.ropes["local"]!;
      if (local.scaling || local.theta !== plain.theta || local.size !== plain.size)
        unsayable("an OLMo 3 with positions of their own in blocks that see the last keys");
      return windowMetadata(c, 4);
    },
  }),
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, layer, at) => {
    const window = windowOf(c, layer);
    return inTurn(
      x,
      at,
      (h) =>
        attended(h, c, at, {
          whole: (all, which) => all.rmsNorm(at.weight(`attn.${which}_norm`), c.normEps),
          rotate: (heads) => at.rope(heads, window === undefined ? undefined : "local"),
          how: { window },
        }),
      (h) => gated(h, at).rmsNorm(at.weight("post_mlp"), c.normEps),
      (h) => h.rmsNorm(at.weight("post_attn"), c.normEps),
    );
  },
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
});
