/** What of an edit is chosen without a model: what a caller may say and give, and what is looked up by name. */
import { type Context, defaultContext } from "../base/context.ts";
import { named, onShelf, type Plugged } from "../base/plugin.ts";
import { resolveParams } from "../base/schema.ts";
import type { ForgetRequest } from "../data/request.ts";
import type { Edit } from "../edit/edit.ts";
import type { StatisticsSpec } from "../locate/covariance.ts";
import type { AnyMethod } from "../methods/method.ts";
import { registry as methods } from "../methods/registry.ts";
import type { Config } from "../model/arch/arch.ts";
import type { Model } from "../model/model.ts";
import type { Format } from "../model/prompt.ts";
import type { Running } from "../onnx/program.ts";
import { type Merge, mergeRequests } from "../targets/merge.ts";
import { registry as targets } from "../targets/registry.ts";
import type { Target } from "../targets/target.ts";
import type { Values } from "./fields.ts";
import type { SETTING_FIELDS } from "./specs/forget.ts";
import { defaults } from "./defaults.ts";

/** How many requests become edits: each alone, all at once, or each upon those before it, folded into one. */
export type Mode = "single" | "batch" | "sequential";

export type { Merge, MergedSubject } from "../targets/merge.ts";

/** Options of `lethe forget` that a caller of the library gives by the same name. */
type Options = {
  readonly [K in keyof typeof SETTING_FIELDS]?: Exclude<Values<typeof SETTING_FIELDS>[K], undefined>;
};

/** What decides an edit beside the model and the requests: plain data. */
export interface Settings extends Options {
  /** One edit a request, all in one, or one after the other; by default all in one where the method can. */
  readonly mode?: Mode;
  /** Put several questions into one request, which gets one target. */
  readonly merge?: Merge;
  /** Parameters by name; text is read as the parameter's type. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Quirks of the reference to reproduce, by name. */
  readonly compat?: readonly string[];
  readonly format?: Format;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  /** What second moments are taken over. */
  readonly statistics?: Partial<StatisticsSpec>;
  readonly running?: Partial<Running>;
}

/** What a caller gives beside the settings: rows that were read, and live values. Needs add theirs: src/run/needs/NAME.ts. */
export interface Given {
  /** A model to compare with, for losses that do, in place of the one that training begins from; of the same architecture and words. */
  readonly reference?: Model;
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
export const methodOf = (name: string = defaults.method, ctx: Plugged = defaultContext()): AnyMethod =>
  named("method", methodsOf(ctx), name);

/** Requests as they are edited: put together where that is asked for. */
export const mergedFor = (requests: readonly ForgetRequest[], { merge }: Pick<Settings, "merge">): readonly ForgetRequest[] =>
  merge === undefined ? requests : mergeRequests(requests, merge);

/** What was chosen without a model. */
export interface Choice {
  readonly method: AnyMethod;
  readonly compat: ReadonlySet<string>;
  readonly mode: Mode;
  /** The requests as they were given, and as they are edited: put together where the settings merge them. */
  readonly requests: readonly ForgetRequest[];
  readonly edited: readonly ForgetRequest[];
  readonly settings: Settings;
}

/** The parameters that a method runs with in a model of this shape. */
export const paramsOf = (method: AnyMethod, given: Readonly<Record<string, unknown>>, c: Config): Readonly<Record<string, unknown>> =>
  resolveParams(method.name, method.params, given, c, familyValues(method, c));

/** The layers that each method changes in a model of this shape by default. */
export function defaultLayers(c: Config, ctx: Plugged): { method: string; layers: readonly number[] }[] {
  return Object.values(methodsOf(ctx)).flatMap((method) => {
    const params = paramsOf(method, {}, c) as { layer?: number; layers?: readonly number[] };
    const layers = params.layers ?? (params.layer === undefined ? [] : [params.layer]);
    return layers.length > 0 ? [{ method: method.name, layers }] : [];
  });
}

/** The values of a method for this model family, from defaults.json; none if the file does not list the family. */
function familyValues(method: AnyMethod, c: Config): Readonly<Record<string, unknown>> {
  return defaults.families[`${c.arch}/${c.layers}x${c.width}`]?.[method.name] ?? {};
}
