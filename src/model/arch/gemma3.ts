/** Gemma 3 (text): norms before and after each part, norms of queries and keys, and blocks that see only the last keys. */
import { defineArch } from "./arch.ts";
import {
  checkQuery,
  derivedQuery,
  GEMMA_GGUF,
  GEMMA_MODEL,
  gemmaBlock,
  gemmaConfig,
  gemmaForms,
  gemmaJson,
  gemmaNorm,
  gemmaWeights,
} from "./gemma-parts.ts";
import { kindsFromMetadata, ropeFromMetadata, unsayable, windowMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { twoTables, twoTablesJson } from "./rotary.ts";
import { ggufNames } from "./usual.ts";
import { everyNth, windowOf, windows } from "./windows.ts";

const LOCAL_BASE = 1e4;
const FULL_BASE = 1e6;
/** The number of layers of the largest model. */
const LARGEST = 62;

export const gemma3 = defineArch({
  name: "gemma3",
  claims: ["gemma3_text"],
  className: "Gemma3ForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const usual = gemmaConfig("gemma3", hf);
    const { headSize } = usual;
    return {
      ...usual,
      ...twoTables(hf, {
        headSize,
        theta: FULL_BASE,
        localTheta: LOCAL_BASE,
        otherwise: () => ({ theta: read.number("rope_local_base_freq", LOCAL_BASE), size: headSize }),
      }),
      ...windows(hf, everyNth(read.size("sliding_window_pattern", read.size("_sliding_window_pattern", 6)))),
    };
  },
  configJson: (c) => ({ ...gemmaJson(c), ...twoTablesJson(c), rope_local_base_freq: c.ropes!["local"]!.theta }),
  weights: (c) => gemmaWeights(c, { "attn.q_norm": ["self_attn.q_norm", c.headSize], "attn.k_norm": ["self_attn.k_norm", c.headSize] }),
  prefixes: ["language_model."],
  gguf: ggufNames("gemma3", "gemma3", {
    weights: GEMMA_GGUF,
    forms: () => gemmaForms(["attn.q_norm", "attn.k_norm"]),
    config: (c, kv) => {
      const read = reader("GGUF metadata", kv);
      const window = read.size("gemma3.attention.sliding_window", 4096);
      const cap = kv["gemma3.final_logit_softcapping"] === undefined ? undefined : read.number("gemma3.final_logit_softcapping");
      return {
        ...c,
        rope: { ...ropeFromMetadata("gemma3", kv, c), theta: read.number("gemma3.rope.freq_base", FULL_BASE) },
        ropes: { local: { theta: read.number("gemma3.rope.freq_base_swa", LOCAL_BASE), size: c.headSize } },
        own: { query: derivedQuery(c, LARGEST) },
        ...(cap !== undefined && { logitCap: cap }),
        window,
        kinds: kindsFromMetadata("gemma3", kv, c.layers, 6),
      };
    },
    hasWindow: true,
    metadata: (c) => {
      checkQuery(c, LARGEST);
      if (c.own!["scoreCap"] !== undefined) unsayable("a Gemma 3 with a cap on its scores");
      const { theta, size, scaling } = c.ropes!["local"]!;
      if (size !== c.headSize || scaling) unsayable("a Gemma 3 with stretched positions in blocks that see the last keys");
      return {
        ...windowMetadata(c, 6),
        ...(theta !== LOCAL_BASE && { "rope.freq_base_swa": { float32: theta } }),
        ...(c.logitCap !== undefined && { final_logit_softcapping: { float32: c.logitCap } }),
      };
    },
  }),
  ...GEMMA_MODEL,
  block: (x, c, layer, at) =>
    gemmaBlock(x, c, layer, at, {
      norm: (heads, which) => gemmaNorm(heads, at.weight(`attn.${which}_norm`), c),
      rotate: (heads) => at.rope(heads, windowOf(c, layer) === undefined ? undefined : "local"),
    }),
});
