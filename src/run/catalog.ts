/** What can be chosen by name, for help: methods with their parameters, targets, datasets. */
import type { Param, ParamValue } from "../base/schema.ts";
import { registry as sets } from "../data/sets/registry.ts";
import { type AnyMethod, setsOf } from "../methods/method.ts";
import { registry as methods } from "../methods/registry.ts";
import { registry as targets } from "../targets/registry.ts";
import { tuned } from "./tuned.ts";

export interface MethodCard {
  readonly name: string;
  readonly doc: string;
  readonly isDefault: boolean;
  /** `default`: as text; "by model" where it depends on the model. */
  readonly params: readonly { readonly name: string; readonly default: string; readonly doc: string }[];
  readonly compat: Readonly<Record<string, string>>;
  /** References, each with the quirks that it has. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
}
export interface TargetCard {
  readonly name: string;
  readonly doc: string;
  readonly isDefault: boolean;
}
export interface SetCard {
  readonly name: string;
  readonly doc: string;
}

/** Every method, every target and every dataset. */
export function catalog(): { methods: MethodCard[]; targets: TargetCard[]; sets: SetCard[] } {
  const card = ({ name, doc, params, compat, sets }: AnyMethod): MethodCard => ({
    name,
    doc,
    compat,
    sets: setsOf({ compat, ...(sets && { sets }) }),
    isDefault: name === tuned.method,
    params: Object.entries(params as Record<string, Param<ParamValue, never>>).map(([key, param]) => ({
      name: key,
      doc: param.doc,
      default: typeof param.default === "function" ? "by model" : String(param.default),
    })),
  });
  return {
    methods: Object.values(methods as unknown as Record<string, AnyMethod>).map(card),
    targets: Object.values(targets).map(({ name, doc }) => ({ name, doc, isDefault: name === tuned.target })),
    sets: Object.values(sets).map(({ name, doc }) => ({ name, doc })),
  };
}
