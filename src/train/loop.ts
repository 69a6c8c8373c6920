/** The training loop: batches, gradients, clipped optimiser steps, checkpoints; a stream of events that ends in new weights. */
import { asFloats, type NdArray, zeros } from "../base/array.ts";
import { type Context, checkAbort } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { type Hash, hash } from "../base/hash.ts";
import { traced } from "../model/forward.ts";
import { feedsOf, type Model, type Weights } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import { grouped } from "../model/rows.ts";
import { type Executor, type Program, program } from "../onnx/program.ts";
import { trace } from "../tensor/graph.ts";
import { batchesOf, type LabelledRow } from "./batches.ts";
import { loadState, saveState } from "./checkpoint.ts";
import { nll, type Objective } from "./losses.ts";
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
  /** Weights that are trained; absent: all. */
  readonly only?: readonly WeightName[];
}

export interface TrainOptions<Row> {
  /** Where checkpoints are kept; absent: nowhere. */
  readonly folder?: string;
  /** Steps from one checkpoint to the next (default 100). */
  readonly every?: number;
  /** Mean loss over labels unless given. */
  readonly objective?: Objective<Row>;
}

export type TrainEvent =
  | { readonly kind: "resumed"; readonly step: number }
  | {
      readonly kind: "step";
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly lr: number;
      readonly norm: number;
      /** Tokens of the step, padding left out; a second of this step; milliseconds it took. */
      readonly tokens: number;
      readonly tokensPerSecond: number;
      readonly ms: number;
    }
  | { readonly kind: "checkpoint"; readonly step: number; readonly path: string };

export interface Trained {
  /** The weights that were trained, in float32. */
  readonly weights: Weights;
  /** Loss of every step, before its update. */
  readonly losses: readonly number[];
}

/** Trains on labelled rows; see {@link trainOn}. */
export const train = (
  model: Model,
  rows: readonly LabelledRow[],
  recipe: Recipe,
  ctx: Context,
  options: Omit<TrainOptions<LabelledRow>, "objective"> = {},
): AsyncGenerator<TrainEvent, Trained> => trainOn(model, rows, recipe, ctx, { ...options, objective: nll });

/**
 * Minimises an objective over rows and returns the new weights; `model` stays as it is. Checkpoints found in the folder are continued, bit for bit.
 * An abort saves a checkpoint and fails as "aborted"; a loss that is not finite fails before it touches a weight, the last checkpoint intact.
 */
export async function* trainOn<Row>(
  model: Model,
  rows: readonly Row[],
  recipe: Recipe,
  ctx: Context,
  options: TrainOptions<Row> & { readonly objective: Objective<Row> },
): AsyncGenerator<TrainEvent, Trained> {
  const { objective, folder, every = 100 } = options;
  if (rows.length === 0) fail("train", "no rows", "at least one", "Give data to train on.");
  const run = runHash(model, rows, recipe, objective);
  const saved = folder === undefined ? undefined : loadState(folder, run);
  const learner = new Learner(model, recipe, objective, saved?.tensors);
  const losses = [...(saved?.losses ?? [])];
  const order = batchesOf(rows, objective.lengthOf, recipe);
  let atDisk = saved?.step ?? 0;
  const save = (step: number): TrainEvent => {
    atDisk = step;
    return { kind: "checkpoint", step, path: saveState(folder!, run, { step, losses, tensors: learner.tensors() }) };
  };
  if (saved) yield { kind: "resumed", step: saved.step };
  for (let done = losses.length; done < recipe.steps; done++) {
    if (ctx.signal.aborted) {
      if (folder !== undefined && done > atDisk) yield save(done);
      checkAbort(ctx, "train");
    }
    const began = ctx.now();
    const batch = order.at(done);
    const lr = rateAt(recipe.schedule, done + 1, recipe.steps);
    const { loss, norm } = await learner.step(batch, done + 1, lr, lastGood(folder, atDisk));
    losses.push(loss);
    const ms = ctx.now() - began;
    const tokens = batch.reduce((sum, row) => sum + objective.lengthOf(row), 0);
    yield { kind: "step", step: done + 1, steps: recipe.steps, loss, lr, norm, tokens, tokensPerSecond: tokens / (ms / 1000), ms };
    if (folder !== undefined && ((done + 1) % every === 0 || done + 1 === recipe.steps)) yield save(done + 1);
    await new Promise(setImmediate); // a pass holds the thread: let signals in
  }
  return { weights: learner.weights, losses };
}

const lastGood = (folder: string | undefined, step: number): string =>
  folder === undefined || step === 0 ? "" : ` The state after step ${step} is intact in ${folder}.`;

