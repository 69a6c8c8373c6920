/** Every log format by its id: generated from the listing of this folder by `npm run fix`. */
import { tofu } from "./tofu.ts";

export const registry = {
  "tofu": tofu,
} as const;

export type Name = keyof typeof registry;
