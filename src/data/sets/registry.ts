/** Every dataset by its id: generated from the listing of this folder by `npm run fix`. */
import { bundled } from "./bundled.ts";
import { counterfact } from "./counterfact.ts";
import { factual } from "./factual.ts";
import { mquake } from "./mquake.ts";
import { muse } from "./muse.ts";
import { pistol } from "./pistol.ts";
import { rwku } from "./rwku.ts";
import { tofu } from "./tofu.ts";
import { wmdp } from "./wmdp.ts";
import { zsre } from "./zsre.ts";

export const registry = {
  "bundled": bundled,
  "counterfact": counterfact,
  "factual": factual,
  "mquake": mquake,
  "muse": muse,
  "pistol": pistol,
  "rwku": rwku,
  "tofu": tofu,
  "wmdp": wmdp,
  "zsre": zsre,
} as const;

export type Name = keyof typeof registry;
