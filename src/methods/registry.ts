/** Generated from the folder by `npm run fix`: every method by its id. */
import { rome } from "./rome.ts";

export const registry = { rome } as const;
export type Name = keyof typeof registry;
