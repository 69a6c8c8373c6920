/** What of an edit is chosen without a model: method, target, quirks, mode and the requests as they are edited; everything is checked here, once. */
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
import { named, onShelf, type Plugged } from "../base/plugin.ts";
import { resolveParams } from "../base/schema.ts";
import type { ForgetRequest, QA } from "../data/request.ts";
import type { Edit } from "../edit/edit.ts";
import type { Statistics, StatisticsSpec } from "../locate/covariance.ts";
import { type AnyMethod, setsOf } from "../methods/method.ts";
import { registry as methods } from "../methods/registry.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { Format } from "../model/prompt.ts";
import type { Running } from "../onnx/program.ts";
import { checkMerged, type Merge, mergeRequests } from "../targets/merge.ts";
import { registry as targets } from "../targets/registry.ts";
import type { Target } from "../targets/target.ts";
import { tuned } from "./tuned.ts";

/** How many requests become edits: each alone, all at once, or each upon those before it, folded into one. */
export type Mode = "single" | "batch" | "sequential";
export const MODES: readonly Mode[] = ["single", "batch", "sequential"];

export type { Merge, MergedSubject } from "../targets/merge.ts";

/** What decides an edit beside the model and the requests: plain data. */
export interface Settings {
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
  /** The folder or hub id of an ONNX sentence encoder; by default the context's (LETHE_ENCODER), else the model's own hidden states. */
  readonly encoder?: string;
  /** What second moments are taken over. */
  readonly statistics?: Partial<StatisticsSpec>;
  readonly running?: Partial<Running>;
}

/** What a caller gives beside the settings: rows that were read, and live values. */
export interface Given {
  readonly retain?: readonly QA[];
  /** Other facts as examples for methods that show some: what is said of each is its answer. */
  readonly demonstrations?: readonly ForgetRequest[];
  /** A model to compare with, for losses that do, in place of the one that training begins from; of the same architecture and words. */
  readonly reference?: Model;
  /** The folder that finetuning with its journal left, for methods that go back to it. */
  readonly training?: string;
  /** Second moments in place of those of the settings: a plan's stand-ins. */
  readonly moments?: Statistics;
  /** Edits under the new ones. */
  readonly upon?: readonly Edit[];
  /** A folder of its own that keeps finished requests until the last is done; a call that finds it continues from there. */
  readonly journal?: string;
  readonly ctx?: Context;
}

export interface FindOptions extends Settings, Given {}

/** Every method by its id, those of plugins among them. */
export const methodsOf = (ctx: Plugged): Readonly<Record<string, AnyMethod>> =>
  onShelf("method", methods as unknown as Readonly<Record<string, AnyMethod>>, ctx);
/** Every target by its id, those of plugins among them. */
export const targetsOf = (ctx: Plugged): Readonly<Record<string, Target>> => onShelf<Target>("target", targets, ctx);

/** A method by its id; fails with the nearest. */
export const methodOf = (name: string = tuned.method, ctx: Plugged = defaultContext()): AnyMethod => named("method", methodsOf(ctx), name);

/** Requests as they are edited: put together where that is asked for. */
export const mergedFor = (requests: readonly ForgetRequest[], { merge }: Pick<Settings, "merge">): readonly ForgetRequest[] =>
  merge === undefined ? requests : mergeRequests(requests, merge);

/** What was chosen without a model. */
export interface Choice {
  readonly method: AnyMethod;
  /** Undefined where the method needs none, or the words are given. */
  readonly target: Target | undefined;
  readonly compat: ReadonlySet<string>;
  readonly mode: Mode;
  /** The requests as they were given, and as they are edited: put together where the settings merge them. */
  readonly requests: readonly ForgetRequest[];
  readonly edited: readonly ForgetRequest[];
  readonly settings: Settings;
}

/** Chooses everything that needs no model, once, and refuses what cannot be done. */
export function choose(requests: readonly ForgetRequest[], settings: Settings, given: Given = {}): Choice {
  const { ctx = defaultContext() } = given;
  const method = methodOf(settings.method, ctx);
  const edited = mergedFor(requests, settings);
  const target = targetFor(method, settings, ctx);
  if (edited.length === 0) fail("forget", "no request", "at least one", "Give --prompt and --subject, or --data FILE.");
  if (method.needs.includes("subject")) for (const request of edited) checkSubject(method, request, ctx);
  checkGiven(method, settings, given);
  if (settings.mode === "batch" && method.takes === "one" && edited.length > 1) refuseBatch(method, edited.length, ctx);
  const mode = settings.mode ?? (method.takes === "many" ? "batch" : "sequential");
  return { method, target, compat: quirksOf(method, settings.compat ?? []), mode, requests, edited, settings };
}

