/** Every attack by its id: generated from the listing of this folder by `npm run fix`. */
import { paraphrase } from "./paraphrase.ts";

export const registry = {
  "paraphrase": paraphrase,
} as const;

export type Name = keyof typeof registry;
