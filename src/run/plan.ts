/** What edits will cost, told before they are sought: a few evaluations of each search are timed here, and the rest is multiplied. */
import { join } from "node:path";
import { checkAbort, type Context } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import { ifKept, layered } from "../base/kept.ts";
import { discard, scratch } from "../base/store.ts";
import type { ForgetRequest, QA } from "../data/request.ts";
import { bytesOf, type Edit } from "../edit/edit.ts";
import { secondMoments, type Statistics, statisticsOf, type StatisticsSpec } from "../locate/covariance.ts";
import { QUESTION } from "../locate/samples.ts";
import { VALUES } from "../locate/spread.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../hub/hub.ts";
import { identify, needOf } from "../model/load.ts";
import { availableMemory, type MemoryHave, type MemoryNeed, refuseIfTooLarge } from "../model/memory-estimate.ts";
import type { Model } from "../model/model.ts";
import { atLayer, type Site } from "../model/names.ts";
import { formatOf } from "../model/prompt.ts";
import { type Matrix, matrix } from "../onnx/linalg.ts";
import { LONGEST, withAnswers } from "../ask/kept.ts";
import { paceOf } from "../ask/pace.ts";
import { OWN_TOKENS, ownRetain } from "./own-retain.ts";
import { type Choice, choose, type FindOptions, methodOf, methodsOf, paramsOf } from "./choice.ts";
import { DEFAULT_STATISTICS, needsOf } from "./equip.ts";
import type { NestedSpec } from "./fields.ts";
import { readForgetting } from "./forgetting.ts";
import { readValues } from "./spec.ts";
import { forgetSpec } from "./specs/forget.ts";
import { findEdit } from "./edit.ts";
import { open } from "./open.ts";
import { trainingFor } from "./training.ts";

/** One method's edit, foretold. */
export interface MethodPlan {
  readonly method: string;
  /** Seconds before and after the search: templates, keys, closed forms. */
  readonly around: number;
  /** Seconds to ask the model for answers and for what is to stay, where nobody gave them and the cache does not have them. */
  readonly asking: number;
  /** Seconds of one evaluation of the search over all requests. */
  readonly evaluation: number;
  /** Evaluations at most; a search ends earlier where it is good enough. Null: the method has no such parameter. */
  readonly evaluations: number | null;
  /** Seconds of everything but the statistics, at most. */
  readonly seconds: number;
  /** What it asks of the statistics: kept already, or seconds to make them. */
  readonly statistics: { readonly layers: readonly number[]; readonly isKept: boolean; readonly seconds: number } | null;
  /** Bytes of the edit's numbers. */
  readonly bytes: number;
  /** What loading the model for it goes by. */
  readonly memory: MemoryNeed;
}

export interface Plan {
  readonly requests: number;
  /** Requests that were tried for the timing. */
  readonly tried: number;
  readonly available: MemoryHave;
  readonly methods: readonly MethodPlan[];
  /** Methods that cannot do what is asked, and why. */
  readonly unable: readonly { readonly method: string; readonly why: string }[];
}

/** What a plan's parts share: an empty folder, and the model's pace once it is measured. */
interface Lent {
  readonly folder: string;
  readonly ctx: Context;
  pace?: Promise<number>;
}

/** Requests that are tried where a method takes many. */
const TRIED = 4;
/** Evaluations of the search that is timed. */
const TIMED = 5;

