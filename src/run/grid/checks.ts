/** What a grid refuses before anything is resolved: a value of the wrong kind, a name that nothing has. */
import { fail, LetheError } from "../../base/fail.ts";
import { canonical } from "../../base/hash.ts";
import type { Plugged } from "../../base/plugin.ts";
import { isRecord } from "../../base/store.ts";
import type { NestedSpec } from "../fields.ts";
import { stepOf } from "../run.ts";
import { schemaOf, wantedOf } from "../spec.ts";
import { Texts } from "./texts.ts";

/** Where the value of a field stands in the file. */
export type FieldPlace = (field: string) => string;

/** Checks a spec of a grid, or only some of its fields. The error of a field begins with its place. */
export type Check = (spec: NestedSpec, placeOf: FieldPlace, only?: readonly string[]) => void;

/** A check that looks at equal values of a field once. */
export function specChecker(ctx: Plugged): Check {
  const seen = new Set<string>();
  const parts = new Map<string, WeakSet<object>>(); // lists and tables that were seen, by the field
  const early = new EarlyChecks(ctx);
  const isSeen = (at: string, value: unknown): boolean => {
    if (typeof value === "object" && value !== null) {
      const same = parts.get(at) ?? new WeakSet();
      parts.set(at, same);
      if (same.has(value)) return true;
      same.add(value);
    }
    const known = `${at} ${typeof value === "string" ? `"${value}` : canonical(withoutSteps(value))}`;
    return seen.size === seen.add(known).size;
  };
  return (spec, placeOf, only) => {
    const { name, fields } = stepOf(spec.step);
    const keys = Object.keys(spec);
    const shape = `${name} ${keys.join(" ")}`;
    const absent =
      seen.size === seen.add(shape).size ? [] : Object.keys(fields).filter((key) => fields[key]!.required && !keys.includes(key));
    for (const key of absent) fail(placeOf("step"), `${name} has no ${key}`, fields[key]!.doc, `Add ${key}: to the step.`);
    for (const key of only ?? keys) {
      const [field, value] = [fields[key], spec[key]];
      if (!field || value === undefined) continue; // "step", or left out here
      if (isSeen(`${name}.${key}`, value)) continue;
      if (schemaOf(field).safeParse(value).success) continue;
      const way = Array.isArray(value) ? "A list of values to try belongs under axes." : `${field.doc}.`;
      fail(placeOf(key), `${key} of ${name} is ${brief(value)}`, wantedOf(field), way);
    }
    early.of(spec, (key, check) => placed(() => placeOf(key), check));
  };
}

/** The early checks of specs; equal values are checked once. */
export class EarlyChecks {
  private readonly ctx: Plugged;
  private readonly known = new Map<string, unknown>();
  private readonly texts = new Texts();

  constructor(ctx: Plugged) {
    this.ctx = ctx;
  }

  /** What the checks of a spec return, by field; `within` runs each of them. */
  of(spec: NestedSpec, within: (key: string, check: () => unknown) => unknown = (_, check) => check()): Readonly<Record<string, unknown>> {
    const { name, early = {} } = stepOf(spec.step);
    const found: Record<string, unknown> = {};
    for (const [key, { with: other, check }] of Object.entries(early)) {
      const at = `${name}.${key} ${this.texts.of(spec[key])} ${other === undefined ? "" : this.texts.of(spec[other])}`;
      if (!this.known.has(at))
        this.known.set(
          at,
          within(key, () => check(spec, this.ctx) ?? null),
        );
      found[key] = this.known.get(at);
    }
    return found;
  }
}

/** A value with a mark in the place of every step, which is checked by itself. */
function withoutSteps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSteps);
  if (!isRecord(value)) return value;
  if (typeof value["step"] === "string") return { step: "" };
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutSteps(one)]));
}

/** Work whose errors begin with a place in the file. */
export function placed<T>(placeOf: () => string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof LetheError)) throw error;
    const { who, got, wanted, hint, trouble } = error;
    return fail(placeOf(), `${who} ${got}`, wanted, hint, trouble);
  }
}

const brief = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};
