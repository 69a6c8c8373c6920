/** Generated from the folder by `npm run fix`: every architecture by its id. */
import { llama } from "./llama.ts";

export const registry = { llama } as const;
export type Name = keyof typeof registry;
