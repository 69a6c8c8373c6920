/** OPT: LayerNorm before, learned positions that count from two, biases everywhere, a plain MLP with ReLU. */
import { defineArch } from "./arch.ts";
import { reader } from "./read-config.ts";
import { blockWeights, checkActivation, endWeights, headSizeOf, refuseSwitch } from "./usual.ts";
import { attended, inTurn, LAYER_NORM_MODEL, layerNormed, plainMlp } from "./usual-blocks.ts";

/** Position p has row p + 2 of the table. */
const OFFSET = 2;

export const opt = defineArch({
  name: "opt",
  claims: ["opt"],
  className: "OPTForCausalLM",
  config: (hf) => {
    const read = reader("config.json", hf);
    const [width, heads] = [read.size("hidden_size"), read.count("num_attention_heads")];
    checkActivation(hf["activation_function"], ["relu"]);
    refuseSwitch(hf, "do_layer_norm_before", true);
    refuseSwitch(hf, "_remove_final_layer_norm", false);
    refuseSwitch(hf, "enable_bias", true);
    refuseSwitch(hf, "layer_norm_elementwise_affine", true);
    refuseSwitch(hf, "word_embed_proj_dim", width);
    return {
      arch: "opt",
      layers: read.count("num_hidden_layers"),
      width,
      mlpWidth: read.size("ffn_dim"),
      heads,
      kvHeads: heads,
      headSize: headSizeOf(width, heads),
      vocab: read.size("vocab_size"),
      context: read.size("max_position_embeddings", 2048),
      normEps: 1e-5,
      tied: read.flag("tie_word_embeddings", true),
      attentionBias: true,
      mlpBias: true,
    };
  },
  configJson: (c) => ({
    vocab_size: c.vocab,
    hidden_size: c.width,
    word_embed_proj_dim: c.width,
    ffn_dim: c.mlpWidth,
    num_hidden_layers: c.layers,
    num_attention_heads: c.heads,
    max_position_embeddings: c.context,
    activation_function: "relu",
    do_layer_norm_before: true,
    tie_word_embeddings: c.tied,
  }),
  weights: (c) => {
    const square = (name: string): readonly [string, number, number] => [`self_attn.${name}`, c.width, c.width];
    const own = {
      ln1: ["self_attn_layer_norm", c.width],
      ln2: ["final_layer_norm", c.width],
      "attn.q": square("q_proj"),
      "attn.k": square("k_proj"),
      "attn.v": square("v_proj"),
      "attn.o": square("out_proj"),
      "mlp.in": ["fc1", c.mlpWidth, c.width],
      "mlp.out": ["fc2", c.width, c.mlpWidth],
    } as const;
    return {
      ...endWeights(c, { embed: "model.decoder.embed_tokens", norm: "model.decoder.final_layer_norm", head: "lm_head", hasBias: true }),
      embed_positions: { name: "model.decoder.embed_positions.weight", shape: [c.context + OFFSET, c.width] },
      ...blockWeights("model.decoder.layers", own, Object.keys(own)),
    };
  },
  prefixes: ["model."],
  ...LAYER_NORM_MODEL,
  embed: (tokens, positions, weight) =>
    weight("embed")
      .rows(tokens)
      .add(weight("embed_positions").rows(positions.add(OFFSET))),
  block: (x, c, _layer, at) =>
    inTurn(
      x,
      at,
      (h) => attended(layerNormed(h, "ln1", c, at.weight), c, at, { rotate: (heads) => heads }),
      (h) => plainMlp(layerNormed(h, "ln2", c, at.weight), at, (m) => m.relu()),
    ),
});
