/** Mini: a family like Llama, without Llama's options. */
import { defineArch, joinHeads, splitHeads } from "lethe";

const ATTENTION = { q: "q_proj", k: "k_proj", v: "v_proj", o: "o_proj" };
const MLP = { gate: "gate_proj", in: "up_proj", out: "down_proj" };

export const mini = defineArch({
  name: "mini",
  claims: ["mini"], // the model_type of its config.json
  config: (hf) => ({
    arch: "mini",
    layers: hf.num_hidden_layers,
    width: hf.hidden_size,
    mlpWidth: hf.intermediate_size,
    heads: hf.num_attention_heads,
    kvHeads: hf.num_key_value_heads,
    headSize: hf.head_dim,
    vocab: hf.vocab_size,
    context: hf.max_position_embeddings,
    normEps: hf.rms_norm_eps,
    tied: true,
    attentionBias: false,
    mlpBias: false,
    rope: { theta: hf.rope_theta, size: hf.head_dim },
  }),
  weights: (c) => {
    const out = { q: c.heads * c.headSize, k: c.kvHeads * c.headSize, v: c.kvHeads * c.headSize, o: c.width };
    const block = (name, shape) => ({ name: `model.layers.{i}.${name}.weight`, shape });
    return {
      embed: { name: "model.embed_tokens.weight", shape: [c.vocab, c.width] },
      "blocks.{i}.ln1": block("input_layernorm", [c.width]),
      "blocks.{i}.ln2": block("post_attention_layernorm", [c.width]),
      ...Object.fromEntries(
        Object.entries(ATTENTION).map(([ours, theirs]) => [
          `blocks.{i}.attn.${ours}`,
          block(`self_attn.${theirs}`, [out[ours], ours === "o" ? out.q : c.width]),
        ]),
      ),
      ...Object.fromEntries(
        Object.entries(MLP).map(([ours, theirs]) => [
          `blocks.{i}.mlp.${ours}`,
          block(`mlp.${theirs}`, ours === "out" ? [c.width, c.mlpWidth] : [c.mlpWidth, c.width]),
        ]),
      ),
      final_norm: { name: "model.norm.weight", shape: [c.width] },
    };
  },
  memory: { weight: "blocks.{i}.mlp.out", key: "mlp_post", value: "mlp_out" },
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, _layer, { weight, linear, tap, rope, attend }) => {
    const before = tap("resid_pre", x);
    const h = before.rmsNorm(weight("ln1"), c.normEps);
    const heads = (name, count) => splitHeads(linear(name, h), count, c.headSize);
    const [q, k] = [rope(heads("attn.q", c.heads)), rope(heads("attn.k", c.kvHeads))];
    const mixed = joinHeads(attend(q, { k, v: heads("attn.v", c.kvHeads) }, c.headSize ** -0.5));
    const middle = tap("resid_mid", before.add(tap("attn_out", linear("attn.o", mixed))));
    const m = middle.rmsNorm(weight("ln2"), c.normEps);
    const key = tap("mlp_post", linear("mlp.gate", m).silu().mul(linear("mlp.in", m)));
    return tap("resid_post", middle.add(tap("mlp_out", linear("mlp.out", key))));
  },
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
});
