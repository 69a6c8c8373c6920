/** Every method by its id: generated from the listing of this folder by `npm run fix`. */
import { alphaedit } from "./alphaedit.ts";
import { ft } from "./ft.ts";
import { memit } from "./memit.ts";
import { rome } from "./rome.ts";

export const registry = {
  "alphaedit": alphaedit,
  "ft": ft,
  "memit": memit,
  "rome": rome,
} as const;

export type Name = keyof typeof registry;
