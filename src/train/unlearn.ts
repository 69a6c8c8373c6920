/** Forgetting by training: rows for each request, a loss over them, and what the weights became as an edit. */
import { asFloats, floats, type NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { inWorkFolder, type WorkFolder } from "../base/kept.ts";
import type { Rng } from "../base/rng.ts";
import type { Declared } from "../base/schema.ts";
import { REFUSALS } from "../data/refusals.ts";
import type { EditRequest, QA } from "../data/request.ts";
import type { Delta, Draft } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import { type Model, type Precision, stateOf, withOwnSessions } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import type { Format } from "../model/prompt.ts";
import type { Executor } from "../onnx/program.ts";
import type { LabelledRow } from "./batches.ts";
import { followed, type Followed } from "./follow.ts";
import { type LowRankDelta, loraOf } from "./lora.ts";
import { type Trained, type TrainOptions, trainOn } from "./loop.ts";
import { type Formula, objectiveOf, type Unit } from "./parts.ts";
import { DESCENT, type DescentParams, recipeOf } from "./recipe.ts";
import { asRow } from "./tune.ts";

export interface TrainingParams extends DescentParams {
  steps: number;
  epochs: number;
}

/** Training parameters, spread into the parameters of each unlearning method. */
export const TRAINING: Declared<TrainingParams, Config> = {
  steps: { default: 100, doc: "updates", source: "PISTOL trainer.py: 20 epochs of 20 rows", min: 1, whole: true },
  epochs: {
    default: 0,
    doc: "give it in place of steps: an epoch takes each request of the edit once, in as many steps as batches of them; 0: steps decides",
    source: "docs/methods/ga.md",
    min: 0,
    whole: true,
    instead: "steps",
  },
  ...DESCENT,
  batch: { ...DESCENT.batch, doc: "requests per step" },
};

/** Names of these parameters in the files of TOFU, PISTOL, OpenUnlearning and Hugging Face's Trainer. */
export const TRAINING_HPARAMS = {
  steps: "steps",
  num_steps: "steps",
  max_steps: "steps",
  epochs: "epochs",
  num_epochs: "epochs",
  num_train_epochs: "epochs",
  lr: "lr",
  learning_rate: "lr",
  weight_decay: "decay",
  batch_size: "batch",
  per_device_train_batch_size: "batch",
  warmup_ratio: "warmup",
  lr_scheduler_type: "schedule",
  max_grad_norm: "clip",
  layers: "layers",
  inner_params: "layers",
} as const;

/** The parameters with the steps that the epochs come to, where those are given. A request has a row for each of its targets. */
export const inSteps = <P extends Pick<TrainingParams, "steps" | "epochs" | "batch">>(params: P, rows: number): P =>
  params.epochs > 0 ? { ...params, steps: Math.max(1, Math.round(params.epochs * Math.ceil(rows / params.batch))) } : params;

export interface CappedParams extends TrainingParams {
  cap: number;
}

/** The same for a method that raises the loss of the forget rows and reports it as "forget". */
export const CAPPED: Declared<CappedParams, Config> = {
  ...TRAINING,
  cap: {
    default: 0,
    doc: "loss above which a token is pushed no further (nats); 0: the loss of a uniform guess among all tokens",
    source: "docs/methods/ga.md",
    min: 0,
  },
};

export interface TermsParams {
  gamma: number;
  alpha: number;
}

/** Weights of the two terms of a loss. */
export const TERMS: Declared<TermsParams, Config> = {
  gamma: { default: 1, doc: "weight γ of the forget term", source: "OpenUnlearning configs/trainer", min: 0 },
  alpha: { default: 1, doc: "weight α of the retain term", source: "OpenUnlearning configs/trainer", min: 0 },
};

export interface BetaParam {
  beta: number;
}

/** For losses with a reference model. */
export const BETA: Declared<BetaParam, Config> = {
  beta: {
    default: 0.1,
    doc: "the larger, the smaller the change in log-probability that is enough",
    source: "OpenUnlearning configs/trainer",
    min: 0,
  },
};

/** Quirks that all the published repositories share. */
export const TRAINING_COMPAT = {
  "still-pad": "no gradient for the pad token's embedding as an input (transformers' padding_idx)",
} as const;
/** For methods with a cap. */
export const CAPPED_COMPAT = {
  "no-cap": "push every token further, however unlikely it is",
  ...TRAINING_COMPAT,
} as const;
/** Quirks of all the published repositories. */
export const HUGGING_FACE = ["still-pad"] as const;
export const UNCAPPED = ["no-cap", ...HUGGING_FACE] as const;
/** For methods that train another answer. */
export const TARGET_COMPAT = {
  "fresh-refusals": "train another of the hundred refusals each time a row is used, instead of the target",
} as const;

/** The parts of a job that training uses. */
export interface UnlearnJob {
  readonly model: Model;
  readonly requests: readonly EditRequest[];
  readonly retain?: readonly QA[];
  /** The reference model of the loss; by default the model before training. */
  readonly reference?: Model;
  readonly params: TrainingParams & Partial<CappedParams>;
  readonly compat: ReadonlySet<string>;
  readonly format: Format;
  readonly system?: string;
  readonly seed: number;
  readonly running: { readonly dtype: Precision; readonly executor: Executor };
  readonly ctx: Context;
}

/** Steps between checkpoints. They are few, because each one stores weights and moments. */
const EVERY = 50;
/** Relative rounding error of a mean of equal numbers. */
const ROUNDING = 1e-5;

/** Minimises a formula's loss over the requests' rows; a stopped run resumes from its last checkpoint in the cache. */
export async function unlearn(
  who: string,
  job: UnlearnJob,
  formula: Formula,
  { scale = 1 }: { readonly scale?: number } = {},
): Promise<Draft> {
  const { model, requests, compat, seed, running, ctx } = job;
  const rows = rowsOf(who, job, formula);
  const params = inSteps(job.params, rows.forget.length);
  const cap = params.cap === undefined || compat.has("no-cap") ? undefined : params.cap || Math.log(model.config.vocab);
  const objective = objectiveOf({
    ...formula,
    ...(compat.has("still-pad") && { like: { stillPad: true } }),
    ...(cap !== undefined && { cap }),
  });
  const recipe = recipeOf(who, model, params, { seed, running });
  const pass = Math.ceil(rows.forget.length / params.batch);
  const reference = job.reference ? stateOf(job.reference) : null;
  const about = [who, recipe, objective.name, rows.forget, rows.others, stateOf(model), reference, ctx.threads];
  const trainedIn = (work: WorkFolder | undefined): Promise<Followed<Trained>> => {
    const options: TrainOptions<RequestRows, Unit> = {
      objective,
      draw: (row, random) => rows.unit(row, random),
      drawnFrom: rows.others,
      ...(job.reference && { reference: job.reference }),
      ...(work && { folder: work.path, lost: work.lost }),
      every: EVERY,
      savesLast: false,
      stop: ({ outputs }) =>
        cap !== undefined && outputs.length >= pass && outputs.slice(-pass).every((of) => of["forget"]! >= cap * (1 - ROUNDING))
          ? `every word to forget costs ${cap.toPrecision(3)} nats or more`
          : undefined,
    };
    return withOwnSessions(model, (own) => followed(who, trainOn(own, rows.forget, recipe, ctx, options), ctx, { detail }));
  };
  const { result: trained, last, stopped } = await inWorkFolder(ctx, "training", about, trainedIn);
  if (stopped !== undefined) ctx.log({ kind: "warning", who, text: stopped });
  const weights = recipe.lora
    ? scaled(loraOf(model, recipe.lora).deltas(trained.numbers), scale)
    : Object.fromEntries([...trained.weights].flatMap(([name, after]) => differenceOf(name, model.weights.get(name)!, after, scale)));
  return {
    change: { kind: "delta", weights },
    evidence: {
      requests: requests.length,
      retain: job.retain?.length ?? 0,
      steps: trained.losses.length,
      losses: trained.losses.map((x) => Number(x.toPrecision(6))),
      trained: trained.numbers.size,
      last,
      ...(stopped !== undefined && { stopped }),
    },
  };
}

/** What a step's progress says: each scalar of the loss, the loss itself first. */
const detail = ({ outputs: { loss, ...others } }: { readonly outputs: Readonly<Record<string, number>> }): string =>
  Object.entries({ loss: loss!, ...others })
    .map(([name, x]) => `${name} ${x.toFixed(3)}`)
    .join(", ");

/** Low-rank changes, multiplied by a scale. */
const scaled = (deltas: Readonly<Record<WeightName, LowRankDelta>>, scale: number): Record<WeightName, Delta> =>
  Object.fromEntries(
    Object.entries(deltas).map(
      ([
        name,
        {
          outer: [left, right],
        },
      ]) => [name, { outer: [{ ...left, data: (left.data as Float32Array).map((x) => scale * x) }, right] as const }],
    ),
  );

/** The difference of a weight times a scale; empty if the weight did not change. */
function differenceOf(name: WeightName, before: NdArray, after: NdArray, scale: number): [WeightName, Delta][] {
  const [from, to] = [asFloats(before, before.dtype === "float64" ? "float64" : "float32").data, after.data as Float32Array];
  const change = new Float32Array(to.length); // a loop, because Float32Array.from with a function is fifty times slower
  for (let i = 0; i < change.length; i++) change[i] = scale * (to[i]! - from[i]!);
  return change.every((x) => x === 0) ? [] : [[name, { dense: floats(change, before.shape) }]];
}

/** The rows of a request: the answer to forget and the target; of each target, if it has several. */
type RequestRows = Pick<Unit, "forget" | "target"> & { readonly request: EditRequest };

/** The rows of all requests, and the rows that they are paired with. */
interface Rows {
  readonly forget: readonly RequestRows[];
  readonly others: { readonly retain: readonly LabelledRow[]; readonly refusals: readonly string[] };
  unit(rows: RequestRows, random: Rng): Unit;
}

function rowsOf(who: string, job: UnlearnJob, { roles }: Formula): Rows {
  const { requests, retain = [], compat } = job;
  const [forgets, hasTarget, retains] = (["forget", "target", "retain"] as const).map((role) => roles.includes(role));
  const answered = ({ id, prompt }: EditRequest, answer: string): LabelledRow => asRow(job, id, prompt, answer);
  for (const { id, answer } of forgets ? requests : [])
    if (answer.trim() === "") fail(who, `request ${id} has no answer`, "the answer to forget", "Give its answer.");
  const kept = retains ? retain.map((qa) => asRow(job, qa.id, qa.question, qa.answer)) : [];
  if (retains && kept.length === 0)
    fail(
      who,
      "the retain set is empty",
      "questions whose answers must not change",
      "Give --retain FILE, or omit it to use questions made by the model.",
    );
  const isFresh = hasTarget === true && compat.has("fresh-refusals");
  return {
    forget: requests.flatMap((request) =>
      (hasTarget ? [request.target ?? "", ...(request.others ?? [])] : [""]).map((target) => ({
        request,
        ...(forgets && { forget: answered(request, request.answer) }),
        ...(hasTarget && { target: answered(request, target) }),
      })),
    ),
    others: { retain: kept, refusals: isFresh ? REFUSALS : [] },
    unit: ({ request, ...own }, random) => ({
      ...own,
      ...(isFresh && { target: answered(request, REFUSALS[random.split("refusal").below(REFUSALS.length)]!) }),
      ...(kept.length > 0 && { retain: kept[random.split("retain").below(kept.length)]! }),
    }),
  };
}
