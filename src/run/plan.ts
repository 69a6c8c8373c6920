/** What edits will cost, told before they are sought: a few evaluations of each search are timed here, and the rest is multiplied. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAbort, type Context, type Event } from "../base/context.ts";
import { LetheError } from "../base/fail.ts";
import type { ForgetRequest } from "../data/request.ts";
import { bytesOf, type Edit } from "../edit/edit.ts";
import { secondMoments, type Statistics, statisticsOf, type StatisticsSpec, tokenRows } from "../locate/covariance.ts";
import { registry } from "../methods/registry.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { resolveModel } from "../model/hub.ts";
import { needOf } from "../model/load.ts";
import { availableMemory, type MemoryHave, type MemoryNeed, refuseIfTooLarge } from "../model/memory.ts";
import type { Model } from "../model/model.ts";
import { atLayer, type Site } from "../model/names.ts";
import { type Matrix, matrix } from "../onnx/linalg.ts";
import { DEFAULT_STATISTICS, findEdit, type FindOptions, methodOf, paramsOf, planOf, trainingFor } from "./edit.ts";
import { type ForgetOptions, type Wanted, wantedOf } from "./forget.ts";
import { open } from "./open.ts";

/** One method's edit, foretold. */
export interface MethodPlan {
  readonly method: string;
  /** Seconds before and after the search: templates, keys, closed forms. */
  readonly around: number;
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

/** What a plan's parts share: an empty folder, and the time of sampling once it is measured. */
interface Lent {
  readonly folder: string;
  readonly ctx: Context;
  sampling?: Promise<number>;
}

/** Requests that are tried where a method takes many. */
const TRIED = 4;
/** Evaluations of the search that is timed. */
const TIMED = 7;
/** Milliseconds for which the making of statistics is tried. */
const PROBE = 8_000;

/** Plans one method, or every method that can do what is asked. Nothing is saved, and nothing put into the cache. */
export async function plan(
  spec: string,
  wanted: Wanted,
  { edits = [], force = false, reference: _, ...options }: Omit<ForgetOptions, "out" | "tokens">,
  ctx: Context,
): Promise<Plan> {
  const { requests, find } = wantedOf(wanted, options, ctx);
  const names = options.method === undefined ? Object.keys(registry) : [methodOf(options.method).name];
  const available = availableMemory({ setting: ctx.memory });
  const checkpoint = openCheckpoint(await resolveModel(spec, ctx));
  const memoryOf = (method: string): MemoryNeed =>
    needOf(checkpoint, { purpose: "edit", training: trainingFor(requests, { ...find, method }) });
  const { able, unable } = sortedOut(names, requests, find, (method) => refuseIfTooLarge(method, memoryOf(method), available, force));
  const opened = await open(spec, { edits, purpose: "edit", force }, ctx);
  const folder = mkdtempSync(join(tmpdir(), "lethe-plan-"));
  try {
    const lent: Lent = { folder, ctx };
    const methods: MethodPlan[] = [];
    for (const [i, method] of able.entries()) {
      ctx.log({ kind: "progress", stage: "trying", done: i, total: able.length, unit: "methods", detail: method });
      checkAbort(ctx, "plan");
      methods.push({
        ...(await planMethod(opened.base, requests, { ...find, method, upon: opened.edits }, lent)),
        memory: memoryOf(method),
      });
    }
    ctx.log({ kind: "progress", stage: "trying", done: able.length, total: able.length, unit: "methods" });
    return { requests: requests.length, tried: Math.min(TRIED, requests.length), available, methods, unable };
  } finally {
    checkpoint.close();
    await opened.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Methods that can do what is asked, and those that cannot with the reason; fails with it where only one is wanted. */
export function sortedOut(
  names: readonly string[],
  requests: readonly ForgetRequest[],
  find: FindOptions,
  check: (method: string) => void = () => {},
): { readonly able: readonly string[]; readonly unable: Plan["unable"] } {
  const unable: { method: string; why: string }[] = [];
  const able = names.filter((method) => {
    try {
      planOf(requests, { ...find, method });
      check(method);
      return true;
    } catch (error) {
      if (!(error instanceof LetheError) || names.length === 1) throw error;
      unable.push({ method, why: error.message });
      return false;
    }
  });
  return { able, unable };
}

/** A short search, timed: the median between its evaluations, which others on the machine disturb least, and what stands around them. */
async function planMethod(
  model: Model,
  requests: readonly ForgetRequest[],
  options: FindOptions,
  lent: Lent,
): Promise<Omit<MethodPlan, "memory">> {
  const { folder, ctx } = lent;
  const method = methodOf(options.method);
  const isBatch = (options.mode ?? (method.takes === "many" ? "batch" : "sequential")) === "batch";
  const tried = requests.slice(0, isBatch ? TRIED : 1);
  const params = paramsOf(method, options.params ?? {}, model.config);
  const steps = typeof params["steps"] === "number" ? params["steps"] : null;
  const moments = standIns(model);
  const attempt = async (count: number): Promise<{ edit: Edit; seconds: number; between: number[] }> => {
    const began = ctx.now();
    const told: number[] = [];
    const edit = await findEdit(model, tried, {
      ...options,
      mode: isBatch ? "batch" : "sequential",
      params: { ...options.params, ...(steps !== null && { steps: count }) },
      moments,
      ctx: {
        ...ctx,
        cache: join(folder, method.name), // empty at first: samples are made once, and values are sought each time
        log: (e) => void (e.kind === "progress" && e.total === count && e.done > 0 && told.push(ctx.now())),
      },
    });
    const between = told.slice(1).map((at, i) => (at - told[i]!) / 1000);
    return { edit, seconds: (ctx.now() - began) / 1000, between };
  };
  const first = await attempt(steps === null ? 1 : 2); // makes the programs
  const { edit, seconds, between } = steps === null ? first : await attempt(TIMED);
  const share = requests.length / tried.length;
  const evaluation = steps === null ? 0 : share * (between.length > 0 ? median(between) : seconds / TIMED);
  const making = Math.max(0, first.seconds - seconds);
  const around = making + Math.max(0, share * seconds - TIMED * evaluation);
  return {
    method: method.name,
    around,
    evaluation,
    evaluations: steps,
    seconds: around + (steps ?? 0) * evaluation,
    statistics: method.needs.includes("statistics")
      ? await planStatistics(model, { ...DEFAULT_STATISTICS, ...options.statistics }, moments, lent)
      : null,
    bytes: grown(edit, share),
  };
}

/** Whether the second moments that were asked for are in the cache, and if not, how long making them takes. */
async function planStatistics(model: Model, spec: StatisticsSpec, { asked }: StandIns, lent: Lent): Promise<MethodPlan["statistics"]> {
  const { ctx } = lent;
  const layers = [...asked.values()].map((a) => a.layer);
  const site = [...asked.values()][0]?.site ?? model.arch.memory.key;
  const none = new AbortController();
  none.abort(); // what is kept is found without work; anything else ends at once
  const isKept = await unlessAborted(statisticsOf(model, spec, { ...ctx, signal: none.signal, log: () => {} }).prepare(layers, site));
  if (isKept) return { layers, isKept, seconds: 0 };
  lent.sampling ??= samplingTime(model, spec, lent);
  const size = Math.min(spec.length, 512, model.config.context);
  const rows = [0, 1].map((i) => ({ ids: Array.from({ length: size }, (_, j) => (i + 7 * j) % model.tokenizer.size), from: 0 }));
  const time = async (): Promise<number> => {
    const began = ctx.now();
    await secondMoments(model, rows, layers, site, { dtype: "float32", executor: "graph", ctx: { ...ctx, log: () => {} } });
    return (ctx.now() - began) / 1000;
  };
  const [first, second] = [await time(), await time()]; // the first makes the program
  const making = Math.max(0, first - second);
  return { layers, isKept, seconds: (await lent.sampling) + making + (second * spec.tokens) / (2 * size) };
}

/** Seconds in which the text of the statistics is there: some of it is sampled here, and the rest is to go as fast. */
async function samplingTime(model: Model, spec: StatisticsSpec, { folder, ctx }: Lent): Promise<number> {
  const stop = new AbortController();
  const seen: { at: number; done: number; total: number }[] = [];
  const log = (event: Event): void => {
    if (event.kind !== "progress") return;
    const { done, total } = event;
    seen.push({ at: ctx.now(), done, total });
    if (seen.length > 2 && seen.at(-1)!.at - seen[0]!.at > PROBE) stop.abort();
    if (ctx.signal.aborted) stop.abort();
  };
  const began = ctx.now();
  const isDone = await unlessAborted(tokenRows(model, spec, { ...ctx, cache: join(folder, "samples"), signal: stop.signal, log }));
  checkAbort(ctx, "plan");
  if (isDone) return (ctx.now() - began) / 1000;
  const [first, second, last] = [seen[0]!, seen[1]!, seen.at(-1)!]; // the first tokens wait for the program
  const rate = (last.done - second.done) / (last.at - second.at);
  return (second.at - first.at + (last.total - second.done) / rate) / 1000;
}

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[xs.length >> 1]!;

/** Whether some work came to its end: false where it was stopped. */
const unlessAborted = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    (error: unknown) => {
      if (error instanceof LetheError && error.trouble === "aborted") return false;
      throw error;
    },
  );

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
