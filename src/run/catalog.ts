/** What can be chosen by name, for help: methods and attacks with their parameters, targets, datasets. */
import type { Param, ParamValue } from "../base/schema.ts";
import { registry as sets } from "../data/sets/registry.ts";
import type { AnyAttack } from "../attack/attack.ts";
import type { Plugged } from "../base/plugin.ts";
import { setsOf } from "../methods/method.ts";
import { attacksOf } from "./attack.ts";
import { methodsOf, targetsOf } from "./choice.ts";
import { defaults } from "./defaults.ts";

/** `default`: as text; "by model" where it depends on the model. */
export interface ParamCard {
  readonly name: string;
  readonly default: string;
  readonly doc: string;
}
export interface MethodCard {
  readonly name: string;
  readonly doc: string;
  readonly isDefault: boolean;
  readonly params: readonly ParamCard[];
  readonly compat: Readonly<Record<string, string>>;
  /** Published repositories, each with its quirks. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
}
export interface TargetCard {
  readonly name: string;
  readonly doc: string;
  readonly isDefault: boolean;
}
export interface AttackCard extends TargetCard, Pick<AnyAttack, "sources" | "access" | "knows"> {
  readonly params: readonly ParamCard[];
}
export interface SetCard {
  readonly name: string;
  readonly doc: string;
}

/** Everything that can be chosen, including what plugins add. */
export function catalog(ctx: Plugged): { methods: MethodCard[]; targets: TargetCard[]; attacks: AttackCard[]; sets: SetCard[] } {
  return {
    methods: Object.values(methodsOf(ctx)).map(({ name, doc, params, compat, sets: published }): MethodCard => ({
      name,
      doc,
      compat,
      sets: setsOf({ compat, ...(published && { sets: published }) }),
      isDefault: name === defaults.method,
      params: paramCards(params),
    })),
    targets: Object.values(targetsOf(ctx)).map(({ name, doc }) => ({ name, doc, isDefault: name === defaults.target })),
    attacks: Object.values(attacksOf(ctx)).map(({ name, doc, access, knows, sources, params }): AttackCard => ({
      name,
      doc,
      access,
      knows,
      sources,
      isDefault: name === defaults.attack,
      params: paramCards(params),
    })),
    sets: Object.values(sets).map(({ name, doc }) => ({ name, doc })),
  };
}

const paramCards = (params: object): ParamCard[] =>
  Object.entries(params as Record<string, Param<ParamValue, never>>).map(([name, { doc, default: value }]) => ({
    name,
    doc,
    default: typeof value === "function" ? "by model" : String(value),
  }));
