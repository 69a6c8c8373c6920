/** Runs a grid in this process: every step once, in order. A failed step is reported, and the others continue. */
import { checkAbort, type Context } from "../base/context.ts";
import { translated } from "../base/errno.ts";
import { apart } from "../base/kept.ts";
import { isAborted, LetheError } from "../base/fail.ts";
import { methodOf } from "./choice.ts";
import { type ReadGrid, readGrid } from "./grid/read.ts";
import { declaredBy, type Only, type Unfolded, unfold, type Unit } from "./grid/unfold.ts";
import type { GridRecord } from "./grid/record.ts";
import { recordOf } from "./grid/report.ts";
import type { Done } from "./grid/gather.ts";
import { look } from "./look.ts";
import { type Finished, run } from "./run.ts";
import { newShared, type Shared } from "./shared.ts";

export { gridJsonSchema } from "./grid/schema.ts";

/** A grid that was read and unfolded. */
export interface Grid extends ReadGrid {
  readonly unfolded: Unfolded;
}

/** Opens a grid file; `set` gives its variables other values, `only` says which values of variables are wanted. */
export function openGrid(
  path: string,
  { set = {}, only = {} }: { readonly set?: Readonly<Record<string, string>>; readonly only?: Only } = {},
): Grid {
  const read = readGrid(path, set);
  return { ...read, unfolded: unfold(read, (name) => declaredBy(methodOf(name)), only) };
}

/** A step as a listing shows it. */
export interface StepCard {
  readonly step: string;
  readonly at: string;
  readonly state: "finished" | "failed" | "begun" | "open";
  /** Why it failed, or cannot be run. */
  readonly reason?: string;
}

/** Every step in the order of the run, with its state. Nothing is run. */
export async function listSteps(grid: Grid, ctx: Context): Promise<StepCard[]> {
  const done = await lookAll(grid, ctx, newShared());
  return grid.unfolded.units.map(({ key, name, at }) => {
    const { state, reason } = done.get(key)!;
    return { step: name, at, state, ...(reason !== undefined && { reason }) };
  });
}

/** The tables and figures of a grid from the records that exist. */
export async function gridRecord(grid: Grid, ctx: Context): Promise<GridRecord> {
  return recordOf(grid, await lookAll(grid, ctx, newShared()), ctx);
}

async function lookAll({ unfolded }: Grid, ctx: Context, shared: Shared): Promise<Map<string, Done>> {
  const done = new Map<string, Done>();
  for (const unit of unfolded.units) {
    checkAbort(ctx, "grid");
    done.set(unit.key, await lookAt(unit, done, ctx, shared));
    ctx.log({ kind: "progress", stage: "looking for what is done", done: done.size, total: unfolded.units.length, unit: "steps" });
  }
  return done;
}

async function lookAt(unit: Unit, done: ReadonlyMap<string, Done>, ctx: Context, shared: Shared): Promise<Done> {
  const before = unit.needs.map((key) => done.get(key)!);
  const failed = before.find(({ state }) => state === "failed");
  if (failed) return { state: "failed", reason: failed.reason! };
  if (before.some(({ state }) => state !== "finished")) return { state: "open", reason: NOT_RUN };
  try {
    const found = await look(unit.spec, { ...ctx, log: () => {} }, shared);
    if (found.state === "finished") return { state: "finished", finished: found.finished };
    if (found.state === "failed") return { state: "failed", reason: found.record.error!.message };
    return { state: found.state, reason: NOT_RUN };
  } catch (error) {
    return { state: "failed", reason: reasonOf(error) };
  }
}

const NOT_RUN = "it has not been run to its end";

/** The message of an error. An abort ends the grid. */
function reasonOf(error: unknown): string {
  if (isAborted(error)) throw error;
  const told = translated(error) ?? error;
  return told instanceof LetheError ? told.message : String(told);
}

/** Runs all unfinished steps, one after the other. Returns the record of the grid, including failed steps. */
export async function runGrid(grid: Grid, ctx: Context, { force = false }: { readonly force?: boolean } = {}): Promise<GridRecord> {
  const shared = newShared();
  const done = await lookAll(grid, ctx, shared);
  const pace = new Pace(grid.unfolded.units, done, ctx);
  for (const unit of grid.unfolded.units) {
    checkAbort(ctx, "grid");
    if (done.get(unit.key)!.state === "finished") continue;
    const failed = unit.needs.map((key) => done.get(key)!).find(({ state }) => state === "failed");
    done.set(
      unit.key,
      failed
        ? { state: "failed", reason: failed.reason! }
        : await pace.timed(unit, (at) => runOne(unit, cached(unit, grid, at), shared, force)),
    );
  }
  return recordOf(grid, done, ctx);
}

/** The context of a unit, with a separate cache if the grid names one. */
const cached = ({ cache }: Unit, { grid }: Grid, ctx: Context): Context =>
  cache === undefined ? ctx : apart(ctx, "grids", `${grid.name}-${cache.replaceAll(/[^\w.-]+/g, "-")}`);

/** "edit, rome, single". */
const labelOf = ({ name, at }: Unit): string => [name, at].filter(Boolean).join(", ");

async function runOne(unit: Unit, ctx: Context, shared: Shared, force: boolean): Promise<Done> {
  try {
    const finished: Finished = await run(unit.spec, ctx, { shared, force });
    return { state: "finished", finished };
  } catch (error) {
    const reason = reasonOf(error);
    ctx.log({ kind: "warning", who: "grid", text: `${labelOf(unit)} failed: ${reason}` });
    return { state: "failed", reason };
  }
}

/** Logs the progress of the whole grid. The remaining time is estimated from the seconds of each kind of step so far. */
class Pace {
  private readonly units: readonly Unit[];
  private readonly done: ReadonlyMap<string, Done>;
  private readonly ctx: Context;
  private readonly took = new Map<string, number[]>();

  constructor(units: readonly Unit[], done: ReadonlyMap<string, Done>, ctx: Context) {
    [this.units, this.done, this.ctx] = [units, done, ctx];
  }

  /** Runs a unit. Its events contain its number among all units. */
  async timed(unit: Unit, work: (ctx: Context) => Promise<Done>): Promise<Done> {
    const { ctx, units } = this;
    const finished = units.filter(({ key }) => this.done.get(key)!.state === "finished").length;
    const place = `${finished + 1} of ${units.length}`;
    ctx.log({ kind: "note", who: "grid", text: `${place}: ${labelOf(unit)}${this.left()}` });
    const began = ctx.now();
    const log: Context["log"] = (event) => ctx.log(event.kind === "progress" ? { ...event, stage: `${place}, ${event.stage}` } : event);
    const result = await work({ ...ctx, log });
    this.took.set(unit.name, [...(this.took.get(unit.name) ?? []), ctx.now() - began]);
    return result;
  }

  /** The estimated time of the rest; empty before the first step has ended. */
  private left(): string {
    const all = [...this.took.values()].flat();
    if (all.length === 0) return "";
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const rest = this.units.filter(({ key }) => this.done.get(key)!.state !== "finished" && this.done.get(key)!.state !== "failed");
    const minutes = rest.reduce((sum, { name }) => sum + mean(this.took.get(name) ?? all), 0) / 60_000;
    return `; about ${minutes < 90 ? `${Math.max(1, Math.round(minutes))} min` : `${(minutes / 60).toFixed(1)} h`} left`;
  }
}
