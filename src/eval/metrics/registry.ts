/** Every metric by its id: generated from the listing of this folder by `npm run fix`. */
import { perplexity } from "./perplexity.ts";
import { rouge1 } from "./rouge1.ts";
import { rougel } from "./rougel.ts";

export const registry = {
  "perplexity": perplexity,
  "rouge1": rouge1,
  "rougel": rougel,
} as const;

export type Name = keyof typeof registry;
