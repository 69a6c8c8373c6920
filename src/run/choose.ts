/** Everything about edits that is chosen before one is found: method, target, parameters, quirks, and what the method is given beside the requests. */
import { type Context, defaultContext } from "../base/context.ts";
import { fail, nearest } from "../base/fail.ts";
import { resolveParams } from "../base/schema.ts";
import type { EditRequest, ForgetRequest, QA } from "../data/request.ts";
import type { Edit } from "../edit/edit.ts";
import { type Statistics, statisticsOf, type StatisticsSpec } from "../locate/covariance.ts";
import type { Running } from "../onnx/program.ts";
import { type AnyMethod, type Need, setsOf } from "../methods/method.ts";
import { registry as methods } from "../methods/registry.ts";
import type { Config } from "../model/arch/arch.ts";
import { chosenEncoder } from "../model/encoders.ts";
import type { Encoder } from "../text/encoder.ts";
import type { Model } from "../model/model.ts";
import { type Format, formatOf } from "../model/prompt.ts";
import { occurrencesOf } from "../text/spans.ts";
import { checkMerged, leadsOf, type Merge, mergeRequests } from "../targets/merge.ts";
import { registry as targets } from "../targets/registry.ts";
import { aim, type Target } from "../targets/target.ts";
import { ownRetain, saidOf, withAnswers } from "./answers.ts";
import { tuned } from "./tuned.ts";

/** How many requests become edits: each alone, all at once, or each upon those before it, folded into one. */
export type Mode = "single" | "batch" | "sequential";
export const MODES: readonly Mode[] = ["single", "batch", "sequential"];

export type { Merge, MergedSubject } from "../targets/merge.ts";

export interface FindOptions {
  /** A method's id; by default the one that docs/methods recommends. */
  readonly method?: string;
  /** One edit a request, all in one, or one after the other; by default all in one where the method can. */
  readonly mode?: Mode;
  /** A target's id: what to say instead. */
  readonly target?: string;
  /** Put several questions into one request, which gets one target. */
  readonly merge?: Merge;
  /** The words to say instead, for every request; in place of a target. */
  readonly say?: string;
  /** Parameters by name; text is read as the parameter's type. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Quirks of the reference to reproduce, by name. */
  readonly compat?: readonly string[];
  readonly seed?: number;
  readonly format?: Format;
  readonly system?: string;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  readonly retain?: readonly QA[];
  /** Other facts as examples for methods that show some: what is said of each is its answer. */
  readonly demonstrations?: readonly ForgetRequest[];
  /** A model to compare with, for losses that do, in place of the one that training begins from; of the same architecture and words. */
  readonly reference?: Model;
  /** The folder that finetuning with its journal left, for methods that go back to it. */
  readonly training?: string;
  /** The folder or hub id of an ONNX sentence encoder; by default the context's (LETHE_ENCODER), else the model's own hidden states. */
  readonly encoder?: string;
  /** What second moments are taken over. */
  readonly statistics?: Partial<StatisticsSpec>;
  /** Second moments in place of those: a plan's stand-ins. */
  readonly moments?: Statistics;
  /** Edits under the new ones. */
  readonly upon?: readonly Edit[];
  readonly running?: Partial<Running>;
  /** A folder of its own that keeps finished requests until the last is done; a run that finds it goes on from there. */
  readonly journal?: string;
  readonly ctx?: Context;
}

const METHODS = methods as unknown as Readonly<Record<string, AnyMethod>>;
const TARGETS = targets as Readonly<Record<string, Target>>;

export const DEFAULT_STATISTICS: StatisticsSpec = { text: "self", tokens: 16_384, length: 512, seed: 0 };

/** A method by its id; fails with the nearest. */
export const methodOf = (name: string = tuned.method): AnyMethod => pick("method", METHODS, name);

function pick<T>(what: string, from: Readonly<Record<string, T>>, name: string): T {
  const near = nearest(name, Object.keys(from));
  return (
    (Object.hasOwn(from, name) ? from[name] : undefined) ??
    fail(what, `"${name}"`, `one of ${Object.keys(from).join(", ")}`, near ? `Did you mean "${near}"?` : "")
  );
}

/** Requests as they are edited: put together where that is asked for. */
export const mergedFor = (requests: readonly ForgetRequest[], { merge }: Pick<FindOptions, "merge">): readonly ForgetRequest[] =>
  merge === undefined ? requests : mergeRequests(requests, merge);

