/** Runs the steps of a board. Several processes may work on the same folder: each takes a step that no other has. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { checkAbort, type Context, pause } from "../../base/context.ts";
import { canonical } from "../../base/hash.ts";
import { apart } from "../../base/kept.ts";
import { tryLock } from "../../base/store.ts";
import { Busy, LOCK, RECORD, recordIn } from "../folder.ts";
import { inTurns, type Ready, runReady, stepOf } from "../run.ts";
import { type Board, type Found, isTodo, type Known, reasonOf } from "./board.ts";
import { modelIn } from "./kinds.ts";
import { labelOf, Progress } from "./progress.ts";
import type { Unit } from "./unfold.ts";

export interface WorkOptions {
  /** Run in spite of the estimate of memory. */
  readonly force?: boolean;
  /** Try steps again that failed before. */
  readonly retry?: boolean;
}

/** Milliseconds before a step is tried again that another process has: at first, and at most. */
const [SOON, LATE] = [100, 2_000];

/** Runs what is not finished. `name` is the grid's, for separate caches. */
export async function work(board: Board, name: string, ctx: Context, options: WorkOptions = {}): Promise<void> {
  const began = Date.parse(ctx.date());
  if (options.retry) reopen(board);
  const again = remade(board);
  const progress = new Progress(board, ctx);
  const held = new Map<string, Ready>(); // by other processes
  let wait = SOON;
  let last: Unit | undefined;
  for (;;) {
    checkAbort(ctx, "grid");
    skip(board);
    const unit = next(board, held, last);
    if (!unit && held.size === 0) break;
    if (!unit) {
      await pause(ctx, wait);
      wait = Math.min(LATE, 2 * wait);
      for (const [key, { path }] of held) if (isFree(path)) held.delete(key);
      continue;
    }
    if (!held.has(unit.key)) progress.tell(unit);
    const found = await attempt(unit, { board, name, ctx, began, ...options });
    if ("busy" in found) held.set(unit.key, found.busy);
    else {
      held.delete(unit.key);
      wait = SOON;
      if (loads(unit)) last = unit;
      board.set(unit.key, same(found, again.get(unit.key)));
      if (found.run) progress.add(unit, found.run);
    }
  }
  progress.tell();
}

/** Whether no living process works in the folder of a run. */
function isFree(path: string): boolean {
  const release = tryLock(join(path, LOCK));
  if (typeof release !== "function") return false;
  release();
  return true;
}

/** Opens what failed before. A step that cannot be resolved is tried anyway. */
export function reopen(board: Board): void {
  for (const { key } of board.units) {
    const { state, isRefused } = board.of(key);
    if (state === "failed" && !isRefused) board.set(key, { state: "open" });
  }
}

/**
 * Opens steps whose record is there without the weights that an open step needs. Returns their runs: the new one must give the same
 * results.
 */
export function remade(board: Board): ReadonlyMap<string, Found> {
  const again = new Map<string, Found>();
  for (const unit of board.units.toReversed()) {
    if (board.of(unit.key).state === "finished" || board.of(unit.key).state === "failed") continue;
    for (const key of unit.needs) {
      const { run } = board.of(key);
      if (!run || run.isWhole) continue;
      again.set(key, run);
      board.set(key, { state: "open" });
    }
  }
  return again;
}

/** Refuses a step that was made again with other results. */
export function same(found: Known, before: Found | undefined): Known {
  if (!before || !found.run || found.run.gives === before.gives) return found;
  return { state: "failed", reason: `${found.run.path} has other results than the committed record ${before.path}` };
}

/** Marks steps that need a failed one. */
export function skip(board: Board): void {
  for (const unit of board.units) {
    if (!isTodo(board.of(unit.key))) continue;
    const failed = unit.needs.map((key) => board.of(key)).find(({ state }) => state === "failed");
    if (failed) board.set(unit.key, { state: "failed", isSkipped: true, reason: failed.reason! });
  }
}

/**
 * The next step of those that can be run: the first, unless it loads another model than the last step did. Then one with the model, the
 * edits and the cache of the last step, or at least with its model.
 */
export function next(board: Board, held: ReadonlyMap<string, unknown>, last: Unit | undefined): Unit | undefined {
  const ready = board.units.filter(
    (unit) => isTodo(board.of(unit.key)) && !held.has(unit.key) && unit.needs.every((key) => board.of(key).run?.isWhole),
  );
  const [first] = ready;
  if (!last || !first || !loads(first)) return first;
  const [model, edits] = ["model", "edits"].map((kind) => usedBy(last, kind));
  const { cache: kept } = last;
  const sameModel = ready.filter((unit) => usedBy(unit, "model") === model);
  const isNear = ({ cache, ...unit }: Unit): boolean => cache === kept && usedBy(unit, "edits") === edits;
  return sameModel.find(isNear) ?? sameModel[0] ?? first;
}

/** Whether a step loads a model. */
const loads = ({ spec }: Unit): boolean => modelIn(spec) !== undefined;

/** The values of a step's fields of one kind, as text. */
function usedBy({ spec }: Pick<Unit, "spec">, kind: string): string {
  const { fields } = stepOf(spec.step);
  return canonical(Object.keys(fields).flatMap((key) => (fields[key]!.kind === kind ? [spec[key] ?? null] : [])));
}

interface Attempt extends WorkOptions {
  readonly board: Board;
  readonly name: string;
  readonly ctx: Context;
  /** When this process began, in milliseconds. */
  readonly began: number;
}

/** Runs a step, or finds that another process has it or has done it. */
async function attempt(
  unit: Unit,
  { board, name, ctx, began, force = false, retry = false }: Attempt,
): Promise<Known | { readonly busy: Ready }> {
  const { cache } = unit;
  let ready: Ready | undefined;
  try {
    const own = cachedFor(cache, name, ctx);
    ready = await board.ready(unit, own, force);
    const failed = failureAt(ready.path, retry, began);
    if (failed !== undefined) return { state: "failed", reason: failed };
    const finished = await runReady(ready, own, { force, shared: board.shared, within: inTurns(own) });
    return { state: "finished", run: await board.note(unit, ready, finished) };
  } catch (error) {
    if (error instanceof Busy && ready) return { busy: ready };
    const reason = reasonOf(error);
    ctx.log({ kind: "warning", who: "grid", text: `${labelOf(unit)} failed: ${reason}` });
    return { state: "failed", reason };
  }
}

/** Why a step failed before, unless it is to be tried again: then only what failed since this process began counts. */
function failureAt(path: string, retry: boolean, began: number): string | undefined {
  const record = recordIn(path);
  if (record?.status !== "error") return undefined;
  return retry && isFromBefore(path, began) ? undefined : record.error!.message;
}

/** Whether the record of a run was written before a moment. */
export const isFromBefore = (path: string, moment: number): boolean => statSync(join(path, RECORD)).mtimeMs < moment;

/** The context of a step of a grid, with a separate cache if the grid names one. */
export const cachedFor = (cache: string | undefined, name: string, ctx: Context): Context =>
  cache === undefined ? ctx : apart(ctx, "grids", `${name}-${cache.replaceAll(/[^\w.-]+/g, "-")}`);
