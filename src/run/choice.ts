/** The choices for an edit that need no model: the settings, the caller's values, and lookups by name. */
import { type Context, defaultContext } from "../base/context.ts";
import { fail } from "../base/fail.ts";
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
import { AUTO, type SETTING_FIELDS } from "./specs/forget.ts";
import { defaults } from "./defaults.ts";

/** How requests become edits: one edit for each, one edit for all at once, or one edit made request by request. */
export type Mode = "single" | "batch" | "sequential";

export type { Merge, MergedSubject } from "../targets/merge.ts";

/** Options of `lethe forget` that a caller of the library gives by the same name. */
type Options = {
  readonly [K in keyof typeof SETTING_FIELDS]?: Exclude<Values<typeof SETTING_FIELDS>[K], undefined>;
};

/** The settings that decide an edit besides the model and the requests, as plain data. */
export interface Settings extends Options {
  /**
   * One edit for each request, one edit for all, or requests one after the other. The default is one edit for all if the method can make
   * it.
   */
  readonly mode?: Mode;
  /** Merges several questions into one request with one target. */
  readonly merge?: Merge;
  /** Parameters by name; text is read as the parameter's type. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** Quirks of the published code to reproduce, by name. */
  readonly compat?: readonly string[];
  readonly format?: Format;
  /** Context templates in place of sampled ones. */
  readonly templates?: readonly string[];
  /** The text of the second moments. */
  readonly statistics?: Partial<StatisticsSpec>;
  readonly running?: Partial<Running>;
}

/** Values that the caller gives besides the settings: rows and loaded models. Needs add their own: src/run/needs/NAME.ts. */
export interface Given {
  /**
   * The reference model of losses that compare with one, instead of the model before training. It must have the same architecture and
   * vocabulary.
   */
  readonly reference?: Model;
  /** Edits that are applied before the new ones are made. */
  readonly upon?: readonly Edit[];
  /** A separate folder that stores finished requests until the last one is done. A later call continues from it. */
  readonly journal?: string;
  /** The folder with the finished requests of a shorter sequence. The requests begin with the same ones. */
  readonly continued?: string;
  readonly ctx?: Context;
}

export interface FindOptions extends Settings, Given {}

/** Every method by its id, those of plugins among them. */
export const methodsOf = (ctx: Plugged): Readonly<Record<string, AnyMethod>> =>
  onShelf("method", methods as unknown as Readonly<Record<string, AnyMethod>>, ctx);
/** Every target by its id, those of plugins among them. */
export const targetsOf = (ctx: Plugged): Readonly<Record<string, Target>> => onShelf<Target>("target", targets, ctx);

/** A method by its id; fails with the nearest. */
export function methodOf(name: string = defaults.method, ctx: Plugged = defaultContext()): AnyMethod {
  if (name === AUTO)
    fail(
      "method",
      `"${AUTO}" where the method must be known`,
      "a method's name",
      "lethe forget, grids and run() choose one; name it here.",
    );
  return named("method", methodsOf(ctx), name, [AUTO]);
}

/** A method by its id; undefined for `auto`, which is chosen later. Fails with the nearest. */
export const methodOrAuto = (name: string | undefined, ctx?: Plugged): AnyMethod | undefined =>
  name === AUTO ? undefined : methodOf(name, ctx);

/** The requests to edit, after merging if it was requested. */
export const mergedFor = (requests: readonly ForgetRequest[], { merge }: Pick<Settings, "merge">): readonly ForgetRequest[] =>
  merge === undefined ? requests : mergeRequests(requests, merge);

/** The choices that need no model. */
export interface Choice {
  readonly method: AnyMethod;
  readonly compat: ReadonlySet<string>;
  readonly mode: Mode;
  /** The requests as given, and the requests to edit (merged if the settings say so). */
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