/** Everything about a request to forget that can be checked without a model. */
export function planOf(
  known: readonly ForgetRequest[],
  options: FindOptions,
): { method: AnyMethod; target: Target | undefined; compat: ReadonlySet<string> } {
  const method = methodOf(options.method);
  const requests = mergedFor(known, options);
  if (options.say !== undefined && options.target !== undefined)
    fail("forget", "both a target and words to say", "one of them", "Leave out --target or --say.");
  if (options.say !== undefined && options.say.trim() === "") fail("forget", "an empty target", "words to say instead", "Give --say TEXT.");
  const needs = new Set<Need>(method.needs);
  const target = needs.has("target") && options.say === undefined ? pick("target", TARGETS, options.target ?? tuned.target) : undefined;
  if (requests.length === 0) fail("forget", "no request", "at least one", "Give --prompt and --subject, or --data FILE.");
  if (needs.has("subject"))
    for (const r of requests) {
      checkMerged(r);
      if (r.subject.trim() === "" || !r.prompt.includes(r.subject)) {
        const free = Object.values(METHODS)
          .filter((m) => !m.needs.includes("subject"))
          .map((m) => m.name);
        fail(
          method.name,
          r.subject.trim() === "" ? `request ${r.id} has no subject` : `subject "${r.subject}" is not in prompt "${r.prompt}" (${r.id})`,
          "the words of the prompt that the fact is about",
          `Quote it as the prompt spells it${free.length ? `, or use a method that needs no subject: ${free.join(", ")}` : ""}.`,
        );
      }
    }
  if (needs.has("retain") && !method.spares && options.retain?.length === 0)
    fail(
      method.name,
      "an empty retain set",
      "questions whose answers must stay",
      "Give --retain FILE, or leave it out: the model asks its own.",
    );
  if (needs.has("training") && options.training === undefined)
    fail(method.name, "no training to go back to", "the folder that finetuning with --keep left", "Give --training FOLDER.");
  if (needs.has("demonstrations") && !options.demonstrations?.length)
    fail(method.name, "no demonstrations", "other facts as examples", "Give --demonstrations FILE.");
  if (options.encoder?.trim() === "") fail("forget", "an empty encoder", "a folder or a hub id", "Leave out --encoder, or name one.");
  if (options.mode === "batch" && method.takes === "one" && requests.length > 1) {
    const many = Object.values(METHODS).filter((m) => m.takes === "many");
    fail(
      method.name,
      `a batch of ${requests.length} requests`,
      "one request at a time",
      `Use --mode sequential, or ${many.map((m) => m.name).join(" or ")}.`,
    );
  }
  const sets = setsOf(method);
  const compat = new Set((options.compat ?? []).flatMap((name) => (Object.hasOwn(sets, name) ? sets[name]! : [name])));
  for (const name of compat) if (!Object.hasOwn(method.compat, name)) pick(`compat of ${method.name}`, { ...method.compat, ...sets }, name);
  return { method, target, compat };
}

/** Everything that edits are found with. */
export interface Chosen {
  readonly model: Model;
  readonly method: AnyMethod;
  readonly params: Readonly<Record<string, unknown>>;
  readonly compat: ReadonlySet<string>;
  readonly format: Format;
  readonly seed: number;
  readonly spec: StatisticsSpec;
  readonly upon: readonly Edit[];
  /** The requests with their targets. */
  readonly aimed: readonly EditRequest[];
  readonly retain: readonly QA[];
  readonly demonstrations: readonly EditRequest[];
  readonly encoder?: Encoder;
  readonly statistics?: Statistics;
  readonly options: FindOptions;
  readonly ctx: Context;
}

/** What a method needs at these parameters and quirks. */
export function needsOf(method: AnyMethod, params: Readonly<Record<string, unknown>>, compat: ReadonlySet<string>): ReadonlySet<Need> {
  const spared = method.spares?.(params as never, compat) ?? [];
  return new Set(method.needs.filter((need) => !spared.includes(need)));
}

