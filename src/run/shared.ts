/** Values that a process keeps between steps, so that no model is hashed twice and no finished run is checked twice. */
import type { Hash } from "../base/hash.ts";
import type { Shape } from "../model/load.ts";
import type { Sources } from "./code.ts";
import type { Finished } from "./record.ts";

/** A model before its weights are read: where it is, what its content is, and its shape. */
export interface ModelInput {
  readonly spec: string;
  readonly path: string;
  readonly content: Hash;
  /** The hash of the stored weights; undefined if the content is known without it. */
  readonly weightsHash?: Hash;
  readonly shape: Shape;
  /** Source files of its architecture. */
  readonly uses: readonly string[];
}

/** It belongs to the caller. It ends with the process, and it never changes a result. */
export interface Shared {
  /** The model at a path or an id, as it was read first. */
  readonly models: Map<string, ModelInput>;
  /** The code behind the files that a step uses, by their names. */
  readonly codes: Map<string, Hash>;
  /** Source files as the code's hash reads them, by their paths. */
  readonly sources: Sources;
  /** Finished runs by their spec as text. */
  readonly finished: Map<string, Finished>;
}

/** Nothing remembered yet. */
export const newShared = (): Shared => ({ models: new Map(), codes: new Map(), sources: new Map(), finished: new Map() });
