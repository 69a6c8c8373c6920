/** Canonical names of weights and activations: the words in which the field thinks. */
import { fail } from "../base/fail.ts";

/** Where a block can be read or rewritten. */
export type Site = "resid_pre" | "attn_out" | "resid_mid" | "mlp_post" | "mlp_out" | "resid_post";
export const SITES: readonly Site[] = ["resid_pre", "attn_out", "resid_mid", "mlp_post", "mlp_out", "resid_post"];

/** mlp_post is the input of the MLP's output matrix; mlp_out its output. */
export type BlockSite = `blocks.${number}.${Site}`;
export type ActivationName = "embed" | BlockSite | "final_norm" | "logits";

/** "embed", "blocks.3.mlp.out", "final_norm", "head" … */
export type WeightName = string;

export const siteName = (layer: number, site: Site): BlockSite => `blocks.${layer}.${site}`;

/** Replaces {i} by a layer's number. */
export const atLayer = (template: string, layer: number): string => template.replace("{i}", String(layer));

/** Refuses a layer that a model of `layers` blocks does not have. */
export function checkLayer(who: string, layer: number, layers: number): void {
  if (layer >= layers) fail(who, `layer ${layer}`, `0 to ${layers - 1}`, "Give --set layer=N.");
}

/** The block at a share of a model's depth; the last one at most. */
export const layerAt =
  (share: number) =>
  ({ layers }: { readonly layers: number }): number =>
    Math.min(layers - 1, Math.round(layers * share));
