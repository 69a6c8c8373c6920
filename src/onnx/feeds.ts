/** What goes into a run and what comes out of it, by name. */
import type { NdArray } from "../base/array.ts";

/** Where a run finds its inputs by name; a Map will do. */
export interface Feeds {
  get(name: string): NdArray | undefined;
}
export type Results = Record<string, NdArray>;