/** Plans one method, or every method that can do what is asked. Nothing is saved, and nothing put into the cache. */
export async function plan(spec: NestedSpec, ctx: Context, { force = false }: { readonly force?: boolean } = {}): Promise<Plan> {
  const values = readValues("forget", forgetSpec.fields, spec);
  const { requests, settings, given } = await readForgetting(values, { ctx });
  const find: FindOptions = { ...settings, ...given, ctx };
  const names = settings.method === undefined ? Object.keys(methodsOf(ctx)) : [methodOf(settings.method, ctx).name];
  const available = availableMemory({ setting: ctx.memory });
  const model = values.model as string;
  const checkpoint = openCheckpoint(await resolveModel(model, ctx));
  const shape = identify(checkpoint, ctx);
  const memoryOf = (choice: Choice): MemoryNeed => needOf(checkpoint, { purpose: "edit", training: trainingFor(choice, given) }, shape);
  const { able, unable } = sortedOut(names, requests, find, (choice) =>
    refuseIfTooLarge(choice.method.name, memoryOf(choice), available, force),
  );
  const opened = await open(model, { edits: values.edit as readonly string[], purpose: "edit", force }, ctx);
  const folder = scratch("lethe-plan");
  try {
    const lent: Lent = { folder, ctx };
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
    return { requests: requests.length, tried: Math.min(TRIED, requests.length), available, methods, unable };
  } finally {
    checkpoint.close();
    await opened.close();
    discard(folder);
  }
}

/** Methods that can do what is asked, and those that cannot with the reason; fails with it where only one is wanted. */
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
 * A short search, timed: the median between its evaluations, which others on the machine disturb least, and what stands around them. A
 * training takes a step's requests at a time, however many there are; of anything else the time grows with the requests.
 */
async function planMethod(model: Model, choice: Choice, options: FindOptions, lent: Lent): Promise<Omit<MethodPlan, "memory">> {
  const { folder, ctx } = lent;
  const { method, requests } = choice;
  const isBatch = choice.mode === "batch";
  const params = paramsOf(method, options.params ?? {}, model.config);
  const isStepwise = isBatch && method.rows !== undefined;
  const count = (isStepwise ? Number(params["batch"]) : isBatch ? TRIED : 1) * (options.merge?.size ?? 1);
  const steps = typeof params["steps"] === "number" ? params["steps"] : null;
  const moments = standIns(model);
  const { tried, retain, asking } = await planAsked(model, choice, count, options, lent);
  const share = isStepwise ? 1 : requests.length / tried.length;
  const own = layered(ctx, join(folder, method.name), [VALUES]); // finds what a run would find, but values are sought each time
  const attempt = async (most: number): Promise<{ edit: Edit; seconds: number; between: number[] }> => {
    const began = ctx.now();
    const told: number[] = [];
    const edit = await findEdit(model, tried, {
      ...options,
      ...(retain && { retain }),
      mode: isBatch ? "batch" : "sequential",
      params: { ...options.params, ...(steps !== null && { steps: most }) },
      moments,
      ctx: {
        ...own,
        log: (e) => void (e.kind === "progress" && e.total === most && e.done > 0 && told.push(ctx.now())),
      },
    });
    const between = told.slice(1).map((at, i) => (at - told[i]!) / 1000);
    return { edit, seconds: (ctx.now() - began) / 1000, between };
  };
  const evaluated = steps === null ? 1 : TIMED;
  const first = share > 1 && steps !== null ? await attempt(2) : undefined; // what is made once, such as programs, does not grow
  const { edit, seconds, between } = await attempt(evaluated);
  const evaluation = steps === null ? 0 : share * (between.length > 0 ? median(between) : seconds / evaluated);
  const making = Math.max(0, (first?.seconds ?? 0) - seconds);
  const around = making + Math.max(0, share * seconds - evaluated * evaluation);
  return {
    method: method.name,
    around,
    asking,
    evaluation,
    evaluations: steps,
    seconds: around + asking + (steps ?? 0) * evaluation,
    statistics: method.needs.includes("statistics")
      ? await planStatistics(model, { ...DEFAULT_STATISTICS, ...options.statistics }, moments, lent)
      : null,
    bytes: grown(edit, share),
  };
}

/**
 * The first requests with their answers, and what is to stay: as they are given, or kept in the cache. Where they are neither, the seconds
 * to ask the model for all of it, the answers of the first alone, and stand-ins that are no shorter than what would stay.
 */
