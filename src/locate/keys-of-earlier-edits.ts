/**
 * The keys that earlier edits of a sequence wrote at a layer. A later edit leaves their outputs alone, so the earlier edits keep working.
 */
import type { NdArray } from "../base/array.ts";
import type { Carried } from "../edit/edit.ts";
import { type Matrix, matrix, sideBySide } from "../onnx/linalg.ts";

/** The name under which an edit stores a layer's keys. */
const nameOf = (layer: number): string => `keys.${layer}`;

/** An edit's own keys [m, n], followed by the q keys that the previous edit stored: [m, n + q]. */
export function withEarlierKeys(layer: number, keys: Matrix, previous: Carried | undefined): Matrix {
  const past = previous?.memory?.[nameOf(layer)];
  return past ? sideBySide(keys, matrix(past.shape[0]!, past.shape[1]!, past.data as Float64Array)) : keys;
}

/**
 * The keys that an edit stores for the next edit: at each layer that it wrote, its own and the earlier ones; at other layers, the previous
 * edit's.
 */
export const carriedKeys = (keys: ReadonlyMap<number, Matrix>, previous: Carried | undefined): Record<string, NdArray> => ({
  ...Object.fromEntries(Object.entries(previous?.memory ?? {}).filter(([name]) => /^keys\.\d+$/.test(name))),
  ...Object.fromEntries([...keys].map(([layer, own]) => [nameOf(layer), withEarlierKeys(layer, own, previous)])),
});

/** The quirk of methods that can ignore the earlier edits. */
export const EARLIER_COMPAT = {
  "overwrite-earlier": "let a later edit of a sequence change the outputs that earlier edits wrote",
} as const;
