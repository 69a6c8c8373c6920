/** Every method by its id: generated from the listing of this folder by `npm run fix`. */
import { rome } from "./rome.ts";

export const registry = {
  "rome": rome,
} as const;

export type Name = keyof typeof registry;
