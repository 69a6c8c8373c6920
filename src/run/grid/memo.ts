/** What the points of a grid share: a template that reads the same variables with the same values gives the same spec. */
import { hash } from "../../base/hash.ts";
import { isRecord } from "../../base/store.ts";
import type { NestedSpec } from "../fields.ts";
import { Texts } from "./texts.ts";

/** A value, and the variables that were read for it. */
export interface Reading<T> {
  readonly value: T;
  readonly reads: readonly string[];
}

type Spec = Reading<NestedSpec | null>;

/** Earlier results that read the same variables, by the values of these. */
interface Same {
  readonly reads: readonly string[];
  readonly found: Map<string, Spec>;
}

/** The memory of an unfolding. Values in it are never changed. */
export class Memo {
  /** The name of the template of each spec. */
  readonly names = new Map<object, string>();
  private readonly specs = new Map<string, Same[]>();
  private readonly keys = new Map<object, string>();
  private readonly plain = new Map<object, boolean>();
  private readonly numbers = new Map<object, number>();
  private readonly texts = new Texts();
  private readonly varied = new Map<string, readonly string[]>();

  /** The spec of a template at another point that gives the template the same values. */
  at(template: string, values: Readonly<Record<string, unknown>>): Spec | undefined {
    for (const { reads, found } of this.specs.get(template) ?? []) {
      const spec = found.get(this.valuesOf(reads, values));
      if (spec) return spec;
    }
    return undefined;
  }

  /** Keeps the spec of a template at a point. */
  keep(template: string, values: Readonly<Record<string, unknown>>, spec: Spec): Spec {
    const all = this.specs.get(template) ?? [];
    this.specs.set(template, all);
    let same = all.find(({ reads }) => reads.length === spec.reads.length && reads.every((name) => spec.reads.includes(name)));
    if (!same) all.push((same = { reads: spec.reads, found: new Map() }));
    same.found.set(this.valuesOf(same.reads, values), spec);
    return spec;
  }

  /** The key of a spec: equal specs have the same, in other grids too. */
  keyOf(spec: NestedSpec): string {
    const known = this.keys.get(spec);
    if (known !== undefined) return known;
    let text = "";
    for (const name of Object.keys(spec).sort()) text += `${name}:${this.textOf(spec[name])}\n`;
    const key = hash(text).slice(0, 32);
    this.keys.set(spec, key);
    return key;
  }

  /** The fields of a template that differ from point to point. The first call gives undefined, which means all fields. */
  varying(name: string, template: object): readonly string[] | undefined {
    const known = this.varied.get(name);
    const fields = known ?? Object.entries(template).flatMap(([key, value]) => (value !== null && this.isPlain(value) ? [] : [key]));
    this.varied.set(name, fields);
    return known;
  }

  /** Whether a value has no names of variables in it, no step, and nothing that is left out where it is filled in. */
  isPlain(value: unknown): boolean {
    if (typeof value === "string") return !value.includes("${");
    if (typeof value !== "object" || value === null) return true;
    const known = this.plain.get(value);
    if (known !== undefined) return known;
    const parts: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
    const isPlain = !Object.hasOwn(value, "step") && parts.every((one) => one !== null && this.isPlain(one));
    this.plain.set(value, isPlain);
    return isPlain;
  }

  /** A value as text, with the keys of steps in their places. */
  private textOf(value: unknown): string {
    if (typeof value !== "object" || value === null || this.plain.get(value)) return this.texts.of(value);
    if (Array.isArray(value)) return `[${value.map((one) => this.textOf(one)).join(",")}]`;
    if (isRecord(value) && typeof value["step"] === "string") return `<${this.keyOf(value as unknown as NestedSpec)}>`;
    const members = Object.keys(value).sort();
    return `{${members.map((name) => `${JSON.stringify(name)}:${this.textOf((value as Record<string, unknown>)[name])}`).join(",")}}`;
  }

  /** Some variables of a point and their values, as one text. Each list or table has a number: equal ones at two places have different numbers. */
  private valuesOf(names: readonly string[], values: Readonly<Record<string, unknown>>): string {
    let text = "";
    for (const name of names) {
      const value = Object.hasOwn(values, name) ? values[name] : undefined;
      if (typeof value === "object" && value !== null) text += `#${this.numberOf(value)},`;
      else text += `${JSON.stringify(value)},`;
    }
    return text;
  }

  private numberOf(value: object): number {
    const number = this.numbers.get(value) ?? this.numbers.size;
    this.numbers.set(value, number);
    return number;
  }
}
