/** The training loop: batches, gradients, clipped optimiser steps, checkpoints. It yields events and returns new weights. */
import { floats, letGo, type NdArray, setAside } from "../base/array.ts";
import { type Context, checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import { type Rng, rng } from "../base/rng.ts";
import { orBroken } from "../model/decode/finite.ts";
import { type Model, type Precision, stateOf, type Weights } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { grouped } from "../text/padding.ts";
import type { Executor } from "../onnx/program.ts";
import { batchesOf, type LabelledRow } from "./batches.ts";
import { loadState, loadStateOr, type Outputs, saveState, type State } from "./checkpoint.ts";
import { accumulate } from "./arrays.ts";
import type { LoraParams } from "./lora.ts";
import { type Differentiate, differentiated } from "./gradient.ts";
import { type Floats, type Parameter, parameterStore } from "./parameter-store.ts";
import { nll, type Objective } from "./objective.ts";
import { factorsOf, type Trainable, weightsOf } from "./trainable.ts";
import { type AdamW, adamw, clipScale, globalNorm, isDecayed, type Optimizer, rateAt, type Schedule } from "./optim.ts";

/** How to train. Recipe, model, rows and thread count determine every bit of the result. */
export interface Recipe {
  readonly steps: number;
  /** Rows per step. */
  readonly batch: number;
  /** Padded tokens per micro-batch; larger steps accumulate gradients over several. */
  readonly budget: number;
  /** Batches drawn together and divided by length (1: not divided). */
  readonly together: number;
  readonly optimizer: { readonly name: "adamw" } & AdamW;
  readonly schedule: Schedule;
  /** The maximal norm of a step's gradient. */
  readonly clip?: number;
  readonly seed: string | number;
  readonly executor: Executor;
  /** Weights to train, if they affect the loss; absent: all. */
  readonly only?: readonly WeightName[];
  /** Train low-rank factors instead of weights. */
  readonly lora?: LoraParams;
  /** Precision of weights, gradients and moments (default float32). */
  readonly dtype?: Precision;
}

/** One update: its learning rate, and its rows divided into micro-batches. */
export interface Step<Row> {
  readonly lr: number;
  readonly passes: readonly (readonly Row[])[];
}

export interface TrainOptions<Row, Drawn = Row> {
  /** What is minimised. */
  readonly objective: Objective<Drawn>;
  /** Makes a training unit from a row each time it is used, for instance by pairing it. By default the row itself. */
  readonly draw?: (row: Row, random: Rng) => Drawn;
  /** Everything beyond rows and objective that `draw` depends on. */
  readonly drawnFrom?: unknown;
  /** The updates, instead of those from seed and schedule; an update without rows is skipped. */
  readonly steps?: (step: number) => Step<Drawn>;
  /** The initial state if the folder has no checkpoint. */
  readonly from?: State;
  /** A reference model other than the model before training. */
  readonly reference?: Model;
  /** The folder of checkpoints; absent: none are saved. */
  readonly folder?: string;
  /** Hears of a checkpoint that cannot be read or written, and training goes on without it; absent: training fails. */
  readonly lost?: (error: unknown) => void;
  /** Steps from one checkpoint to the next (default 100). */
  readonly every?: number;
  /** Also save a checkpoint after the last step (default true), in case the run is stopped before the result is saved. */
  readonly savesLast?: boolean;
  /** Keep every checkpoint, including the weights before the first step. */
  readonly keepsAll?: boolean;
  /** Called after every step; returns a reason to stop, or undefined to continue. `weights` copies the current weights. */
  readonly stop?: (at: {
    readonly step: number;
    /** The scalars of every step so far, before its update; empty for a skipped step. */
    readonly outputs: readonly Outputs[];
    weights(): Weights;
  }) => string | undefined | Promise<string | undefined>;
}

export type TrainEvent =
  | { readonly kind: "resumed"; readonly step: number }
  | {
      readonly kind: "step";
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      /** The objective's scalars, including "loss", before the step's update. */
      readonly outputs: Outputs;
      readonly lr: number;
      readonly norm: number;
      /** Tokens of the step without padding; tokens per second; milliseconds. */
      readonly tokens: number;
      readonly tokensPerSecond: number;
      readonly ms: number;
    }
  | { readonly kind: "checkpoint"; readonly step: number; readonly path: string }
  | { readonly kind: "stopped"; readonly step: number; readonly reason: string };

export interface Trained {
  /** The trained numbers in the recipe's precision: weights by name, or factors. */
  readonly numbers: ReadonlyMap<string, NdArray>;
  /** The resulting weights. */
  readonly weights: Weights;
  /** Loss of every step, before its update; NaN for a skipped step. */
  readonly losses: readonly number[];
}

/** Trains on labelled rows; see {@link trainOn}. */
export const train = (
  model: Model,
  rows: readonly LabelledRow[],
  recipe: Recipe,
  ctx: Context,
  options: Omit<TrainOptions<LabelledRow>, "objective" | "draw"> = {},
): AsyncGenerator<TrainEvent, Trained> => trainOn(model, rows, recipe, ctx, { ...options, objective: nll });

/**
 * Minimises an objective over rows and returns the new weights; `model` does not change. Resumes from checkpoints in the folder, bit for bit.
 * An abort saves a checkpoint and fails as "aborted". A loss that is not finite fails before any weight changes; the last checkpoint stays intact.
 */
export async function* trainOn<Row, Drawn = Row>(
  model: Model,
  rows: readonly Row[],
  recipe: Recipe,
  ctx: Context,
  options: TrainOptions<Row, Drawn>,
): AsyncGenerator<TrainEvent, Trained> {
  const { objective, folder, lost, every = 100, savesLast = true, keepsAll = false, stop } = options;
  if (rows.length === 0) fail("train", "no rows", "at least one", "Give data to train on.");
  const run = runHash(model, rows, recipe, options);
  const saved = (folder === undefined ? undefined : lost ? loadStateOr(folder, run, lost) : loadState(folder, run)) ?? options.from;
  const learner = new Learner(model, recipe, options, saved?.tensors);
  const seen: Outputs[] = [...(saved?.outputs ?? [])];
  const stepAt = options.steps ?? stepsOf(rows, recipe, options);
  let atDisk = saved?.step ?? 0;
  const save = function* (step: number): Generator<TrainEvent, void> {
    const tensors = step === 0 ? learner.trained() : learner.tensors(); // moments begin as zeros
    let path: string;
    try {
      path = saveState(folder!, run, { step, outputs: seen, tensors }, keepsAll);
    } catch (error) {
      if (!lost) throw error;
      return lost(error);
    }
    atDisk = step;
    yield { kind: "checkpoint", step, path };
  };
  if (saved) yield { kind: "resumed", step: saved.step };
  else if (folder !== undefined && keepsAll) yield* save(0);
  for (let done = seen.length; done < recipe.steps; done++) {
    if (ctx.signal.aborted) {
      if (folder !== undefined && done > atDisk) yield* save(done);
      checkAbort(ctx, "train");
    }
    const began = ctx.now();
    const { lr, passes } = stepAt(done);
    const batch = passes.flat();
    if (batch.length === 0) seen.push({});
    else {
      const { outputs, norm } = await orBroken(model, () => learner.step(passes, done + 1, lr, lastGood(folder, atDisk)));
      seen.push(outputs);
      const ms = ctx.now() - began;
      const tokens = batch.reduce((sum, row) => sum + objective.tokensOf(row), 0);
      yield {
        kind: "step",
        step: done + 1,
        steps: recipe.steps,
        loss: outputs["loss"]!,
        outputs,
        lr,
        norm,
        tokens,
        tokensPerSecond: tokens / (ms / 1000),
        ms,
      };
      const reason = await stop?.({ step: done + 1, outputs: seen, weights: () => learner.trainable.weights(learner.trained()) });
      if (reason !== undefined) {
        yield { kind: "stopped", step: done + 1, reason };
        break;
      }
    }
    const isLast = done + 1 === recipe.steps;
    if (folder !== undefined && (isLast ? savesLast : (done + 1) % every === 0)) yield* save(done + 1);
    await new Promise(setImmediate); // a pass holds the thread: let signals in
  }
  const [numbers, trainable] = [learner.trained(), learner.trainable];
  let weights: Weights | undefined;
  return {
    numbers,
    losses: seen.map(({ loss = NaN }) => loss),
    get weights() {
      return (weights ??= trainable.weights(numbers)); // computed on demand: for factors it has the size of the model
    },
  };
}

/** The updates that follow from seed, schedule and budget. */
export function stepsOf<Row, Drawn = Row>(
  rows: readonly Row[],
  recipe: Recipe,
  { objective, draw }: Pick<TrainOptions<Row, Drawn>, "objective" | "draw">,
): (step: number) => Step<Drawn> {
  const taken = draw ?? ((row: Row): Drawn => row as unknown as Drawn);
  // units that are drawn anew each time have no fixed length
  const batches = batchesOf(rows, (row) => (draw ? 0 : objective.lengthOf(row as unknown as Drawn)), recipe);
  return (done) => {
    const random = rng(recipe.seed).split("draw").split(done);
    const batch = batches.at(done).map((row, i) => taken(row, random.split(i)));
    return {
      lr: rateAt(recipe.schedule, done + 1, recipe.steps),
      passes: grouped(batch, objective.lengthOf, recipe.budget, Infinity),
    };
  };
}

const lastGood = (folder: string | undefined, step: number): string =>
  folder === undefined || step === 0 ? "" : ` The state after step ${step} is intact in ${folder}.`;

/** The hash that a checkpoint must have to be resumed. */
const runHash = <Row, Drawn>(
  model: Model,
  rows: readonly Row[],
  recipe: Recipe,
  { objective, drawnFrom, reference }: TrainOptions<Row, Drawn>,
): Hash => hash("train", stateOf(model), objective.name, recipe, rows, drawnFrom ?? null, reference ? stateOf(reference) : null);

/** The trained weights with their moments, and the gradient of the loss. */
class Learner<Row> {
  readonly trainable: Trainable;
  private readonly recipe: Recipe;
  private readonly objective: Objective<Row>;
  private readonly optimizer: Optimizer;
  private readonly store: ReadonlyMap<string, Parameter>;
  private readonly differentiate: Differentiate<Row>;
  private state: readonly number[];

  constructor(
    model: Model,
    recipe: Recipe,
    { objective, reference }: { readonly objective: Objective<Row>; readonly reference?: Model },
    saved?: ReadonlyMap<string, NdArray>,
  ) {
    [this.recipe, this.objective] = [recipe, objective];
    const { dtype = "float32", executor, lora, only = [...model.weights.keys()] } = recipe;
    this.trainable = lora ? factorsOf(model, lora, recipe.seed) : weightsOf(model, only);
    const start = this.trainable.start(dtype);
    this.optimizer = adamw(recipe.optimizer);
    const { reached, run } = differentiated(model, {
      objective,
      trainable: this.trainable,
      dtype,
      executor,
      ...(reference && { reference }),
    });
    this.differentiate = run;
    this.store = parameterStore(
      reached.map((name) => [name, start.get(name)!.shape]),
      { moments: this.optimizer.moments, dtype },
    );
    for (const [name, { weight, moments }] of this.store) {
      weight.set((saved?.get(name) ?? start.get(name)!).data as Floats);
      for (const [moment, array] of Object.entries(moments)) array.set((saved?.get(`${moment}:${name}`)?.data ?? []) as Floats);
      const before = model.weights.get(name);
      if (before) setAside(before); // the copy is trained
    }
    this.state = saved?.has(STATE) ? Array.from(saved.get(STATE)!.data as Float64Array) : (objective.state?.start ?? []);
  }

  /** A copy of the current numbers, because their memory also contains moments and gradients. */
  trained(): ReadonlyMap<string, NdArray> {
    return new Map([...this.store].map(([name, { array }]) => [name, { ...array, data: (array.data as Floats).slice() } as NdArray]));
  }

  /** Every changing number, by its name in checkpoints. */
  tensors(): ReadonlyMap<string, NdArray> {
    const kept = [...this.store].flatMap(([name, { array, moments }]): [string, NdArray][] => [
      [name, array],
      ...Object.entries(moments).map(([moment, data]): [string, NdArray] => [`${moment}:${name}`, { ...array, data } as NdArray]),
    ]);
    return new Map([...kept, ...(this.objective.state ? [[STATE, floats(this.state, [this.state.length], "float64")] as const] : [])]);
  }

  /** One optimiser step over rows divided into micro-batches. */
  async step(passes: readonly (readonly Row[])[], step: number, lr: number, lastGood: string): Promise<{ outputs: Outputs; norm: number }> {
    const { objective, recipe } = this;
    const gradients = new Map<string, Floats>();
    const outputs: Record<string, number> = {};
    const weights = new Map([...this.store].map(([name, { array }]) => [name, array]));
    const whole = passes.flat();
    const isOne = passes.filter((rows) => rows.length > 0).length === 1;
    let only: ReadonlyMap<string, NdArray> = new Map();
    for (const [i, rows] of passes.entries()) {
      if (rows.length === 0) continue;
      const pass = await this.differentiate({ rows, step: whole }, weights, this.state, { seed: recipe.seed, step, pass: i });
      for (const [name, value] of Object.entries(pass.outputs)) outputs[name] = (outputs[name] ?? 0) + value;
      for (const [name, { data }] of pass.gradients) {
        const { gradient, kernels } = this.store.get(name)!;
        const sum = gradients.get(name);
        if (sum) accumulate(sum, data as Floats, kernels);
        else if (isOne) gradients.set(name, data as Floats);
        else {
          gradient.set(data as Floats);
          gradients.set(name, gradient);
        }
      }
      if (isOne) only = pass.gradients;
      else letGo(pass.gradients.values());
    }
    const norm = globalNorm(gradients, this.store);
    const loss = outputs["loss"]!;
    if (!Number.isFinite(loss) || !Number.isFinite(norm))
      fail(
        "train",
        `the loss of step ${step} is ${loss} and its gradient's norm ${norm}`,
        "finite numbers",
        `Lower the learning rate, or clip at a smaller norm.${lastGood}`,
        "execution",
      );
    const scale = clipScale(norm, recipe.clip);
    for (const [name, parameter] of this.store)
      this.optimizer.update({ ...parameter, gradient: gradients.get(name)!, step, lr, scale, decays: isDecayed(parameter.array) });
    letGo(only.values());
    this.state = objective.state?.next(this.state, { step, outputs }) ?? this.state;
    return { outputs, norm };
  }
}

/** Name of the objective's state in checkpoints; no weight has this name. */
const STATE = "state";
