/** Estimates the cost of edits before they are made: times a few evaluations of each search and multiplies. */
import { join } from "node:path";
import { checkAbort, type Context } from "../base/context.ts";
import { fail, LetheError } from "../base/fail.ts";
import { layered } from "../base/kept.ts";
import { discard, isRecord, scratch } from "../base/store.ts";
import type { ForgetRequest } from "../data/request.ts";
import { bytesOf, type Edit } from "../edit/edit.ts";
import { VALUES } from "../locate/batch-values.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { identify, needOf } from "../model/load.ts";
import { availableMemory, type MemoryHave, type MemoryNeed, refuseIfTooLarge } from "../model/memory-estimate.ts";
import type { Model } from "../model/model.ts";
import { paceOf } from "../ask/pace.ts";
import { settled } from "./auto.ts";
import { type Choice, type FindOptions, type Given, methodOf, methodsOf, paramsOf } from "./choice.ts";
import { choose } from "./choose.ts";
import { havingOf } from "./equip.ts";
import { given, type NestedSpec } from "./fields.ts";
import { type ForgetValues, readForgetting } from "./forgetting.ts";
import { checkOfModel } from "./hparams-model.ts";
import type { Chosen } from "./record.ts";
import { newShared } from "./shared.ts";
import { readValues } from "./spec.ts";
import { forgetSpec } from "./specs/forget.ts";
import { findEdit } from "./edit.ts";
import { broughtTo } from "./needed.ts";
import type { Making, Planned } from "./needs/need.ts";
import { open } from "./open.ts";
import { inSteps, type TrainingParams } from "../train/unlearn.ts";
import { trainingFor } from "./training.ts";

/** The estimate for one method. */
export interface MethodPlan {
  readonly method: string;
  /** Seconds before and after the search: context templates, keys, closed forms. */
  readonly around: number;
  /** Seconds to generate answers and a retain set, if they are not given and not in the cache. */
  readonly asking: number;
  /** Seconds of one evaluation of the search over all requests. */
  readonly evaluation: number;
  /** The largest number of evaluations; a search can end earlier. Null: the method has no such parameter. */
  readonly evaluations: number | null;
  /** The largest time in seconds, without the statistics. */
  readonly seconds: number;
  /** The statistics: already in the cache, or the seconds to make them. */
  readonly statistics: Making | null;
  /** Bytes of the edit's numbers. */
  readonly bytes: number;
  /** The options for loading the model. */
  readonly memory: MemoryNeed;
}

export interface Plan {
  readonly requests: number;
  /** The number of requests used for the timing. */
  readonly tried: number;
  readonly available: MemoryHave;
  readonly methods: readonly MethodPlan[];
  /** Methods that cannot do what is asked, and why. */
  readonly unable: readonly { readonly method: string; readonly why: string }[];
  /** How the method was chosen, if the spec left it open; then it is the only one that was timed. */
  readonly chosen?: Chosen;
}

/** Shared by the parts of a plan: an empty folder, and the model's speed, which is measured once. */
interface Lent {
  readonly folder: string;
  readonly ctx: Context;
  readonly pace: () => Promise<number>;
}

/** The number of timed requests if a method takes many. */
const TRIED = 4;
/** The number of timed evaluations. */
const TIMED = 5;

/** Plans one method, or every method that can do what is asked. Nothing is saved, and nothing put into the cache. */
export async function plan(spec: NestedSpec, ctx: Context, { force = false }: { readonly force?: boolean } = {}): Promise<Plan> {
  const read = readValues("forget", forgetSpec.fields, spec);
  for (const [key, value] of Object.entries(read))
    if ([value].flat().some((one) => isRecord(one) && "step" in one))
      fail(
        "plan",
        `the spec of another step in the place of ${key}`,
        "what that step made",
        "Run it first, and give the path of its result.",
      );
  const { values: named, chosen } = await settled("forget", read, { ctx, force, madeBy: () => undefined, shared: newShared() });
  const values = named as ForgetValues;
  const { requests, settings, given: rows, ofModel } = await readForgetting(values, { ctx });
  const find: FindOptions = { ...settings, ...rows, ctx };
  const names = settings.method === undefined ? Object.keys(methodsOf(ctx)) : [methodOf(settings.method, ctx).name];
  const available = availableMemory({ setting: ctx.memory });
  const model = values.model as string;
  const checkpoint = openCheckpoint(await resolveModel(model, ctx));
  const shape = identify(checkpoint, ctx);
  checkOfModel(ofModel, methodOf(settings.method, ctx), shape);
  const memoryOf = (choice: Choice): MemoryNeed => needOf(checkpoint, { purpose: "edit", training: trainingFor(choice, rows) }, shape);
  const { able, unable } = sortedOut(names, requests, find, (choice) =>
    refuseIfTooLarge(choice.method.name, memoryOf(choice), available, force),
  );
  const opened = await open(model, { edits: values.edit as readonly string[], purpose: "edit", force }, ctx);
  const folder = scratch("lethe-plan");
  try {
    let measured: Promise<number> | undefined;
    const lent: Lent = { folder, ctx, pace: () => (measured ??= paceOf(opened.base, ctx)) };
    const methods: MethodPlan[] = [];
    for (const [i, choice] of able.entries()) {
      const { name } = choice.method;
      ctx.log({ kind: "progress", stage: "trying", done: i, total: able.length, unit: "methods", detail: name });
      checkAbort(ctx, "plan");
      methods.push({
        ...(await planMethod(opened.base, choice, { ...find, method: name, upon: opened.edits }, lent)),
        memory: memoryOf(choice),
      });
    }
    ctx.log({ kind: "progress", stage: "trying", done: able.length, total: able.length, unit: "methods" });
    return { requests: requests.length, tried: Math.min(TRIED, requests.length), available, methods, unable, ...(chosen && { chosen }) };
  } finally {
    checkpoint.close();
    await opened.close();
    discard(folder);
  }
}

