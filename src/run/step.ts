/** What a step is: fields that are declared once, one resolution that refuses before a weight is read, and work in a folder of its own. */
import type { Context } from "../base/context.ts";
import type { Kind, Plugged } from "../base/plugin.ts";
import type { Declaration, Fields, NestedSpec, Values } from "./fields.ts";
import type { RunFolder } from "./folder.ts";
import type { Layout, RunRecord } from "./record.ts";
import type { Shared } from "./shared.ts";

/** What every part of a run may use. */
export interface Lent {
  readonly ctx: Context;
  /** Go on where the memory estimate says no. */
  readonly force: boolean;
  /** The content of an input that an earlier step made, by its path: the id of that step's run. */
  readonly madeBy: (path: string) => string | undefined;
  /** What was found out by steps before, where several are run together. */
  readonly shared: Pick<Shared, "models">;
}

/** What a step's work gets. */
export interface Job {
  readonly folder: RunFolder;
  /** Runs another step that this one needs, or finds it; the run's folder and its record. */
  readonly run: (spec: NestedSpec) => Promise<{ readonly path: string; readonly record: RunRecord }>;
  readonly ctx: Context;
  readonly force: boolean;
}

/** What a step's work leaves: a result as plain JSON, and the files of the run folder as `-o` lays them out. */
export interface Made<R> {
  readonly result: R;
  readonly layout: Layout;
}

/** A spec that was resolved: everything that decides the bytes of the result, and the work. */
export interface Resolved<R> {
  /** Inputs by their content, and what was chosen where a value leaves it open. Values that name no input count anyway. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Source files of shelf entries that work on it, below `src/` and without extension, such as "methods/ft". */
  readonly uses: readonly string[];
  /** True: part of the result lies in the cache, so that the work looks there each time. */
  readonly isRepeated?: true;
  readonly work: (job: Job) => Promise<Made<R>>;
}

/** A step. `F` are its fields, `R` is its result. */
export interface Step<F extends Fields, R> extends Declaration<F> {
  /** Reads inputs, checks them and chooses what values leave open, once. Refuses before a weight is read where it can. */
  readonly resolve: (values: Values<F>, lent: Lent) => Promise<Resolved<R>>;
  /** The result from its JSON, where numbers of it may be NaN or infinite: the record has those as texts. */
  readonly read?: (json: R) => R;
}

/** A step from its declaration, its resolution, and where it needs that, how its result is read. */
export const defineStep = <F extends Fields, R>(
  declaration: Declaration<F>,
  resolve: Step<F, R>["resolve"],
  read?: Step<F, R>["read"],
): Step<F, R> => ({
  ...declaration,
  resolve,
  ...(read && { read }),
});

/** A step of any fields and result, as shared code sees it. */
export interface AnyStep extends Declaration {
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
