/** Every target by its id: generated from the listing of this folder by `npm run fix`. */
import { dummy } from "./dummy.ts";
import { refusal } from "./refusal.ts";

export const registry = {
  "dummy": dummy,
  "refusal": refusal,
} as const;

export type Name = keyof typeof registry;
