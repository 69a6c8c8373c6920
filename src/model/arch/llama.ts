/** Llama and its kin (Llama 1–3, Mistral, SmolLM2): RMSNorm before, rotary positions, grouped queries, gated MLP. */
import { fail } from "../../base/fail.ts";
import { joinHeads, splitHeads } from "../../tensor/nn.ts";
import { type Config, defineArch, type RopeScaling, type StoredWeight } from "./arch.ts";
import { reader } from "./read-config.ts";

const MLP = ["gate", "in", "out"] as const;
const ATTN = ["q", "k", "v", "o"] as const;
const HF_MLP = { gate: "gate", in: "up", out: "down" } as const;

/** config.json's rope scaling, in the layout of transformers 5 (rope_parameters) or before (rope_scaling). */
function ropeScaling(given: Readonly<Record<string, unknown>> | undefined): { theta?: number; scaling?: RopeScaling } {
  if (!given) return {};
  const read = reader("config.json: rope", given);
  const theta = given["rope_theta"] === undefined ? {} : { theta: read.number("rope_theta") };
  const kind = read.text("rope_type", read.text("type", "default"));
  if (kind === "default") return theta;
  if (kind === "linear") return { ...theta, scaling: { kind, factor: read.number("factor") } };
  if (kind === "llama3")
    return {
      ...theta,
      scaling: {
        kind,
        factor: read.number("factor"),
        low: read.number("low_freq_factor"),
        high: read.number("high_freq_factor"),
        original: read.number("original_max_position_embeddings"),
      },
    };
  return fail("config.json", `rope scaling "${kind}"`, "default, linear or llama3", "Use a checkpoint with one of those.", "unavailable");
}

