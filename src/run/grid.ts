/** Grids: opened, planned, run, looked at. What only some of these need is loaded when it is used. */
import type { Context } from "../base/context.ts";
import { type Plugged } from "../base/plugin.ts";
import { methodOrAuto } from "./choice.ts";
import { acceptancesIn, countedBy } from "./grid/acceptance.ts";
import { Board, type BoardOptions } from "./grid/board.ts";
import { checkNumbers } from "./grid/check-numbers.ts";
import { specChecker } from "./grid/checks.ts";
import { elsewhere } from "./grid/elsewhere.ts";
import type { Done } from "./grid/gather.ts";
import { Here } from "./grid/here.ts";
import type { GridPlan, Limits } from "./grid/plan.ts";
import { type ReadGrid, readGrid } from "./grid/read.ts";
import type { GridRecord } from "./grid/record.ts";
import type { Copied } from "./grid/records.ts";
import { declaredBy, type Only, type Unfolded, unfold } from "./grid/unfold.ts";
import type { WorkOptions } from "./grid/work.ts";
import type { MeasuredRow } from "./measured.ts";
import type { Acceptance } from "./record.ts";

export { gridJsonSchema } from "./grid/schema.ts";
export type { GridPlan } from "./grid/plan.ts";

/** A grid that was read and unfolded. */
export interface Grid extends ReadGrid {
  readonly unfolded: Unfolded;
  /** Folders of committed records. */
  readonly records: readonly string[];
}

export interface OpenGrid {
  /** Other values for variables of the file. */
  readonly set?: Readonly<Record<string, string>>;
  /** The wanted values of variables. */
  readonly only?: Only;
  /** Folders of committed records besides the one that the file names. */
  readonly records?: readonly string[];
  readonly ctx?: Plugged;
}

/** Opens a grid file. Refuses a step that cannot be run, with its line and column. */
export function openGrid(path: string, { set = {}, only = {}, records = [], ctx = { plugins: [] } }: OpenGrid = {}): Grid {
  const read = readGrid(path, set);
  const { grid, placeOf } = read;
  const unfolded = unfold(read, (name) => declaredBy(methodOrAuto(name, ctx)), { only, check: specChecker(ctx) });
  checkNumbers(read, unfolded, ctx);
  const own =
    grid.records === undefined ? [] : [new Here(grid.vars, grid, placeOf, () => ({})).filled(grid.records, ["records"]) as string];
  return { ...read, unfolded, records: [...own, ...records] };
}

/** The board of a grid, with everything looked at. Records of older builds count if they were accepted. */
async function boardOf({ unfolded, records }: Grid, ctx: Context, counts?: BoardOptions["counts"]): Promise<Board> {
  const board = new Board(unfolded.units, ctx, { records, counts: counts ?? countedBy(acceptancesIn([ctx.runs, ...records])) });
  await board.lookAll();
  const older = olderIn(board);
  if (older > 0) say(ctx, `${told(older, board)} finished by another build. lethe grid accept FILE --sample 3 checks whether they count.`);
  for (const { threads, steps } of await elsewhere(board))
    say(ctx, `${told(steps, board)} finished with ${threads} thread${threads === 1 ? "" : "s"}. They count with --threads ${threads}.`);
  return board;
}

const say = (ctx: Context, text: string): void => ctx.log({ kind: "warning", who: "grid", text });

const told = (steps: number, { units }: Board): string => `${steps} of the ${units.length} steps ${steps === 1 ? "is" : "are"}`;

/** The number of open steps that another build finished. */
const olderIn = (board: Board): number => board.units.filter(({ key }) => board.of(key).older !== undefined).length;

/** A step as a listing shows it. */
export interface StepCard {
  readonly step: string;
  readonly at: string;
  readonly state: "finished" | "failed" | "skipped" | "refused" | "begun" | "open";
  /** Why it failed, or cannot be run. */
  readonly reason?: string;
  /** Seconds that it took. */
  readonly seconds?: number;
}

/** How far a grid is. */
export interface GridStatus {
  readonly name: string;
  readonly steps: readonly StepCard[];
  /** Steps that another build finished. */
  readonly older: number;
  /** Seconds of the finished steps together, and the largest peak memory among them. */
  readonly seconds: number;
  readonly peak: number;
}

/** Every step in the order of the file, with its state. Nothing is run. */
export async function gridStatus(grid: Grid, ctx: Context): Promise<GridStatus> {
  const board = await boardOf(grid, ctx);
  const known = board.units.map(({ key }) => board.of(key));
  return {
    name: grid.grid.name,
    steps: board.units.map(({ name, at }, i) => cardOf(name, at, known[i]!)),
    older: olderIn(board),
    seconds: known.reduce((sum, { run }) => sum + (run?.cost.seconds ?? 0), 0),
    peak: known.reduce((most, { run }) => Math.max(most, run?.cost.peak ?? 0), 0),
  };
}

