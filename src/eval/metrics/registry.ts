/** The metrics by name: generated from the files of this folder by `npm run fix`. */
import { rouge1 } from "./rouge1.ts";
import { rougel } from "./rougel.ts";

export const registry = { "rouge1": rouge1, "rougel": rougel } as const;
export type Name = keyof typeof registry;
