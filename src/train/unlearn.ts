/** Forgetting by training: rows for each request, a loss over them, and what the weights became as an edit. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { asFloats, floats, type NdArray } from "../base/array.ts";
import type { Context } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { hash } from "../base/hash.ts";
import type { Rng } from "../base/rng.ts";
import type { Declared } from "../base/schema.ts";
import { REFUSALS } from "../data/refusals.ts";
import type { EditRequest, QA } from "../data/request.ts";
import type { Delta, Draft } from "../edit/edit.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model, Precision } from "../model/model.ts";
import type { WeightName } from "../model/names.ts";
import type { Format } from "../model/prompt.ts";
import type { Executor } from "../onnx/program.ts";
import type { LabelledRow } from "./batches.ts";
import { type LowRankDelta, loraOf } from "./lora.ts";
import { type Trained, trainOn } from "./loop.ts";
import { type Formula, objectiveOf, type Unit } from "./parts.ts";
import { DESCENT, type DescentParams, recipeOf } from "./recipe.ts";
import { asRow } from "./tune.ts";

export interface TrainingParams extends DescentParams {
  steps: number;
  cap: number;
}

/** How a loss of unlearning is descended: spread into each method's own parameters. */
export const TRAINING: Declared<TrainingParams, Config> = {
  steps: { default: 100, doc: "updates", source: "PISTOL trainer.py: 20 epochs of 20 rows", min: 1 },
  ...DESCENT,
  batch: { ...DESCENT.batch, doc: "requests a step" },
  cap: {
    default: 0,
    doc: "stop when the forget rows' loss a token is above this (nats); 0: where a guess among all words would be",
    source: "docs/methods/ga.md",
    min: 0,
  },
};

export interface TermsParams {
  gamma: number;
  alpha: number;
}

/** Weights of a loss's two terms. */
export const TERMS: Declared<TermsParams, Config> = {
  gamma: { default: 1, doc: "weight γ of the term that forgets", source: "OpenUnlearning configs/trainer", min: 0 },
  alpha: { default: 1, doc: "weight α of the term that holds what stays", source: "OpenUnlearning configs/trainer", min: 0 },
};

export interface BetaParam {
  beta: number;
}

/** Of losses that compare with a reference. */
export const BETA: Declared<BetaParam, Config> = {
  beta: { default: 0.1, doc: "how soon a change in log-probability is enough", source: "OpenUnlearning configs/trainer", min: 0 },
};

/** Quirks that the references' trainings share. */
export const TRAINING_COMPAT = {
  "no-cap": "go on however far the forget rows' loss has risen",
  "still-pad": "let no gradient reach the pad's embedding through the words that are read (transformers' padding_idx)",
} as const;
/** What every reference has of those. */
export const HUGGING_FACE = ["no-cap", "still-pad"] as const;
/** Of methods that teach another answer. */
export const TARGET_COMPAT = {
  "fresh-refusals": "teach another of the hundred refusals each time a row is taken, in place of the target",
} as const;

/** What training reads of a job. */
export interface UnlearnJob<P> {
  readonly model: Model;
  readonly requests: readonly EditRequest[];
  readonly retain: readonly QA[];
  /** What losses compare with; by default the model before training. */
  readonly reference?: Model;
  readonly params: P & TrainingParams;
  readonly compat: ReadonlySet<string>;
  readonly format: Format;
  readonly system?: string;
  readonly seed: number;
  readonly running: { readonly dtype: Precision; readonly executor: Executor };
  readonly ctx: Context;
}

/** Checkpoints of a run that may be killed: their number is small, since each holds weights and moments. */
const EVERY = 50;

/** Descends a formula's loss over the requests' rows; a run that was stopped goes on from its last checkpoint in the cache. */
export async function unlearn<P>(
  who: string,
  job: UnlearnJob<P>,
  formula: Formula,
  { scale = 1 }: { readonly scale?: number } = {},
): Promise<Draft> {
  const { model, requests, params, compat, seed, running, ctx } = job;
  const rows = rowsOf(who, job, formula);
  const objective = objectiveOf({ ...formula, ...(compat.has("still-pad") && { like: { stillPad: true } }) });
  const recipe = recipeOf(who, model, params, { seed, running });
  const cap = params.cap > 0 ? params.cap : Math.log(model.config.vocab);
  const changes = [...model.changed].sort().map((name) => hash(name, model.weights.get(name)!));
  const about = [recipe, objective.name, rows, model.id, changes, job.reference?.id ?? null];
  const folder = join(ctx.cache, "training", hash(who, ...about).slice(0, 32));
  const events = trainOn(model, rows.forget, recipe, ctx, {
    objective,
    draw: (row, random) => rows.unit(row, random),
    drawnFrom: rows.others,
    ...(job.reference && { reference: job.reference }),
    folder,
    every: EVERY,
    stop: ({ outputs: seen }) =>
      !compat.has("no-cap") && (seen["forget"] ?? 0) > cap
        ? `the forget rows' loss is ${seen["forget"]!.toFixed(2)} nats a token, above ${cap.toFixed(2)}`
        : undefined,
  });
  const seen = await followed(who, events, model, ctx);
  const weights = recipe.lora
    ? scaled(loraOf(model, recipe.lora).deltas(seen.trained.numbers), scale)
    : Object.fromEntries([...seen.trained.weights].flatMap(([name, after]) => differenceOf(name, model.weights.get(name)!, after, scale)));
  if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
  return {
    change: { kind: "delta", weights },
    evidence: {
      requests: requests.length,
      retain: job.retain.length,
      steps: seen.trained.losses.length,
      losses: seen.trained.losses.map((x) => Number(x.toPrecision(6))),
      trained: seen.trained.numbers.size,
      last: seen.last,
      ...(seen.stopped !== undefined && { stopped: seen.stopped }),
    },
  };
}

