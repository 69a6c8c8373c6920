/** OLMo 2 and 3: norms behind each part and of all queries and keys; OLMo 3 has blocks that see only the last keys. */
import { defineArch, type Rope } from "./arch.ts";
import { kindsFromMetadata, unsayable, windowMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { twoTables, twoTablesJson } from "./rotary.ts";
import { ggufNames, usualConfig, usualJson, usualWeights } from "./usual.ts";
import { attended, gated, inTurn, RMS_MODEL } from "./usual-blocks.ts";
import { everyNth, windowOf, windows } from "./windows.ts";

const BASE = 5e5;
/** Of OLMo 3's blocks, every fourth one sees all keys. */
const PERIOD = 4;
/** The blocks that see the last keys do not stretch their positions. */
const unstretched = ({ scaling: _, ...plain }: Rope): Rope => plain;

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
    return {
      ...usual,
      ...twoTables(hf, { headSize: usual.headSize, theta: BASE, localTheta: BASE, otherwise: unstretched }),
      ...windows(hf, everyNth(PERIOD)),
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
      ...twoTablesJson(c),
    };
  },
  weights: (c) =>
    usualWeights(c, {
      norms: {
        post_attn: ["post_attention_layernorm", c.width],
        post_mlp: ["post_feedforward_layernorm", c.width],
        "attn.q_norm": ["self_attn.q_norm", c.heads * c.headSize],
        "attn.k_norm": ["self_attn.k_norm", c.kvHeads * c.headSize],
      },
    }),
  gguf: ggufNames("olmo2", "olmo2", {
    weights: { "blocks.{i}.post_attn": "blk.{i}.post_attention_norm.weight", "blocks.{i}.post_mlp": "blk.{i}.post_ffw_norm.weight" },
    config: (c, kv) => {
      const window = reader("GGUF metadata", kv).number("olmo2.attention.sliding_window", 0); // OLMo 3 alone has one
      return window > 0
        ? { ...c, window, kinds: kindsFromMetadata("olmo2", kv, c.layers, PERIOD), ropes: { local: unstretched(c.rope!) } }
        : c;
    },
    needsHead: true,
    hasWindow: true,
    metadata: (c) => {
      if (!c.ropes) return {};
      const local = c.ropes["local"]!;
      if (local.scaling || local.theta !== c.rope!.theta || local.size !== c.rope!.size)
        unsayable("an OLMo 3 with positions of their own in blocks that see the last keys");
      return windowMetadata(c, PERIOD);
    },
  }),
  ...RMS_MODEL,
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
});