/** The methods that can make the edit, and the others with the reason. If one method was named, the reason is an error. */
export function sortedOut(
  names: readonly string[],
  requests: readonly ForgetRequest[],
  find: FindOptions,
  check: (choice: Choice) => void = () => {},
): { readonly able: readonly Choice[]; readonly unable: Plan["unable"] } {
  const unable: { method: string; why: string }[] = [];
  const able = names.flatMap((method) => {
    try {
      const choice = choose(requests, { ...find, method }, find);
      check(choice);
      return [choice];
    } catch (error) {
      if (!(error instanceof LetheError) || names.length === 1) throw error;
      unable.push({ method, why: error.message });
      return [];
    }
  });
  return { able, unable };
}

/**
 * Times a short search: the median time of an evaluation, which other processes disturb least, and the time before and after. A training step
 * has a fixed number of requests. For other methods the time grows with the number of requests.
 */
async function planMethod(model: Model, choice: Choice, options: FindOptions, lent: Lent): Promise<Omit<MethodPlan, "memory">> {
  const { folder, ctx } = lent;
  const { method, requests } = choice;
  const isBatch = choice.mode === "batch";
  const params = paramsOf(method, options.params ?? {}, model.config);
  const isStepwise = isBatch && method.rows !== undefined;
  const count = (isStepwise ? Number(params["batch"]) : isBatch ? TRIED : 1) * (options.merge?.size ?? 1);
  const { epochs, ...set } = options.params ?? {};
  const targets = options.say === undefined ? (method.aims?.count(params as never) ?? 1) : 1;
  const units = (isBatch ? choice.edited.length : 1) * targets;
  const planned = method.rows === undefined ? params : inSteps(params as unknown as TrainingParams, units);
  const steps = "steps" in planned && typeof planned.steps === "number" ? planned.steps : null;
  const { tried, given: lentGiven, asking, making: statistics } = await planNeeds(model, choice, count, options, lent);
  const share = isStepwise ? 1 : requests.length / tried.length;
  const own = layered(ctx, join(folder, method.name), [VALUES]); // uses what the cache has, except values: they are searched each time
  const attempt = async (most: number): Promise<{ edit: Edit; seconds: number; between: number[] }> => {
    const began = ctx.now();
    const told: number[] = [];
    const edit = await findEdit(model, tried, {
      ...options,
      ...lentGiven,
      mode: isBatch ? "batch" : "sequential",
      params: { ...set, ...(steps === null ? given({ epochs }) : { steps: most }) },
      ctx: {
        ...own,
        log: (e) => void (e.kind === "progress" && e.total === most && e.done > 0 && told.push(ctx.now())),
      },
    });
    const between = told.slice(1).map((at, i) => (at - told[i]!) / 1000);
    return { edit, seconds: (ctx.now() - began) / 1000, between };
  };
  const evaluated = steps === null ? 1 : TIMED;
  const first = share > 1 && steps !== null ? await attempt(2) : undefined; // work that is done once, such as compiling programs, does not grow
  const { edit, seconds, between } = await attempt(evaluated);
  const evaluation = steps === null ? 0 : share * (between.length > 0 ? median(between) : seconds / evaluated);
  const once = Math.max(0, (first?.seconds ?? 0) - seconds);
  const around = once + Math.max(0, share * seconds - evaluated * evaluation);
  return {
    method: method.name,
    around,
    asking,
    evaluation,
    evaluations: steps,
    seconds: around + asking + (steps ?? 0) * evaluation,
    statistics: (await statistics?.()) ?? null,
    bytes: grown(edit, share),
  };
}

/**
 * The first requests and the method's other needs, as given or from the cache. For a missing text a placeholder is used, and the time to
 * generate the real one is added.
 */
async function planNeeds(
  model: Model,
  choice: Choice,
  count: number,
  options: FindOptions,
  { ctx, folder, pace }: Lent,
): Promise<Required<Pick<Planned, "tried" | "given">> & Pick<Planned, "making"> & { readonly asking: number }> {
  const having = havingOf(model, choice, { ...options, ctx });
  const aside: Context = { ...layered(ctx, folder), log: () => {} };
  let tried: readonly ForgetRequest[] = choice.requests.slice(0, count);
  let given: Given = {};
  let making: Planned["making"];
  let tokens = 0;
  for (const need of broughtTo(choice, paramsOf(choice.method, options.params ?? {}, model.config), options)) {
    const planned = (await need.plan?.({ ...having, tried, aside, pace })) ?? {};
    tried = planned.tried ?? tried;
    given = { ...given, ...planned.given };
    tokens += planned.tokens ?? 0;
    making = planned.making ?? making;
  }
  return { tried, given, ...(making && { making }), asking: tokens > 0 ? tokens * (await pace()) : 0 };
}

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[xs.length >> 1]!;

/** Bytes of an edit with `times` as many requests: outer products and the carried state grow with the requests, full differences do not. */
function grown(edit: Edit, share: number): number {
  const weights = edit.change.kind === "delta" ? edit.change.weights : {};
  const full = Object.fromEntries(Object.entries(weights).filter(([, delta]) => !("outer" in delta)));
  const fixed = bytesOf({ change: { kind: "delta", weights: full } });
  return Math.round(fixed + share * (bytesOf(edit) - fixed));
}
