/** The datasets by name: generated from the files of this folder by `npm run fix`. */
import { factual } from "./factual.ts";

export const registry = { "factual": factual } as const;
export type Name = keyof typeof registry;
