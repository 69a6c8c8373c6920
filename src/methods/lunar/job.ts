/** The parameters of LUNAR, and its input. */
import type { Job } from "../method.ts";

export interface LunarParams {
  layer: number;
  layers: readonly number[];
  coefficient: number;
  rho: number;
  lambda: number;
  ridge: number;
}
export type LunarJob = Job<LunarParams>;