/** Chooses what options leave open, and asks the model for what is missing. */
export async function choose(model: Model, requests: readonly ForgetRequest[], options: FindOptions): Promise<Chosen> {
  const { seed = 0, ctx = defaultContext(), upon = [] } = options;
  const { method, target, compat } = planOf(requests, options);
  const format = formatOf(model, options);
  const params = paramsOf(method, options.params ?? {}, model.config);
  const needs = needsOf(method, params, compat);
  const spec: StatisticsSpec = { ...DEFAULT_STATISTICS, ...options.statistics };
  const statistics = needs.has("statistics") ? (options.moments ?? statisticsOf(model, spec, ctx)) : undefined;
  const encoder = needs.has("encoder") ? await chosenEncoder(model, options.encoder ?? ctx.encoder, ctx) : undefined;
  const demonstrations = (options.demonstrations ?? []).map((r): EditRequest => ({ ...r, target: null }));
  const ask = { format, ...(options.system !== undefined && { system: options.system }) };
  const known = needs.has("answer") ? await withAnswers(model, requests, ask, ctx) : requests;
  const aimed = await withTargets(model, mergedFor(known, options), target, options, seed, ctx);
  const retain = options.retain ?? (needs.has("retain") ? await ownRetain(model, requests, ask, seed, ctx) : []);
  consistent(aimed, ctx);
  if (needs.has("subject")) tellRepeated(aimed, ctx);
  return {
    model,
    method,
    params,
    compat,
    format,
    seed,
    spec,
    upon,
    aimed,
    retain,
    demonstrations,
    options,
    ctx,
    ...(statistics && { statistics }),
    ...(encoder && { encoder }),
  };
}

/** Refuses requests that want different answers to one question; says which are there twice. */
function consistent(requests: readonly EditRequest[], ctx: Context): void {
  const seen = new Map<string, EditRequest>();
  for (const request of requests) {
    const other = seen.get(request.prompt);
    if (!other) seen.set(request.prompt, request);
    else if (request.merged && other.target === request.target && other.subject !== request.subject) continue;
    else if (other.target !== request.target)
      fail(
        "forget",
        `requests ${other.id} and ${request.id} ask "${request.prompt}" and want "${other.target}" and "${request.target}"`,
        "one answer to a question",
        "Take one of them out.",
      );
    else ctx.log({ kind: "warning", who: "forget", text: `requests ${other.id} and ${request.id} are the same` });
  }
}

/** Says which occurrence is taken where a subject stands in its prompt more than once. */
function tellRepeated(requests: readonly EditRequest[], ctx: Context): void {
  for (const { id, prompt, subject } of requests) {
    const times = occurrencesOf(prompt, subject).length;
    if (times > 1)
      ctx.log({
        kind: "warning",
        who: "forget",
        text: `${id}: "${subject}" stands ${times} times in "${prompt}"; the last one is taken as the subject`,
      });
  }
}

async function withTargets(
  model: Model,
  requests: readonly ForgetRequest[],
  target: Target | undefined,
  options: FindOptions,
  seed: number,
  ctx: Context,
): Promise<EditRequest[]> {
  if (options.say !== undefined) return requests.map((r) => ({ ...r, target: options.say! }));
  if (!target) return requests.map((r) => ({ ...r, target: null }));
  const ask = { format: formatOf(model, options), ...(options.system !== undefined && { system: options.system }) };
  const aimed = await aim(leadsOf(requests), target, { seed, ctx, ask: (asked) => saidOf(model, asked, ask, ctx) });
  const of = new Map(aimed.map((request) => [request.merged ? request.prompt : request.id, request]));
  return requests.map((request) => {
    const { target: words, note } = of.get(request.merged ? request.prompt : request.id)!;
    return { ...request, target: words, ...(note !== undefined && { note }) };
  });
}

/** The parameters that a method runs with in a model of this shape. */
export const paramsOf = (method: AnyMethod, given: Readonly<Record<string, unknown>>, c: Config): Readonly<Record<string, unknown>> =>
  resolveParams(method.name, method.params, given, c, tunedFor(method, c));

/** The layers that each method changes in a model of this shape by default. */
export function defaultLayers(c: Config): { method: string; layers: readonly number[] }[] {
  return Object.values(METHODS).flatMap((method) => {
    const params = paramsOf(method, {}, c) as { layer?: number; layers?: readonly number[] };
    const layers = params.layers ?? (params.layer === undefined ? [] : [params.layer]);
    return layers.length > 0 ? [{ method: method.name, layers }] : [];
  });
}

/** Tuned values of a method for a family of models: the sparse table's entry whose name the model's shape spells. */
function tunedFor(method: AnyMethod, c: Config): Readonly<Record<string, unknown>> {
  return tuned.families[`${c.arch}/${c.layers}x${c.width}`]?.[method.name] ?? {};
}
