/** What steps will take: from measured runs of the same kind, otherwise from a short table of rough values. */
import { canonical } from "../../base/hash.ts";
import type { Board } from "./board.ts";
import { methodOrAuto } from "../choice.ts";
import { kindOf, modelIn } from "./kinds.ts";
import type { AnyMethod } from "../../methods/method.ts";
import type { NestedSpec } from "../fields.ts";
import type { Unit } from "./unfold.ts";

/** An estimate and where it comes from. */
export interface Estimate {
  readonly seconds: number;
  /** Bytes of its files; undefined if no run of the kind is known. */
  readonly bytes?: number;
  readonly by: "runs" | "table";
}

/**
 * Rough seconds of SmolLM2-135M-Instruct on two quiet cores, which the first measured runs replace: for a row of a step, and for an edit by what
 * the method declares. A search takes the most. A method without a search reads each row at most once.
 */
const TABLE: Readonly<Record<string, number>> = { select: 0.01, eval: 0.25, attack: 8 };
/** Answers that are there already, and are judged again. */
const JUDGED_AGAIN = 0.01;
const SEARCH = 10;
const READ = 0.3;
/** Rough seconds of a step whatever the number of its rows, of a method that trains, and of one that only writes words: the model is opened. */
const WHOLE: Readonly<Record<string, number>> = { finetune: 900, export: 10 };
const TRAINING = 60;
const WRITTEN = 2;
/** The number of weights of that model. */
const WEIGHTS = 134_515_008;
/** Rows of a step of which nothing is known. */
const ROWS = 40;

/** Bytes that a run has in any case: its spec, record and times; and for each weight of a model that a step writes. */
const RECORDED = 1_500;
const WRITES_MODEL: readonly string[] = ["finetune", "export"];
const PER_WEIGHT = 2;

/** The fewest bytes that a step can take, where no run of its kind is known. */
export const leastBytes = ({ spec }: Unit, weights = 0): number => RECORDED + (WRITES_MODEL.includes(spec.step) ? PER_WEIGHT * weights : 0);

/** Seconds of finished steps, and what the table says of them. */
interface Pace {
  took: number;
  said: number;
}

/**
 * Estimates steps from everything that a board's index knows. Where no run of a kind is known, the table's time is multiplied by the pace: how
 * much longer than the table's the finished steps of the grid took on this machine.
 */
export class Costs {
  private readonly board: Board;
  /** By the model, and by the model and the step. */
  private readonly paces = new Map<string, Pace>();
  private readonly kinds = new Map<string, { perRow: number[]; seconds: number[]; bytes: number[] }>();
  private readonly made = new Map<string, Estimate | undefined>();

  constructor(board: Board) {
    this.board = board;
    for (const { kind, cost, rows } of board.index.all()) this.learn(kind, cost.seconds, cost.bytes, rows);
    for (const unit of board.units) {
      const { run } = board.of(unit.key);
      if (run) this.compare(unit, run.cost.seconds);
    }
  }

  /** Takes in a run that has just ended. */
  add(unit: Unit, { seconds, bytes }: { readonly seconds: number; readonly bytes: number }): void {
    this.learn(kindOf(unit.spec), seconds, bytes, this.board.rowsOf(unit));
    this.compare(unit, seconds);
    this.made.clear();
  }

  /** What a step will take; undefined if nothing is known. Without runs of its kind, a model of `weights` takes a share of the table's time. */
  of(unit: Unit, weights = WEIGHTS): Estimate | undefined {
    const rows = this.board.rowsOf(unit);
    const kind = kindOf(unit.spec);
    const key = canonical([kind, rows ?? null, weights]);
    if (!this.made.has(key)) this.made.set(key, this.fresh(kind, rows) ?? this.paced(unit, rows, weights));
    return this.made.get(key);
  }

  /** The table's estimate at the pace of the finished steps: of those of the same step with the same model, otherwise of all with that model. */
  private paced(unit: Unit, rows: number | undefined, weights: number): Estimate | undefined {
    const estimate = rough(unit, rows);
    if (!estimate) return undefined;
    const pace = paceKeys(unit)
      .map((key) => this.paces.get(key))
      .find((one) => one && one.took > 0);
    const times = pace ? pace.took / pace.said : weights / WEIGHTS; // the pace holds the size of the model
    return { ...estimate, seconds: estimate.seconds * times };
  }

  /** Compares a finished step with the table. */
  private compare(unit: Unit, seconds: number): void {
    const said = rough(unit, this.board.rowsOf(unit))?.seconds;
    if (!said) return;
    for (const key of paceKeys(unit)) {
      const pace = this.paces.get(key) ?? { took: 0, said: 0 };
      this.paces.set(key, { took: pace.took + seconds, said: pace.said + said });
    }
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

/** Where the pace of a step is found: that of the same step with the same model, otherwise that of the model. */
function paceKeys({ spec }: Unit): readonly string[] {
  const model = modelIn(spec) ?? "";
  return [canonical([model, spec.step]), canonical([model])];
}

/** An estimate from the table, for the model of the table. */
function rough({ spec }: Unit, rows: number | undefined): Estimate | undefined {
  const whole = wholeOf(spec);
  const perRow = perRowOf(spec);
  const seconds = whole ?? (perRow === undefined ? undefined : perRow * (rows ?? ROWS));
  return seconds === undefined ? undefined : { seconds, by: "table" };
}

const methodIn = ({ method }: NestedSpec): AnyMethod | undefined => (typeof method === "string" ? methodOrAuto(method) : undefined);

/** Whether a method searches for each edit: it declares how many steps a search has. */
const searches = ({ params }: AnyMethod): boolean => "steps" in params;

/** The needs for which a method without a search reads rows, or asks the model: all but words to say. */
const isRead = (need: string): boolean => need !== "target";

/** Seconds of a step for which the number of rows does not count. */
function wholeOf(spec: NestedSpec): number | undefined {
  const method = methodIn(spec);
  if (!method) return WHOLE[spec.step];
  if (method.rows !== undefined) return TRAINING;
  if (method.needs.includes("training")) return WHOLE["finetune"]; // it repeats a finetuning
  return searches(method) || method.needs.some(isRead) ? undefined : WRITTEN;
}

function perRowOf(spec: NestedSpec): number | undefined {
  const method = methodIn(spec);
  if (method) return searches(method) ? SEARCH : READ;
  const { compat } = spec;
  return Array.isArray(compat) && compat.length > 0 ? JUDGED_AGAIN : TABLE[spec.step];
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