function cardOf(step: string, at: string, { state, reason, isRefused, isSkipped, run }: ReturnType<Board["of"]>): StepCard {
  const shown = isSkipped ? "skipped" : isRefused ? "refused" : state;
  return { step, at, state: shown, ...(state === "failed" && { reason: reason! }), ...(run && { seconds: run.cost.seconds }) };
}

/** Steps, time, memory and disk of what is not finished. Nothing is run. */
export async function planGrid(grid: Grid, ctx: Context, limits: Limits = {}): Promise<GridPlan> {
  const { planOf } = await import("./grid/plan.ts");
  return planOf(grid.grid.name, await boardOf(grid, ctx), ctx, limits);
}

/** The tables and figures of a grid from the records that exist. */
export async function gridRecord(grid: Grid, ctx: Context): Promise<GridRecord> {
  return reportOf(grid, await boardOf(grid, ctx));
}

/** The tables and figures, with the acceptances behind the records in them. */
async function reportOf(grid: Grid, board: Board): Promise<GridRecord> {
  const { recordOf } = await import("./grid/report.ts");
  const record = await recordOf(grid, await resultsOf(board), board.ctx);
  const codes = new Set(Object.values(record.code).flat());
  const accepted = acceptancesIn([board.ctx.runs, ...grid.records]).filter((one) => one.codes.some(({ old }) => codes.has(old)));
  return { ...record, ...(accepted.length > 0 && { accepted }) };
}

/** Makes the records of older builds count, if a sample of them gives the same bytes on this build. */
export async function acceptGrid(grid: Grid, ctx: Context, how: { readonly sample: number; readonly seed: number }): Promise<Acceptance> {
  const { accept } = await import("./grid/accept.ts");
  return accept(grid.grid.name, await boardOf(grid, ctx, () => true), how, ctx);
}

/** Copies the records of the finished steps, without weights, into a folder that can be committed. */
export async function copyGrid(grid: Grid, ctx: Context, out: string): Promise<Copied> {
  const { copyRecords } = await import("./grid/records.ts");
  return copyRecords(await boardOf(grid, ctx), out);
}

/**
 * The rows by which methods are chosen, from the records of a grid. Records of older builds count, because a row names its code. With `out`,
 * the rows go into that table. `total` is the number of rows that it has then.
 */
export async function measureGrid(
  grid: Grid,
  ctx: Context,
  out?: string,
): Promise<{ readonly rows: readonly MeasuredRow[]; readonly total: number }> {
  const [{ measuredRows }, { putRows }] = await Promise.all([import("./grid/measure.ts"), import("./measured.ts")]);
  const rows = await measuredRows(grid.grid.name, await boardOf(grid, ctx, () => true));
  return { rows, total: out === undefined ? rows.length : putRows(out, rows) };
}

export interface RunGrid extends WorkOptions, Limits {
  /** Run the other steps if some cannot be run. */
  readonly keepGoing?: boolean;
  /** The address of a database with a queue: workers run the steps, and the context's folder of runs is the store. */
  readonly queue?: string;
  /** Seconds without a heartbeat after which a worker counts as lost. */
  readonly lostAfter?: number;
}

/** Runs all unfinished steps. Refuses a grid that cannot be run before anything is run. Returns the record, with failed steps. */
export async function runGrid(grid: Grid, ctx: Context, { keepGoing = false, queue, ...options }: RunGrid = {}): Promise<GridRecord> {
  const [{ planOf, refusePlan }, { labelOf }] = await Promise.all([import("./grid/plan.ts"), import("./grid/progress.ts")]);
  const board = await boardOf(grid, ctx);
  const { needs = {} } = grid.grid;
  const limits = queue === undefined ? options : { ...options, force: true }; // the workers have memory of their own
  refusePlan(await planOf(grid.grid.name, board, ctx, limits), keepGoing);
  for (const unit of board.units) {
    const { isRefused, reason } = board.of(unit.key);
    if (isRefused) ctx.log({ kind: "warning", who: "grid", text: `${labelOf(unit)} cannot be run: ${reason}` });
  }
  if (queue === undefined) await (await import("./grid/work.ts")).work(board, grid.grid.name, ctx, options);
  else await (await import("./queue/coordinate.ts")).coordinate(board, grid.grid.name, ctx, { ...options, queue, needs });
  return reportOf(grid, board);
}

/** What the tables read: the records of the finished steps, and the reasons of the others. */
async function resultsOf(board: Board): Promise<Map<string, Done>> {
  const done = new Map<string, Done>();
  for (const { key } of board.units) {
    const { state, reason } = board.of(key);
    done.set(key, { state, ...(reason !== undefined && { reason }), ...(state === "finished" && { finished: await board.load(key) }) });
  }
  return done;
}
