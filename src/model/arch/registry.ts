/** Every architecture by its id: generated from the listing of this folder by `npm run fix`. */
import { llama } from "./llama.ts";

export const registry = {
  "llama": llama,
} as const;

export type Name = keyof typeof registry;
