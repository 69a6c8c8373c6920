/** The type of a step: its declared fields, one resolution that checks everything before a weight is read, and work in its own folder. */
import type { Context } from "../base/context.ts";
import type { Kind, Plugged } from "../base/plugin.ts";
import type { Shape } from "../model/load.ts";
import type { Purpose, Training } from "../model/memory-estimate.ts";
import type { Declaration, Fields, NestedSpec, Values } from "./fields.ts";
import type { RunFolder } from "./folder.ts";
import type { Layout, RunRecord } from "./record.ts";
import type { Shared } from "./shared.ts";

/** What every part of a run may use. */
export interface Lent {
  readonly ctx: Context;
  /** Go on where the memory estimate says no. */
  readonly force: boolean;
  /** The content hash of an input that an earlier step made, by its path: the id of that step's run. */
  readonly madeBy: (path: string) => string | undefined;
  /** Values from earlier steps of the same process. */
  readonly shared: Pick<Shared, "models">;
}

/** The input of a step's work. */
export interface Job {
  readonly folder: RunFolder;
  /** Runs another step that this one needs, or finds it; the run's folder and its record. */
  readonly run: (spec: NestedSpec) => Promise<{ readonly path: string; readonly record: RunRecord }>;
  readonly ctx: Context;
  readonly force: boolean;
}

/** The output of a step's work: a result as plain JSON, and the form of its files at `-o`. */
export interface Made<R> {
  readonly result: R;
  readonly layout: Layout;
}

/** A spec that was resolved: everything that decides the bytes of the result, and the work. */
export interface Resolved<R> {
  /** Inputs by their content, and the chosen values of open settings. All other values belong to the identity anyway. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Source files of the shelf entries that it uses, below `src/` and without extension, such as "methods/ft". */
  readonly uses: readonly string[];
  /** True: a part of the result is in the cache, so the work must check the cache each time. */
  readonly isRepeated?: true;
  /** The size of the training that the work does, for the estimate of memory. */
  readonly training?: (shape: Shape) => Training | undefined;
  readonly work: (job: Job) => Promise<Made<R>>;
}

/** A check of one field that needs no input. */
export interface EarlyCheck {
  /** Another field that it reads. */
  readonly with?: string;
  /** Refuses a wrong value. Returns what Lethe has under the name, if that decides the result and is no code. */
  readonly check: (values: Readonly<Record<string, unknown>>, ctx: Plugged) => unknown;
}
/** Checks by field: what a grid can refuse before anything is run. */
export type Early = Readonly<Record<string, EarlyCheck>>;

/** What a step says of itself besides its fields. */
export interface About {
  readonly early?: Early;
  /** What it loads its model for; undefined if it loads none. */
  readonly purpose?: Purpose;
}

/** A step. `F` are its fields, `R` is its result. */
export interface Step<F extends Fields, R> extends Declaration<F>, About {
  /** Reads and checks the inputs and decides open settings, once. If possible, it refuses before a weight is read. */
  readonly resolve: (values: Values<F>, lent: Lent) => Promise<Resolved<R>>;
  /** Reads the result from its JSON, if it can contain NaN or infinite numbers. The record stores these as texts. */
  readonly read?: (json: R) => R;
}

/** A step from its declaration, its resolution and, if needed, the reader of its result. */
export const defineStep = <F extends Fields, R>(
  declaration: Declaration<F> & About,
  resolve: Step<F, R>["resolve"],
  read?: Step<F, R>["read"],
): Step<F, R> => ({
  ...declaration,
  resolve,
  ...(read && { read }),
});

/** A step of any fields and result, as shared code sees it. */
export interface AnyStep extends Declaration, About {
  readonly resolve: (values: never, lent: Lent) => Promise<Resolved<unknown>>;
  readonly read?: (json: never) => unknown;
}

/** The folder of each shelf's entries. */
const SHELVES: Readonly<Record<Kind, string>> = {
  method: "methods",
  arch: "model/arch",
  metric: "eval/metrics",
  target: "targets",
  attack: "attack",
};

/** The source file of a shelf's entry, below the root and without its extension; none for a plugin's, whose hash is in every spec. */
export const sourceOf = (kind: Kind, name: string, { plugins }: Plugged): string[] =>
  plugins.some(({ entries }) => Object.hasOwn(entries[kind] ?? {}, name)) ? [] : [`${SHELVES[kind]}/${name}`];