type Events = ReturnType<typeof trainOn>;

interface Followed {
  readonly trained: Trained;
  readonly last: Readonly<Record<string, number>>;
  readonly stopped?: string;
}

/** Runs to the end, as progress, and lets the sessions go: a pass's arena holds gigabytes. */
async function followed(who: string, events: Events, { sessions }: Model, ctx: Context): Promise<Followed> {
  try {
    return await toTheEnd(who, events, ctx);
  } finally {
    await sessions.release();
  }
}

async function toTheEnd(who: string, events: Events, ctx: Context): Promise<Followed> {
  let last: Readonly<Record<string, number>> = {};
  let stopped: string | undefined;
  for (;;) {
    const { value: event, done } = await events.next();
    if (done) return { trained: event, last, ...(stopped !== undefined && { stopped }) };
    if (event.kind === "resumed") ctx.log({ kind: "note", who, text: `going on after step ${event.step}` });
    if (event.kind === "stopped") {
      stopped = event.reason;
      ctx.log({ kind: "warning", who, text: `stopped after step ${event.step}: ${event.reason}` });
    }
    if (event.kind !== "step") continue;
    last = event.outputs;
    const others = Object.entries(last).filter(([name]) => name !== "loss");
    ctx.log({
      kind: "progress",
      stage: "training",
      done: event.step,
      total: event.steps,
      unit: "steps",
      detail: [`loss ${event.loss.toFixed(3)}`, ...others.map(([name, x]) => `${name} ${x.toFixed(3)}`)].join(", "),
    });
  }
}

/** Low-rank changes, so many times. */
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

/** What a weight became, as so many times its difference; nothing where it did not move. */
function differenceOf(name: WeightName, before: NdArray, after: NdArray, scale: number): [WeightName, Delta][] {
  const from = asFloats(before, "float64").data as Float64Array;
  const change = Float32Array.from(after.data as Float32Array, (x, i) => scale * (x - from[i]!));
  return change.every((x) => x === 0) ? [] : [[name, { dense: floats(change, before.shape) }]];
}

/** A request's rows, and what they are paired with. */
interface Rows {
  readonly forget: readonly (LabelledRow & { readonly target?: LabelledRow })[];
  readonly others: { readonly retain: readonly LabelledRow[]; readonly refusals: readonly string[] };
  unit(row: Rows["forget"][number], random: Rng): Unit;
}

function rowsOf<P>(who: string, job: UnlearnJob<P>, { roles }: Formula): Rows {
  const { requests, retain, compat } = job;
  const rowOf = (id: string, question: string, answer: string): LabelledRow => asRow(job, id, question, answer);
  const hasTarget = roles.includes("target");
  const forget = requests.map((request) => {
    const forgets = roles.includes("forget");
    if (forgets && request.answer.trim() === "")
      fail(who, `request ${request.id} has no answer`, "what the model shall forget to say", "Give its answer.");
    const own = rowOf(request.id, request.prompt, forgets ? request.answer : (request.target ?? ""));
    return hasTarget ? { ...own, target: rowOf(request.id, request.prompt, request.target ?? "") } : own;
  });
  const kept = roles.includes("retain") ? retain.map((qa) => rowOf(qa.id, qa.question, qa.answer)) : [];
  if (roles.includes("retain") && kept.length === 0)
    fail(who, "an empty retain set", "questions whose answers must stay", "Give --retain FILE, or none for the model's own.");
  const prompts = new Map(requests.map((r) => [r.id, r.prompt]));
  const isFresh = hasTarget && compat.has("fresh-refusals");
  return {
    forget,
    others: { retain: kept, refusals: isFresh ? REFUSALS : [] },
    unit: (row, random) => ({
      forget: row,
      ...(kept.length > 0 && { retain: kept[random.split("retain").below(kept.length)]! }),
      ...(hasTarget && {
        target: isFresh ? rowOf(row.id, prompts.get(row.id)!, REFUSALS[random.split("refusal").below(REFUSALS.length)]!) : row.target!,
      }),
    }),
  };
}
