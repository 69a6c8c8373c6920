/** The progress of a whole grid: how many steps are done, the time that is left, and the most memory that a step took. */
import type { Context } from "../../base/context.ts";
import { showBytes } from "../../model/memory-estimate.ts";
import { type Board, type Found, isTodo } from "./board.ts";
import { Costs } from "./costs.ts";
import type { Unit } from "./unfold.ts";

/** "edit, rome, single". */
export const labelOf = ({ name, at }: Pick<Unit, "name" | "at">): string => [name, at].filter(Boolean).join(", ");

/** Tells the progress after each step. */
export class Progress {
  private readonly board: Board;
  private readonly ctx: Context;
  private readonly costs: Costs;
  private peak = 0;

  constructor(board: Board, ctx: Context) {
    [this.board, this.ctx, this.costs] = [board, ctx, new Costs(board)];
  }

  /** Takes in a run of this process. */
  add(unit: Unit, { cost }: Found): void {
    this.costs.add(unit, cost);
    this.peak = Math.max(this.peak, cost.peak);
  }

  /** Tells how far the grid is, and what comes next. */
  tell(next?: Unit): void {
    const { units } = this.board;
    const known = units.map((unit) => ({ unit, ...this.board.of(unit.key) }));
    const done = known.filter(({ state }) => state === "finished").length;
    const failed = known.filter(({ state }) => state === "failed").length;
    const left = known.filter(isTodo).map(({ unit }) => this.costs.of(unit)?.seconds);
    const seconds = left.some((one) => one !== undefined) ? left.reduce<number>((sum, one) => sum + (one ?? 0), 0) : undefined;
    const isAtLeast = left.includes(undefined);
    const words = [
      `${done} of ${units.length}`,
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(left.length > 0 && seconds !== undefined ? [`${isAtLeast ? "more than " : ""}${hours(seconds)} left`] : []),
      ...(this.peak > 0 ? [`peak ${showBytes(this.peak)}`] : []),
    ];
    const text = `${words.join(", ")}${next ? `: ${labelOf(next)}` : ""}`;
    const told = { done, total: units.length, failed, peak: this.peak, ...(seconds !== undefined && { secondsLeft: Math.round(seconds) }) };
    this.ctx.log({ kind: "whole", who: "grid", text, ...told, ...(next && { next: labelOf(next) }) });
  }
}

/** "40 s", "12 min", "2.1 h". */
function hours(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
