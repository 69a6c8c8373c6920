/** Parts of blocks that architectures share: attention, MLPs, how both parts are joined, and what stands around the blocks. */
import { joinHeads, layerNorm, splitHeads } from "../../tensor/nn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Arch, Attending, BlockSite, Config } from "./arch.ts";

/** The site where most architectures keep facts: the matrix behind the MLP's activation. */
const USUAL_MEMORY = { weight: "blocks.{i}.mlp.out", key: "mlp_post", value: "mlp_out" } as const;

export interface Mixing {
  /** Applied to all queries and to all keys at once, as the linear maps give them, [B, T, H·d]. */
  readonly whole?: (x: Tensor, which: "q" | "k") => Tensor;
  /** Applied to each head of queries and of keys before the rotation, [B, H, T, d]. */
  readonly norm?: (x: Tensor, which: "q" | "k") => Tensor;
  /** How queries and keys are rotated; by default by the model's table. */
  readonly rotate?: (x: Tensor) => Tensor;
  /** Applied to the rotated queries, [B, H, T, d]. */
  readonly query?: (q: Tensor) => Tensor;
  /** Multiplies the scores; by default one by the root of the head's size. */
  readonly scale?: number;
  readonly how?: Attending;
}

const same = (x: Tensor): Tensor => x;

/** Attention of h [B, T, D] by the maps attn.q, attn.k, attn.v and attn.o: [B, T, D]. */
export function attended(h: Tensor, c: Config, { linear, rope, attend }: BlockSite, mixing: Mixing = {}): Tensor {
  const { whole = same, norm = same, rotate = (x) => rope(x), query = same, scale = c.headSize ** -0.5, how } = mixing;
  const headsOf = (which: "q" | "k", heads: number): Tensor =>
    rotate(norm(splitHeads(whole(linear(`attn.${which}`, h), which), heads, c.headSize), which));
  const [q, k] = [query(headsOf("q", c.heads)), headsOf("k", c.kvHeads)];
  const v = splitHeads(linear("attn.v", h), c.kvHeads, c.headSize);
  return linear("attn.o", joinHeads(attend(q, { k, v }, scale, how)));
}

/** A gated MLP of m [B, T, D] by the maps mlp.gate, mlp.in and mlp.out: [B, T, D], which is passed by the site mlp_out. */
export function gated(m: Tensor, { linear, tap }: BlockSite, activation: (x: Tensor) => Tensor = (x) => x.silu()): Tensor {
  return tap("mlp_out", linear("mlp.out", tap("mlp_post", activation(linear("mlp.gate", m)).mul(linear("mlp.in", m)))));
}

/** The same, where one map mlp.gate_in holds the rows of the gate and then those that it multiplies. */
export function gatedTogether(m: Tensor, c: Config, { linear, tap }: BlockSite): Tensor {
  const both = linear("mlp.gate_in", m);
  const [gate, up] = [both.slice(2, 0, c.mlpWidth), both.slice(2, c.mlpWidth, 2 * c.mlpWidth)];
  return tap("mlp_out", linear("mlp.out", tap("mlp_post", gate.silu().mul(up))));
}

/** A plain MLP of m [B, T, D] by the maps mlp.in and mlp.out. */
export function plainMlp(m: Tensor, { linear, tap }: BlockSite, activation: (x: Tensor) => Tensor): Tensor {
  return tap("mlp_out", linear("mlp.out", tap("mlp_post", activation(linear("mlp.in", m)))));
}

/**
 * The residual stream behind a block whose parts come one after the other. `attention` and `mlp` get the stream; what `attention` gives passes
 * by the site attn_out and then through `behind`, before it is added.
 */
export function inTurn(
  x: Tensor,
  at: BlockSite,
  attention: (h: Tensor) => Tensor,
  mlp: (h: Tensor) => Tensor,
  behind: (h: Tensor) => Tensor = same,
): Tensor {
  const resid = at.tap("resid_pre", x);
  const mid = at.tap("resid_mid", resid.add(behind(at.tap("attn_out", attention(resid)))));
  return at.tap("resid_post", mid.add(mlp(mid)));
}

/** The residual stream behind a block whose two parts read the same input. `resid_mid` is the input with what attention adds. */
export function sideBySide(x: Tensor, at: BlockSite, attention: (h: Tensor) => Tensor, mlp: (h: Tensor) => Tensor): Tensor {
  const resid = at.tap("resid_pre", x);
  const mid = at.tap("resid_mid", resid.add(at.tap("attn_out", attention(resid))));
  return at.tap("resid_post", mid.add(mlp(resid)));
}

/** A block with an RMSNorm before each part, and a gated MLP. */
export const preNormed = (x: Tensor, c: Config, at: BlockSite, mixing?: Mixing): Tensor =>
  inTurn(
    x,
    at,
    (h) => attended(h.rmsNorm(at.weight("ln1"), c.normEps), c, at, mixing),
    (h) => gated(h.rmsNorm(at.weight("ln2"), c.normEps), at),
  );

/** LayerNorm by the weight and the bias of one name. */
export const layerNormed = (x: Tensor, name: string, c: Config, weight: (name: string) => Tensor): Tensor =>
  layerNorm(x, weight(name), weight(`${name}.bias`), c.normEps);

/** What a model declares besides its block: where facts are, the embedding of tokens alone, and an RMSNorm at the end. */
export const RMS_MODEL: Pick<Arch, "memory" | "embed" | "finalNorm"> = {
  memory: USUAL_MEMORY,
  embed: (tokens, _positions, weight) => weight("embed").rows(tokens),
  finalNorm: (x, weight, c) => x.rmsNorm(weight("final_norm"), c.normEps),
};

/** The same with a LayerNorm at the end. */
export const LAYER_NORM_MODEL: typeof RMS_MODEL = {
  ...RMS_MODEL,
  finalNorm: (x, weight, c) => layerNormed(x, "final_norm", c, weight),
};
