/** Every method by its id: generated from the listing of this folder by `npm run fix`. */
import { alphaedit } from "./alphaedit.ts";
import { ft } from "./ft.ts";
import { grace } from "./grace.ts";
import { ike } from "./ike.ts";
import { memit } from "./memit.ts";
import { rome } from "./rome.ts";
import { wise } from "./wise.ts";

export const registry = {
  "alphaedit": alphaedit,
  "ft": ft,
  "grace": grace,
  "ike": ike,
  "memit": memit,
  "rome": rome,
  "wise": wise,
} as const;

export type Name = keyof typeof registry;
