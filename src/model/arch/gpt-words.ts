/** The words of config.json and of weights that the GPTs with the prefix "transformer." share. */
import type { Config, StoredWeight } from "./arch.ts";
import { reader } from "./read-config.ts";
import { checkActivation, endWeights, headSizeOf } from "./usual.ts";

type Json = Readonly<Record<string, unknown>>;

/** A config by these words. `defaults` has what the file need not say. */
export function gptConfig(hf: Json, defaults: Pick<Config, "arch" | "context" | "tied" | "attentionBias">): Config {
  const read = reader("config.json", hf);
  checkActivation(hf["activation_function"], ["gelu_new", "gelu_pytorch_tanh"]);
  const [width, heads] = [read.size("n_embd"), read.count("n_head")];
  return {
    ...defaults,
    layers: read.count("n_layer"),
    width,
    mlpWidth: hf["n_inner"] == null ? 4 * width : read.size("n_inner"),
    heads,
    kvHeads: heads,
    headSize: headSizeOf(width, heads),
    vocab: read.size("vocab_size"),
    context: read.size("n_positions", defaults.context),
    normEps: read.number("layer_norm_epsilon", 1e-5),
    tied: read.flag("tie_word_embeddings", defaults.tied),
    mlpBias: true,
  };
}

/** The keys of {@link gptConfig}, from a config. */
export const gptJson = (c: Config): Record<string, unknown> => ({
  vocab_size: c.vocab,
  n_embd: c.width,
  n_inner: c.mlpWidth === 4 * c.width ? null : c.mlpWidth,
  n_layer: c.layers,
  n_head: c.heads,
  n_positions: c.context,
  layer_norm_epsilon: c.normEps,
  activation_function: "gelu_new",
  tie_word_embeddings: c.tied,
});

/** The embedding, the last norm and the head. */
export const gptEnds = (c: Config): Record<string, StoredWeight> =>
  endWeights(c, { embed: "transformer.wte", norm: "transformer.ln_f", head: "lm_head", hasBias: true });
