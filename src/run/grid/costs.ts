/** What steps will take: from measured runs of the same kind, otherwise from a short table of rough values. */
import { canonical } from "../../base/hash.ts";
import type { Board } from "./board.ts";
import { methodOf } from "../choice.ts";
import { kindOf } from "./kinds.ts";
import type { Unit } from "./unfold.ts";

/** An estimate and where it comes from. */
export interface Estimate {
  readonly seconds: number;
  /** Bytes of its files; undefined if no run of the kind is known. */
  readonly bytes?: number;
  readonly by: "runs" | "table";
}

/**
 * Rough seconds for a row of SmolLM2-135M-Instruct on one thread. An edit is rounded up from docs/methods/README.md; the others are guesses
 * that the first measured runs replace.
 */
const TABLE: Readonly<Record<string, number>> = { select: 0.01, eval: 0.6, forget: 20, attack: 8 };
/** Rough seconds of a step whatever the number of its rows, and of a method that trains. */
const WHOLE: Readonly<Record<string, number>> = { finetune: 1800 };
const TRAINING = 180;
/** The number of weights of that model. */
const WEIGHTS = 134_515_008;
/** Rows of a step of which nothing is known. */
const ROWS = 40;

/** Estimates steps from everything that a board's index knows. */
export class Costs {
  private readonly board: Board;
  private readonly kinds = new Map<string, { perRow: number[]; seconds: number[]; bytes: number[] }>();
  private readonly made = new Map<string, Estimate | undefined>();

  constructor(board: Board) {
    this.board = board;
    for (const { kind, cost, rows } of board.index.all()) this.learn(kind, cost.seconds, cost.bytes, rows);
  }

  /** Takes in a run that has just ended. */
  add(unit: Unit, { seconds, bytes }: { readonly seconds: number; readonly bytes: number }): void {
    this.learn(kindOf(unit.spec), seconds, bytes, this.board.rowsOf(unit));
    this.made.clear();
  }

  /** What a step will take; undefined if nothing is known. Without runs of its kind, a model of `weights` takes a share of the table's time. */
  of(unit: Unit, weights = WEIGHTS): Estimate | undefined {
    const rows = this.board.rowsOf(unit);
    const kind = kindOf(unit.spec);
    const key = canonical([kind, rows ?? null, weights]);
    if (!this.made.has(key)) this.made.set(key, this.fresh(kind, rows) ?? rough(unit, rows, weights));
    return this.made.get(key);
  }

  private fresh(kind: string, rows: number | undefined): Estimate | undefined {
    const known = this.kinds.get(kind);
    if (!known) return undefined;
    const seconds = rows !== undefined && known.perRow.length > 0 ? rows * median(known.perRow) : median(known.seconds);
    return { seconds, bytes: median(known.bytes), by: "runs" };
  }

  private learn(kind: string, seconds: number, bytes: number, rows: number | undefined): void {
    const known = this.kinds.get(kind) ?? { perRow: [], seconds: [], bytes: [] };
    this.kinds.set(kind, known);
    known.seconds.push(seconds);
    known.bytes.push(bytes);
    if (rows) known.perRow.push(seconds / rows);
  }
}

/** An estimate from the table. */
function rough({ spec }: Unit, rows: number | undefined, weights: number): Estimate | undefined {
  const { step, method } = spec;
  const trains = typeof method === "string" && methodOf(method).rows !== undefined;
  const perRow = TABLE[step];
  const whole = trains ? TRAINING : (WHOLE[step] ?? (perRow === undefined ? undefined : perRow * (rows ?? ROWS)));
  return whole === undefined ? undefined : { seconds: (whole * weights) / WEIGHTS, by: "table" };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
