/** The plan of a grid: steps, time, memory and disk before anything is run, and what cannot be run at all. */
import { existsSync, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Context } from "../../base/context.ts";
import { fail, LetheError } from "../../base/fail.ts";
import { openCheckpoint } from "../../checkpoint/checkpoint.ts";
import { resolveModel } from "../../hub/hub.ts";
import { storedWeights } from "../../model/arch/arch.ts";
import { identify, needOf } from "../../model/load.ts";
import { availableMemory, type MemoryHave, type MemoryNeed, parseBytes, refuseIfTooLarge, showBytes } from "../../model/memory-estimate.ts";
import { stepOf } from "../run.ts";
import { type Board, isTodo } from "./board.ts";
import { Costs, type Estimate, leastBytes } from "./costs.ts";
import { modelIn } from "./kinds.ts";
import type { Unit } from "./unfold.ts";

/** The steps of a grid that share a template. */
export interface PlannedKind {
  readonly name: string;
  readonly step: string;
  readonly total: number;
  readonly finished: number;
  readonly todo: number;
  /** Of the steps to do whose time is known. */
  readonly seconds: number;
  /** Steps to do whose time is unknown, and whose size is unknown. */
  readonly untimed: number;
  readonly unsized: number;
  readonly bytes: number;
  /** The fewest bytes that those of unknown size can take. */
  readonly least: number;
  /** Where the times come from: measured runs, or the table that comes with Lethe. */
  readonly by: readonly ("runs" | "table")[];
  /** The largest estimate of memory among the steps to do. */
  readonly memory: number;
}

/** A step that cannot be run. */
export interface Refusal {
  readonly step: string;
  readonly at: string;
  readonly reason: string;
}

export interface GridPlan {
  readonly name: string;
  readonly kinds: readonly PlannedKind[];
  readonly total: number;
  readonly finished: number;
  /** Steps that failed before; --retry tries them again. */
  readonly failed: number;
  /** Steps that need a failed one, or one that cannot be run. */
  readonly skipped: number;
  readonly todo: number;
  readonly seconds: number;
  readonly untimed: number;
  readonly memory: number;
  readonly available: MemoryHave;
  readonly bytes: number;
  readonly unsized: number;
  /** The fewest bytes of all steps to do together. */
  readonly least: number;
  /** Bytes that the runs may take: what is free, or what was asked for. */
  readonly disk: number;
  readonly refused: readonly Refusal[];
}

/** What a plan may use. */
export interface Limits {
  /** The most bytes that the runs may take, such as "20GB"; what is free by default. */
  readonly disk?: string;
  /** Plan in spite of the estimate of memory. */
  readonly force?: boolean;
}

