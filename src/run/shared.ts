/** What a process that runs many steps remembers between them, so that nothing is hashed or looked through twice. */
import type { Hash } from "../base/hash.ts";
import type { ModelInput } from "./inputs.ts";
import type { Finished } from "./run.ts";

/** It belongs to whoever runs the steps; nothing in it outlives the process, and nothing decides a result. */
export interface Shared {
  /** What lies at a path or an id, as it was found first. */
  readonly models: Map<string, ModelInput>;
  /** The code behind the files that a step uses, by their names. */
  readonly codes: Map<string, Hash>;
  /** Finished runs by their spec as text. */
  readonly finished: Map<string, Finished>;
}

/** Nothing remembered yet. */
export const newShared = (): Shared => ({ models: new Map(), codes: new Map(), finished: new Map() });
