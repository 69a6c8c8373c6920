/** Every dataset by its id: generated from the listing of this folder by `npm run fix`. */
import { bundled } from "./bundled.ts";
import { factual } from "./factual.ts";
import { pistol } from "./pistol.ts";
import { rwku } from "./rwku.ts";
import { tofu } from "./tofu.ts";
import { zsre } from "./zsre.ts";

export const registry = {
  "bundled": bundled,
  "factual": factual,
  "pistol": pistol,
  "rwku": rwku,
  "tofu": tofu,
  "zsre": zsre,
} as const;

export type Name = keyof typeof registry;