export const llama = defineArch({
  name: "llama",
  claims: ["llama", "mistral"],
  config: (hf) => {
    const read = reader("config.json", hf);
    const [width, heads] = [read.size("hidden_size"), read.size("num_attention_heads")];
    const headSize = read.size("head_dim", width / heads);
    const { theta, scaling } = ropeScaling(read.object("rope_parameters") ?? read.object("rope_scaling"));
    const window = hf["sliding_window"] == null ? undefined : read.size("sliding_window");
    if (hf["hidden_act"] !== undefined && hf["hidden_act"] !== "silu")
      fail(
        "config.json",
        `hidden_act ${JSON.stringify(hf["hidden_act"])}`,
        '"silu"',
        "This checkpoint is not of the family it claims.",
        "unavailable",
      );
    return {
      arch: "llama",
      layers: read.size("num_hidden_layers"),
      width,
      mlpWidth: read.size("intermediate_size"),
      heads,
      kvHeads: read.size("num_key_value_heads", heads),
      headSize,
      vocab: read.size("vocab_size"),
      context: read.size("max_position_embeddings", 2048),
      normEps: read.number("rms_norm_eps", 1e-6),
      tied: read.flag("tie_word_embeddings", false),
      attentionBias: read.flag("attention_bias", false),
      mlpBias: read.flag("mlp_bias", false),
      rope: { theta: theta ?? read.number("rope_theta", 10000), size: headSize, ...(scaling && { scaling }) },
      ...(window !== undefined && { window }),
    };
  },
  weights: (c) => {
    const [q, kv] = [c.heads * c.headSize, c.kvHeads * c.headSize];
    const out = { q, k: kv, v: kv, o: c.width };
    const attn = (w: (typeof ATTN)[number], kind: string, shape: readonly number[]): StoredWeight => ({
      name: `model.layers.{i}.self_attn.${w}_proj.${kind}`,
      shape,
    });
    const mlp = (w: (typeof MLP)[number], kind: string, shape: readonly number[]): StoredWeight => ({
      name: `model.layers.{i}.mlp.${HF_MLP[w]}_proj.${kind}`,
      shape,
    });
    const mlpOut = (w: (typeof MLP)[number]): number => (w === "out" ? c.width : c.mlpWidth);
    return {
      embed: { name: "model.embed_tokens.weight", shape: [c.vocab, c.width] },
      "blocks.{i}.ln1": { name: "model.layers.{i}.input_layernorm.weight", shape: [c.width] },
      "blocks.{i}.ln2": { name: "model.layers.{i}.post_attention_layernorm.weight", shape: [c.width] },
      ...Object.fromEntries(ATTN.map((w) => [`blocks.{i}.attn.${w}`, attn(w, "weight", [out[w], w === "o" ? q : c.width])])),
      ...(c.attentionBias && Object.fromEntries(ATTN.map((w) => [`blocks.{i}.attn.${w}.bias`, attn(w, "bias", [out[w]])]))),
      ...Object.fromEntries(MLP.map((w) => [`blocks.{i}.mlp.${w}`, mlp(w, "weight", [mlpOut(w), w === "out" ? c.mlpWidth : c.width])])),
      ...(c.mlpBias && Object.fromEntries(MLP.map((w) => [`blocks.{i}.mlp.${w}.bias`, mlp(w, "bias", [mlpOut(w)])]))),
      final_norm: { name: "model.norm.weight", shape: [c.width] },
      ...(!c.tied && { head: { name: "lm_head.weight", shape: [c.vocab, c.width] } }),
    };
  },
  gguf: {
    architecture: "llama",
    config: (kv, tensors) => {
      const read = reader("GGUF metadata", kv);
      const [width, heads] = [read.size("llama.embedding_length"), read.size("llama.attention.head_count")];
      const headSize = read.size("llama.attention.key_length", read.size("llama.rope.dimension_count", width / heads));
      const factors = tensors.get("rope_freqs.weight");
      const config: Config = {
        arch: "llama",
        layers: read.size("llama.block_count"),
        width,
        mlpWidth: read.size("llama.feed_forward_length"),
        heads,
        kvHeads: read.size("llama.attention.head_count_kv", heads),
        headSize,
        vocab: tensors.get("token_embd.weight")?.shape[0] ?? read.size("llama.vocab_size"),
        context: read.size("llama.context_length", 2048),
        normEps: read.number("llama.attention.layer_norm_rms_epsilon", 1e-6),
        tied: !tensors.has("output.weight"),
        attentionBias: tensors.has("blk.0.attn_q.bias"),
        mlpBias: tensors.has("blk.0.ffn_down.bias"),
        rope: {
          theta: read.number("llama.rope.freq_base", 10000),
          size: headSize,
          ...(factors && { scaling: { kind: "factors" as const, factors: [] } }),
        },
      };
      return config;
    },
    weights: {
      embed: "token_embd.weight",
      final_norm: "output_norm.weight",
      head: "output.weight",
      "blocks.{i}.ln1": "blk.{i}.attn_norm.weight",
      "blocks.{i}.ln2": "blk.{i}.ffn_norm.weight",
      "blocks.{i}.attn.q": "blk.{i}.attn_q.weight",
      "blocks.{i}.attn.k": "blk.{i}.attn_k.weight",
      "blocks.{i}.attn.v": "blk.{i}.attn_v.weight",
      "blocks.{i}.attn.o": "blk.{i}.attn_output.weight",
      "blocks.{i}.attn.q.bias": "blk.{i}.attn_q.bias",
      "blocks.{i}.attn.k.bias": "blk.{i}.attn_k.bias",
      "blocks.{i}.attn.v.bias": "blk.{i}.attn_v.bias",
      "blocks.{i}.attn.o.bias": "blk.{i}.attn_output.bias",
      "blocks.{i}.mlp.gate": "blk.{i}.ffn_gate.weight",
      "blocks.{i}.mlp.in": "blk.{i}.ffn_up.weight",
      "blocks.{i}.mlp.out": "blk.{i}.ffn_down.weight",
      "blocks.{i}.mlp.gate.bias": "blk.{i}.ffn_gate.bias",
      "blocks.{i}.mlp.in.bias": "blk.{i}.ffn_up.bias",
      "blocks.{i}.mlp.out.bias": "blk.{i}.ffn_down.bias",
    },
    ropeFactors: "rope_freqs.weight",
    permuted: {
      "blocks.{i}.attn.q": "heads",
      "blocks.{i}.attn.k": "kvHeads",
      "blocks.{i}.attn.q.bias": "heads",
      "blocks.{i}.attn.k.bias": "kvHeads",
    },
  },
  memory: { weight: "blocks.{i}.mlp.out", key: "mlp_post", value: "mlp_out" },
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  block: (x, c, _layer, { weight, linear, tap, rope, attend }) => {
    const resid = tap("resid_pre", x);
    const h = resid.rmsNorm(weight("ln1"), c.normEps);
    const q = rope(splitHeads(linear("attn.q", h), c.heads, c.headSize));
    const k = rope(splitHeads(linear("attn.k", h), c.kvHeads, c.headSize));
    const v = splitHeads(linear("attn.v", h), c.kvHeads, c.headSize);
    const mixed = joinHeads(attend(q, { k, v }, c.headSize ** -0.5));
    const mid = tap("resid_mid", resid.add(tap("attn_out", linear("attn.o", mixed))));
    const m = mid.rmsNorm(weight("ln2"), c.normEps);
    const key = tap("mlp_post", linear("mlp.gate", m).silu().mul(linear("mlp.in", m)));
    return tap("resid_post", mid.add(tap("mlp_out", linear("mlp.out", key))));
  },
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
});