/** Plans what a board has not finished. */
export async function planOf(name: string, board: Board, ctx: Context, { disk, force = false }: Limits = {}): Promise<GridPlan> {
  const costs = new Costs(board);
  const memory = new MemoryOf(ctx);
  const refused: Refusal[] = [];
  const kinds = new Map<string, Mutable<PlannedKind>>();
  for (const unit of board.units) {
    const kind = kinds.get(unit.name) ?? { ...NOTHING, name: unit.name, step: unit.spec.step, by: [] };
    kinds.set(unit.name, kind);
    const known = board.of(unit.key);
    const { state, isRefused, reason } = known;
    kind.total++;
    if (state === "finished") kind.finished++;
    if (isRefused) refused.push({ step: unit.name, at: unit.at, reason: reason! });
    if (!isTodo(known)) continue;
    kind.todo++;
    try {
      kind.memory = Math.max(kind.memory, await memory.check(unit, board, force));
    } catch (error) {
      if (!(error instanceof LetheError)) throw error;
      refused.push({ step: unit.name, at: unit.at, reason: error.message });
    }
    const weights = memory.weightsOf(unit);
    addCost(kind, costs.of(unit, weights), leastBytes(unit, weights));
  }
  const all = [...kinds.values()];
  const known = board.units.map(({ key }) => board.of(key));
  const sum = (key: "total" | "finished" | "todo" | "seconds" | "untimed" | "bytes" | "unsized" | "least"): number =>
    all.reduce((whole, kind) => whole + kind[key], 0);
  return {
    name,
    kinds: all,
    total: sum("total"),
    finished: sum("finished"),
    failed: known.filter(({ state, isRefused, isSkipped }) => state === "failed" && !isRefused && !isSkipped).length,
    skipped: known.filter(({ isSkipped }) => isSkipped).length,
    todo: sum("todo"),
    seconds: sum("seconds"),
    untimed: sum("untimed"),
    memory: Math.max(0, ...all.map((kind) => kind.memory)),
    available: memory.available,
    bytes: sum("bytes"),
    unsized: sum("unsized"),
    least: sum("bytes") + sum("least"),
    disk: disk === undefined ? freeAt(ctx.runs) : parseBytes(disk, "--disk"),
    refused,
  };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const NOTHING = { total: 0, finished: 0, todo: 0, seconds: 0, untimed: 0, unsized: 0, bytes: 0, least: 0, memory: 0 };

function addCost(kind: Mutable<PlannedKind>, cost: Estimate | undefined, least: number): void {
  if (!cost) kind.untimed++;
  else {
    kind.seconds += cost.seconds;
    if (!kind.by.includes(cost.by)) kind.by = [...kind.by, cost.by];
  }
  if (cost?.bytes !== undefined) kind.bytes += cost.bytes;
  else {
    kind.unsized++;
    kind.least += least;
  }
}

/** Refuses a plan with a step that cannot be run, and one that is larger than the disk. */
export function refusePlan({ name, refused, least, unsized, disk }: GridPlan, keepGoing: boolean): void {
  if (least > disk)
    fail(
      "grid",
      `${name} will take ${unsized > 0 ? "at least" : "about"} ${showBytes(least)} of disk, and ${showBytes(disk)} may be taken`,
      "more space or a smaller grid",
      "Free some space, name another folder with --runs, run a part with --only, or allow more with --disk.",
      "unavailable",
    );
  if (keepGoing || refused.length === 0) return;
  const [first, ...others] = refused;
  const more = others.length > 0 ? ` (and ${others.length} more; lethe grid plan lists them)` : "";
  fail(
    "grid",
    `${[first!.step, first!.at].filter(Boolean).join(", ")} cannot be run: ${first!.reason}${more}`,
    "a grid whose steps can all be run",
    "Change the file, leave the combination out with skip: or --only, or run the others with --keep-going.",
  );
}

/** Bytes that are free where a folder is or will be. */
function freeAt(folder: string): number {
  let at = resolve(folder);
  while (!existsSync(at)) at = dirname(at);
  const { bavail, bsize } = statfsSync(at);
  return bavail * bsize;
}

/** Estimates of memory. The header of each model is read once. */
export class MemoryOf {
  readonly available: MemoryHave;
  private readonly ctx: Context;
  private readonly needs = new Map<string, Promise<(training: Training) => MemoryNeed>>();

  /** The number of weights of the models that were opened. */
  private readonly weights = new Map<string, number>();

  constructor(ctx: Context) {
    [this.ctx, this.available] = [ctx, availableMemory({ setting: ctx.memory })];
  }

  /** The bytes that a step needs by the estimate; refuses a step that does not fit. Zero for a step without a model. */
  async check(unit: Unit, board: Board, force: boolean): Promise<number> {
    const { purpose } = stepOf(unit.spec.step);
    const model = modelIn(unit.spec);
    if (purpose === undefined || model === undefined) return 0;
    const key = `${purpose} ${model}`;
    const needed = this.needs.get(key) ?? this.opened(model, purpose);
    this.needs.set(key, needed);
    const need = (await needed)(board.of(unit.key).training);
    refuseIfTooLarge(unit.name, need, this.available, force);
    return need.total;
  }

  /** The number of weights of a step's model, if {@link check} has opened it. */
  weightsOf({ spec }: Unit): number | undefined {
    return this.weights.get(modelIn(spec) ?? "");
  }

  private async opened(
    model: string,
    purpose: NonNullable<ReturnType<typeof stepOf>["purpose"]>,
  ): Promise<(training: Training) => MemoryNeed> {
    const checkpoint = openCheckpoint(await resolveModel(model, this.ctx));
    try {
      const shape = identify(checkpoint, this.ctx);
      const whole = { ...shape, weights: storedWeights(shape) };
      const count = [...whole.weights.values()].reduce((sum, stored) => sum + stored.shape.reduce((product, n) => product * n, 1), 0);
      this.weights.set(model, count);
      return (training) => needOf(checkpoint, { purpose, ...(training && { training: () => training(whole) }) }, shape);
    } finally {
      checkpoint.close();
    }
  }
}

type Training = ReturnType<Board["of"]>["training"];
