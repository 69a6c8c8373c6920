/** What a process that runs many steps remembers between them, so that no model is hashed twice and no finished run is looked through twice. */
import type { ModelInput } from "./inputs.ts";
import type { Finished } from "./run.ts";

/** It belongs to whoever runs the steps; nothing in it outlives the process, and nothing decides a result. */
export interface Shared {
  /** What lies at a path or an id, as it was found first. */
  readonly models: Map<string, ModelInput>;
  /** Finished runs by their spec as text. */
  readonly finished: Map<string, Finished>;
}

/** Nothing remembered yet. */
export const newShared = (): Shared => ({ models: new Map(), finished: new Map() });