async function planAsked(
  model: Model,
  { requests, method, compat }: Choice,
  count: number,
  options: FindOptions,
  lent: Lent,
): Promise<{ readonly tried: readonly ForgetRequest[]; readonly retain: readonly QA[] | undefined; readonly asking: number }> {
  const { ctx, folder } = lent;
  const needs = needsOf(method, paramsOf(method, options.params ?? {}, model.config), compat);
  const ask = { format: formatOf(model, options), ...(options.system !== undefined && { system: options.system }) };
  const tried = requests.slice(0, count);
  const answered = needs.has("answer") ? await ifKept(ctx, (kept) => withAnswers(model, requests, ask, kept)) : requests;
  const asksOwn = needs.has("retain") && !options.retain;
  const own = asksOwn ? await ifKept(ctx, (kept) => ownRetain(model, requests, ask, options.seed ?? 0, kept)) : options.retain;
  const open = answered ? 0 : requests.filter((r) => r.answer.trim() === "").length;
  const tokens = open * (QUESTION + LONGEST) + (asksOwn && !own ? OWN_TOKENS : 0);
  return {
    tried: answered ? answered.slice(0, count) : await withAnswers(model, tried, ask, { ...layered(ctx, folder), log: () => {} }),
    retain: own || !asksOwn ? own : tried.map(({ id, prompt }) => ({ id, question: prompt, answer: "the ".repeat(LONGEST).trim() })),
    asking: tokens > 0 ? tokens * (await (lent.pace ??= paceOf(model, ctx))) : 0,
  };
}

/** Whether the second moments that were asked for are in the cache, and if not, how long making them takes. */
async function planStatistics(model: Model, spec: StatisticsSpec, { asked }: StandIns, lent: Lent): Promise<MethodPlan["statistics"]> {
  const { ctx } = lent;
  const layers = [...asked.values()].map((a) => a.layer);
  const site = [...asked.values()][0]?.site ?? model.arch.memory.key;
  const isKept = await ifKept(ctx, async (kept) => {
    await statisticsOf(model, spec, kept).prepare(layers, site);
    return true;
  });
  if (isKept) return { layers, isKept, seconds: 0 };
  const time = async (size: number): Promise<number> => {
    const row = { ids: Array.from({ length: size }, (_, j) => (7 * j) % model.tokenizer.size), from: 0 };
    const began = ctx.now();
    await secondMoments(model, [row], layers, site, { dtype: "float32", executor: "graph", ctx: { ...ctx, log: () => {} } });
    return (ctx.now() - began) / 1000;
  };
  const size = Math.min(spec.length, 512, model.config.context);
  const [making, passing] = [await time(8), await time(size)]; // the first makes the program
  const sampling = spec.text === "self" ? spec.tokens * (await (lent.pace ??= paceOf(model, ctx))) : 0;
  return { layers, isKept: false, seconds: sampling + making + (passing * spec.tokens) / size };
}

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[xs.length >> 1]!;

/** Bytes of an edit of so many times the requests: outer products and what is remembered grow with them, full differences do not. */
function grown(edit: Edit, share: number): number {
  const weights = edit.change.kind === "delta" ? edit.change.weights : {};
  const full = Object.fromEntries(Object.entries(weights).filter(([, delta]) => !("outer" in delta)));
  const fixed = bytesOf({ change: { kind: "delta", weights: full } });
  return Math.round(fixed + share * (bytesOf(edit) - fixed));
}

interface StandIns extends Statistics {
  readonly asked: Map<string, { layer: number; site: Site }>;
}

/** Second moments that cost nothing and can be solved with, and a note of which are asked for. */
function standIns(model: Model): StandIns {
  const asked: StandIns["asked"] = new Map();
  const note = (layer: number, site: Site): void => void asked.set(`${layer}.${site}`, { layer, site });
  return {
    asked,
    spec: DEFAULT_STATISTICS,
    prepare: async (layers, site) => layers.forEach((layer) => note(layer, site)),
    secondMoment: async (layer, site) => {
      note(layer, site);
      const width = model.weights.get(atLayer(model.arch.memory.weight, layer))!.shape[1]!;
      const c: Matrix = matrix(width, width);
      c.data.fill(0.1 / width); // so that no eigenvalue stands on the diagonal, where a threshold may be
      for (let i = 0; i < width; i++) c.data[i * width + i]! += (i + 1) / width;
      return c;
    },
  };
}
