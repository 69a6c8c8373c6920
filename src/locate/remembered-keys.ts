/** Keys that the earlier edits of a sequence wrote at a layer: a later one does not reach them, so that what was written there stays. */
import type { NdArray } from "../base/array.ts";
import type { Carried } from "../edit/edit.ts";
import { type Matrix, matrix, sideBySide } from "../onnx/linalg.ts";

/** Where an edit remembers a layer's keys. */
const nameOf = (layer: number): string => `keys.${layer}`;

/** Keys [m, n] of an edit, and behind them [m, n + q] those that the edit which it goes on from remembers. */
export function withEarlier(layer: number, keys: Matrix, previous: Carried | undefined): Matrix {
  const past = previous?.memory?.[nameOf(layer)];
  return past ? sideBySide(keys, matrix(past.shape[0]!, past.shape[1]!, past.data as Float64Array)) : keys;
}

/** What an edit that wrote `keys` by layer remembers for those that go on from it; the layers that it did not write are the previous edit's. */
export const rememberedKeys = (keys: ReadonlyMap<number, Matrix>, previous: Carried | undefined): Record<string, NdArray> => ({
  ...Object.fromEntries(Object.entries(previous?.memory ?? {}).filter(([name]) => /^keys\.\d+$/.test(name))),
  ...Object.fromEntries([...keys].map(([layer, own]) => [nameOf(layer), withEarlier(layer, own, previous)])),
});

/** The quirk of methods that can do without. */
export const EARLIER_COMPAT = {
  "overwrite-earlier": "let an edit of a sequence reach the keys of those before it",
} as const;
