/** Gemma 2: norms before and after each part, every other block sees only the last keys, scores and logits are capped. */
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
  gemmaWeights,
} from "./gemma-parts.ts";
import { kindsFromMetadata, unsayable, windowMetadata } from "./gguf-words.ts";
import { reader } from "./read-config.ts";
import { ggufNames } from "./usual.ts";
import { everyNth, windows } from "./windows.ts";

/** The number of layers of the largest model. */
const LARGEST = 46;

export const gemma2 = defineArch({
  name: "gemma2",
  claims: ["gemma2"],
  className: "Gemma2ForCausalLM",
  config: (hf) => ({ ...gemmaConfig("gemma2", hf), ...windows(hf, everyNth(2)) }),
  configJson: gemmaJson,
  weights: (c) => gemmaWeights(c),
  gguf: ggufNames("gemma2", "gemma2", {
    weights: GEMMA_GGUF,
    forms: () => gemmaForms(),
    config: (c, kv) => {
      const read = reader("GGUF metadata", kv);
      return {
        ...c,
        own: {
          query: derivedQuery(c, LARGEST),
          scoreCap: read.number("gemma2.attn_logit_softcapping", 50),
        },
        logitCap: read.number("gemma2.final_logit_softcapping", 30),
        window: read.size("gemma2.attention.sliding_window", 4096),
        kinds: kindsFromMetadata("gemma2", kv, c.layers, 2),
      };
    },
    hasWindow: true,
    metadata: (c) => {
      checkQuery(c, LARGEST);
      if (c.own!["scoreCap"] === undefined || c.logitCap === undefined) unsayable("a Gemma 2 without caps");
      return {
        ...windowMetadata(c, 2),
        attn_logit_softcapping: { float32: c.own!["scoreCap"] as number },
        final_logit_softcapping: { float32: c.logitCap! },
      };
    },
  }),
  ...GEMMA_MODEL,
  block: gemmaBlock,
});
