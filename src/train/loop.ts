/** The training loop: batches, gradients, clipped optimiser steps, checkpoints; a stream of events that ends in new weights. */
import { floats, letGo, type NdArray, setAside } from "../base/array.ts";
import { type Context, checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import { type Rng, rng } from "../base/rng.ts";
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

/** How to train: together with model, rows and thread count it determines every bit of the result. */
export interface Recipe {
  readonly steps: number;
  /** Rows a step. */
  readonly batch: number;
  /** Padded tokens in one pass; a step of more is accumulated over several. */
  readonly budget: number;
  /** Batches drawn at once and cut by length (1: none). */
  readonly together: number;
  readonly optimizer: { readonly name: "adamw" } & AdamW;
  readonly schedule: Schedule;
  /** The largest norm of a step's gradient. */
  readonly clip?: number;
  readonly seed: string | number;
  readonly executor: Executor;
  /** Weights that are trained, if the loss reaches them; absent: all. */
  readonly only?: readonly WeightName[];
  /** Low-rank factors are trained in place of weights. */
  readonly lora?: LoraParams;
  /** Of weights, gradients and moments (default float32). */
  readonly dtype?: Precision;
}

/** One update: its learning rate, and its rows as they are cut into passes. */
export interface Step<Row> {
  readonly lr: number;
  readonly passes: readonly (readonly Row[])[];
}

export interface TrainOptions<Row, Drawn = Row> {
  /** What is minimised. */
  readonly objective: Objective<Drawn>;
  /** What a row becomes each time it is taken: what it is paired with, for instance. By default the row itself. */
  readonly draw?: (row: Row, random: Rng) => Drawn;
  /** Everything beyond rows and objective that `draw` depends on. */
  readonly drawnFrom?: unknown;
  /** The updates themselves, in place of those that seed and schedule give; one without rows is left out whole. */
  readonly steps?: (step: number) => Step<Drawn>;
  /** The state to begin from where the folder holds none. */
  readonly from?: State;
  /** A model to compare with, other than the one that training begins from. */
  readonly reference?: Model;
  /** Where checkpoints are kept; absent: nowhere. */
  readonly folder?: string;
  /** Hears of a checkpoint that cannot be read or written, and training goes on without it; absent: training fails. */
  readonly lost?: (error: unknown) => void;
  /** Steps from one checkpoint to the next (default 100). */
  readonly every?: number;
  /** Save one behind the last step too (default true); it is of use to whoever may be stopped before the result is kept. */
  readonly savesLast?: boolean;
  /** Keep every checkpoint, the weights before the first step among them. */
  readonly keepsAll?: boolean;
  /** Why to end before the last step; asked after every step, undefined goes on. `weights` copies them as they are then. */
  readonly stop?: (at: {
    readonly step: number;
    /** Of every step so far, before its update; empty where one was left out. */
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
      /** The objective's scalars, "loss" among them, before the step's update. */
      readonly outputs: Outputs;
      readonly lr: number;
      readonly norm: number;
      /** Tokens of the step, padding left out; a second of this step; milliseconds it took. */
      readonly tokens: number;
      readonly tokensPerSecond: number;
      readonly ms: number;
    }
  | { readonly kind: "checkpoint"; readonly step: number; readonly path: string }
  | { readonly kind: "stopped"; readonly step: number; readonly reason: string };

export interface Trained {
  /** What was trained, in the recipe's precision: weights by name, or factors. */
  readonly numbers: ReadonlyMap<string, NdArray>;
  /** The weights that these make. */
  readonly weights: Weights;
  /** Loss of every step, before its update; NaN where one was left out. */
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
 * Minimises an objective over rows and returns the new weights; `model` stays as it is. Checkpoints found in the folder are continued, bit for bit.
 * An abort saves a checkpoint and fails as "aborted"; a loss that is not finite fails before it touches a weight, the last checkpoint intact.
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
      const { outputs, norm } = await learner.step(passes, done + 1, lr, lastGood(folder, atDisk));
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
      return (weights ??= trainable.weights(numbers)); // of factors it is the size of the model, and not everyone wants it
    },
  };
}

/** The updates that seed, schedule and budget give. */
export function stepsOf<Row, Drawn = Row>(
  rows: readonly Row[],
  recipe: Recipe,
  { objective, draw }: Pick<TrainOptions<Row, Drawn>, "objective" | "draw">,
): (step: number) => Step<Drawn> {
  const taken = draw ?? ((row: Row): Drawn => row as unknown as Drawn);
  // what is drawn anew each time has no length to order by
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

/** What a checkpoint must agree with to be continued. */
const runHash = <Row, Drawn>(
  model: Model,
  rows: readonly Row[],
  recipe: Recipe,
  { objective, drawnFrom, reference }: TrainOptions<Row, Drawn>,
): Hash => hash("train", stateOf(model), objective.name, recipe, rows, drawnFrom ?? null, reference ? stateOf(reference) : null);

/** Weights under training with their moments, and the gradient of the loss. */
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
      if (before) setAside(before); // the copy is what is trained
    }
    this.state = saved?.has(STATE) ? Array.from(saved.get(STATE)!.data as Float64Array) : (objective.state?.start ?? []);
  }

  /** The numbers as they are now, copied out of the memory that they share with moments and gradients. */
  trained(): ReadonlyMap<string, NdArray> {
    return new Map([...this.store].map(([name, { array }]) => [name, { ...array, data: (array.data as Floats).slice() } as NdArray]));
  }

  /** Every number that changes, by the name it is saved under. */
  tensors(): ReadonlyMap<string, NdArray> {
    const kept = [...this.store].flatMap(([name, { array, moments }]): [string, NdArray][] => [
      [name, array],
      ...Object.entries(moments).map(([moment, data]): [string, NdArray] => [`${moment}:${name}`, { ...array, data } as NdArray]),
    ]);
    return new Map([...kept, ...(this.objective.state ? [[STATE, floats(this.state, [this.state.length], "float64")] as const] : [])]);
  }

  /** One optimiser step over rows that are cut into passes. */
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
        `Lower the learning rate, or clip harder.${lastGood}`,
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

/** What the objective's state is saved as; no weight is called so. */
const STATE = "state";
