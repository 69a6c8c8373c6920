/** Every log format by its id: generated from the listing of this folder by `npm run fix`. */
import { lmEval } from "./lm-eval.ts";
import { openunlearning } from "./openunlearning.ts";
import { pistol } from "./pistol.ts";
import { samples } from "./samples.ts";
import { tofu } from "./tofu.ts";

export const registry = {
  "lm-eval": lmEval,
  "openunlearning": openunlearning,
  "pistol": pistol,
  "samples": samples,
  "tofu": tofu,
} as const;

export type Name = keyof typeof registry;