/** The target that is named, or the default one. */
function targetFor(method: AnyMethod, { say, target }: Settings, ctx: Plugged): Target | undefined {
  if (say !== undefined && target !== undefined)
    fail("forget", "both a target and words to say", "one of them", "Leave out --target or --say.");
  if (say !== undefined && say.trim() === "") fail("forget", "an empty target", "words to say instead", "Give --say TEXT.");
  return method.needs.includes("target") && say === undefined ? named("target", targetsOf(ctx), target ?? tuned.target) : undefined;
}

function checkSubject(method: AnyMethod, request: ForgetRequest, ctx: Plugged): void {
  checkMerged(request);
  const { id, subject, prompt } = request;
  if (subject.trim() !== "" && prompt.includes(subject)) return;
  const free = Object.values(methodsOf(ctx))
    .filter((m) => !m.needs.includes("subject"))
    .map((m) => m.name);
  fail(
    method.name,
    subject.trim() === "" ? `request ${id} has no subject` : `subject "${subject}" is not in prompt "${prompt}" (${id})`,
    "the words of the prompt that the fact is about",
    `Quote it as the prompt spells it${free.length ? `, or use a method that needs no subject: ${free.join(", ")}` : ""}.`,
  );
}

/** Refuses a method that lacks what it needs and the model cannot be asked for. */
function checkGiven({ name, needs, spares }: AnyMethod, { encoder }: Settings, { retain, training, demonstrations }: Given): void {
  if (needs.includes("retain") && !spares && retain?.length === 0)
    fail(
      name,
      "the retain set is empty",
      "questions whose answers must not change",
      "Give --retain FILE, or omit it to use questions made by the model.",
    );
  if (needs.includes("training") && training === undefined)
    fail(name, "no training to go back to", "the folder that finetuning with --keep left", "Give --training FOLDER.");
  if (needs.includes("demonstrations") && !demonstrations?.length)
    fail(name, "no demonstrations", "other facts as examples", "Give --demonstrations FILE.");
  if (encoder?.trim() === "") fail("forget", "an empty encoder", "a folder or a hub id", "Leave out --encoder, or name one.");
}

function refuseBatch({ name }: AnyMethod, count: number, ctx: Plugged): never {
  const many = Object.values(methodsOf(ctx)).filter((m) => m.takes === "many");
  return fail(
    name,
    `a batch of ${count} requests`,
    "one request at a time",
    `Use --mode sequential, or ${many.map((m) => m.name).join(" or ")}.`,
  );
}

/** The quirks that some names stand for; refuses a name that the method does not have. */
function quirksOf(method: AnyMethod, names: readonly string[]): ReadonlySet<string> {
  const sets = setsOf(method);
  const compat = new Set(names.flatMap((name) => (Object.hasOwn(sets, name) ? sets[name]! : [name])));
  for (const name of compat)
    if (!Object.hasOwn(method.compat, name)) named(`compat of ${method.name}`, { ...method.compat, ...sets }, name);
  return compat;
}

/** The parameters that a method runs with in a model of this shape. */
export const paramsOf = (method: AnyMethod, given: Readonly<Record<string, unknown>>, c: Config): Readonly<Record<string, unknown>> =>
  resolveParams(method.name, method.params, given, c, tunedFor(method, c));

/** The layers that each method changes in a model of this shape by default. */
export function defaultLayers(c: Config, ctx: Plugged): { method: string; layers: readonly number[] }[] {
  return Object.values(methodsOf(ctx)).flatMap((method) => {
    const params = paramsOf(method, {}, c) as { layer?: number; layers?: readonly number[] };
    const layers = params.layers ?? (params.layer === undefined ? [] : [params.layer]);
    return layers.length > 0 ? [{ method: method.name, layers }] : [];
  });
}

/** Tuned values of a method for a family of models: the sparse table's entry whose name the model's shape spells. */
function tunedFor(method: AnyMethod, c: Config): Readonly<Record<string, unknown>> {
  return tuned.families[`${c.arch}/${c.layers}x${c.width}`]?.[method.name] ?? {};
}