/** What a checkpoint must agree with to be continued. */
const runHash = <Row>(model: Model, rows: readonly Row[], recipe: Recipe, objective: Objective<Row>): Hash =>
  hash("train", model.id, ...[...model.changed].sort().flatMap((name) => [name, model.weights.get(name)]), objective.name, recipe, rows);

/** Weights under training with their moments, and the program that differentiates the loss. */
class Learner<Row> {
  readonly weights: ReadonlyMap<WeightName, NdArray & { readonly data: Float32Array }>;
  private readonly model: Model;
  private readonly recipe: Recipe;
  private readonly objective: Objective<Row>;
  private readonly optimizer: Optimizer;
  private readonly moments: ReadonlyMap<WeightName, Readonly<Record<string, Float32Array>>>;
  private readonly program: Program;

  constructor(model: Model, recipe: Recipe, objective: Objective<Row>, saved?: ReadonlyMap<string, NdArray>) {
    [this.model, this.recipe, this.objective] = [model, recipe, objective];
    this.optimizer = adamw(recipe.optimizer);
    const names = recipe.only ?? [...model.weights.keys()];
    this.weights = new Map(names.map((name) => [name, trainable(model, name, saved?.get(name))]));
    this.moments = new Map(
      [...this.weights].map(([name, { data }]) => [
        name,
        Object.fromEntries(
          this.optimizer.moments.map((moment) => [
            moment,
            (saved?.get(`${moment}:${name}`)?.data as Float32Array | undefined) ?? new Float32Array(data.length),
          ]),
        ),
      ]),
    );
    const graph = trace((t) => {
      // a weight by role, so that the blocks of a model share one session; float32 whatever the model holds
      const own = Object.fromEntries([...this.weights].map(([name, { shape }]) => [name, t.input(name, "float32", shape, "weight")]));
      return objective.build(traced(model, t, "float32", own));
    });
    this.program = program(model.sessions, graph, { executor: recipe.executor, grad: { of: "loss", wrt: names } });
  }

  /** Every number that changes, by the name it is saved under. */
  tensors(): ReadonlyMap<string, NdArray> {
    const moments = [...this.moments].flatMap(([name, kept]) =>
      Object.entries(kept).map(
        ([moment, data]) =>
          [`${moment}:${name}`, { dtype: "float32", shape: this.weights.get(name)!.shape, data } satisfies NdArray] as const,
      ),
    );
    return new Map<string, NdArray>([...this.weights, ...moments]);
  }

  /** One optimiser step over a batch, in as many passes as the budget asks for. */
  async step(batch: readonly Row[], step: number, lr: number, lastGood: string): Promise<{ loss: number; norm: number }> {
    const { objective, recipe } = this;
    const total = batch.reduce((sum, row) => sum + objective.weightOf(row), 0);
    const gradients = new Map<WeightName, Float32Array>();
    let loss = 0;
    for (const rows of grouped(batch, objective.lengthOf, recipe.budget, Infinity)) {
      const out = await this.program.run(
        feedsOf(this.model, new Map<string, NdArray>([...this.weights, ...Object.entries(objective.feed(this.model, rows, total))])),
      );
      loss += out["loss"]!.data[0] as number;
      for (const name of this.weights.keys()) addTo(gradients, name, out[`grad:${name}`]!.data as Float32Array);
    }
    const norm = globalNorm(gradients);
    if (!Number.isFinite(loss) || !Number.isFinite(norm))
      fail(
        "train",
        `the loss of step ${step} is ${loss} and its gradient's norm ${norm}`,
        "finite numbers",
        `Lower the learning rate, or clip harder.${lastGood}`,
        "execution",
      );
    const scale = clipScale(norm, recipe.clip);
    for (const [name, weight] of this.weights)
      this.optimizer.update({
        weight: weight.data,
        gradient: gradients.get(name)!,
        moments: this.moments.get(name)!,
        step,
        lr,
        scale,
        decays: isDecayed(weight),
      });
    return { loss, norm };
  }
}

/** A copy of a weight in float32, or its saved value. */
function trainable(model: Model, name: WeightName, saved: NdArray | undefined): NdArray & { readonly data: Float32Array } {
  const stored =
    model.weights.get(name) ?? fail("train", `weight "${name}"`, `one of ${[...model.weights.keys()].slice(0, 12).join(", ")}, …`, "");
  if (saved) return saved as NdArray & { data: Float32Array };
  const copy = zeros("float32", stored.shape) as NdArray & { data: Float32Array };
  copy.data.set(asFloats(stored, "float32").data);
  return copy;
}

function addTo(sums: Map<WeightName, Float32Array>, name: WeightName, more: Float32Array): void {
  const sum = sums.get(name);
  if (!sum) sums.set(name, more);
  else for (let i = 0; i < sum.length; i++) sum[i]! += more[i]!;
}
