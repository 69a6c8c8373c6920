/** Parameters declared as { default, doc, source }: parsing, checks, help, JSON Schema and page tables come from one declaration. */
import { z } from "zod";
import { fail, nearest } from "./fail.ts";

export type ParamValue = number | string | boolean | readonly number[] | readonly string[];

/** One parameter: its default (or a function of the model's config), what it does, and the source of the default. */
export interface Param<T, C> {
  readonly default: T | ((config: C) => T);
  readonly doc: string;
  readonly source: string;
  /** The only values allowed (of each element, for a list). */
  readonly choices?: readonly (string | number)[];
  readonly min?: number;
  readonly max?: number;
  /** Another parameter that says the same in other words: only one of both may be given. If the other one is, this number is 0. */
  readonly instead?: string;
  /** Whole numbers only. */
  readonly whole?: boolean;
}

/** A whole declaration; the defaults give the types of the values. */
export type Declared<P, C = never> = { readonly [K in keyof P]: Param<P[K], C> };

/** A declaration of any shape. */
type Any<C> = Readonly<Record<string, Param<ParamValue, C>>>;

/** Splits `key=value` from the command line; the value stays text, and {@link resolveParams} parses it. */
export function parseSet(text: string): [key: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) fail("--set", `"${text}"`, "key=value", "For example --set lr=1e-3.");
  return [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/**
 * The values that a method uses: `given` replaces `family` (the values of a model family), which replaces the declared defaults. Text is
 * parsed as the parameter's type, lists as JSON or comma-separated. An unknown key is refused with the nearest known one, a wrong value with
 * the allowed values.
 */
export function resolveParams<P extends object, C>(
  who: string,
  declared: Declared<P, C>,
  given: Readonly<Record<string, unknown>>,
  config: C,
  family: Readonly<Record<string, unknown>> = {},
): P {
  const table = declared as unknown as Any<C>;
  const names = Object.keys(table);
  for (const key of [...Object.keys(given), ...Object.keys(family)])
    if (!Object.hasOwn(table, key)) {
      const near = nearest(key, names);
      fail(
        who,
        `there is no parameter "${key}"`,
        names.length ? `one of ${names.join(", ")}` : "none",
        near ? `Did you mean "${near}"?` : "",
      );
    }
  for (const [name, { instead, doc }] of Object.entries(table))
    if (instead !== undefined && own(given, name) !== undefined && own(given, instead) !== undefined)
      fail(who, `${name} and ${instead} are both given`, "one of them", `${name}: ${doc}.`);
  const values = names.map((name) => {
    const param = table[name]!;
    const fallback = defaultOf(param, config);
    const isSaid = param.instead !== undefined && own(given, param.instead) !== undefined;
    const raw = [own(given, name), isSaid ? 0 : undefined, own(family, name), fallback].find((value) => value !== undefined);
    const result = schemaOf(param, fallback).safeParse(typeof raw === "string" ? readText(raw, fallback, param) : raw);
    if (result.success) return [name, result.data] as const;
    return fail(who, `${name} is ${brief(raw)}`, wantedOf(param, fallback), `${param.doc}; the default is ${brief(fallback)}.`);
  });
  return Object.fromEntries(values) as P;
}

const own = (values: Readonly<Record<string, unknown>>, name: string): unknown => (Object.hasOwn(values, name) ? values[name] : undefined);
const defaultOf = <C>(param: Param<ParamValue, C>, config: C): ParamValue =>
  typeof param.default === "function" ? param.default(config) : param.default;
const brief = (value: unknown): string => {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

function schemaOf(param: Param<ParamValue, never>, fallback: ParamValue): z.ZodType<ParamValue> {
  const one = (sample: unknown): z.ZodType<number | string | boolean> => {
    if (typeof sample === "boolean") return z.boolean();
    if (param.choices) return z.literal([...param.choices]);
    if (typeof sample === "string") return z.string();
    const any = param.whole ? z.int() : z.number();
    const number = param.min === undefined ? any : any.min(param.min);
    return param.max === undefined ? number : number.max(param.max);
  };
  if (!Array.isArray(fallback)) return one(fallback);
  return z.array(one(elementOf(param, fallback))) as z.ZodType as z.ZodType<readonly number[]>;
}

/** An example element of a list: its first; for an empty list a choice, a number if a range is declared, else a text. */
const elementOf = ({ choices, min, max }: Param<ParamValue, never>, list: readonly unknown[]): unknown =>
  list[0] ?? choices?.[0] ?? (min !== undefined || max !== undefined ? 0 : "");

/** Parses text as the type of `fallback`; unreadable text stays text and fails the check. */
function readText(text: string, fallback: ParamValue, param: Param<ParamValue, never>): unknown {
  if (typeof fallback === "string") return text;
  if (typeof fallback === "boolean")
    return (
      ({ true: true, false: false, yes: true, no: false, on: true, off: false } as Record<string, boolean>)[text.toLowerCase()] ?? text
    );
  if (typeof fallback === "number") return readNumber(text);
  if (text.startsWith("[")) {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
  const parts = text === "" ? [] : text.split(",").map((part) => part.trim());
  return typeof elementOf(param, fallback) === "number" ? parts.map(readNumber) : parts;
}

const readNumber = (text: string): unknown => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

function wantedOf(param: Param<ParamValue, never>, fallback: ParamValue): string {
  const list = Array.isArray(fallback);
  const sample: unknown = list ? elementOf(param, fallback) : fallback;
  if (typeof sample === "boolean") return "true or false";
  if (param.choices) return `${list ? "a list of " : ""}${param.choices.join(" or ")}`;
  const { min, max } = param;
  const range =
    min !== undefined && max !== undefined
      ? ` from ${min} to ${max}`
      : min !== undefined
        ? ` of at least ${min}`
        : max !== undefined
          ? ` of at most ${max}`
          : "";
  const noun = typeof sample === "number" ? `${param.whole ? "whole " : ""}number${list ? "s" : ""}${range}` : `text${list ? "s" : ""}`;
  return list ? `a list of ${noun}` : typeof sample === "number" ? `a ${noun}` : noun;
}

/** JSON Schema of a declaration; a default that depends on the model is included only if `config` is given. */
export function paramsSchema<P extends object, C>(declared: Declared<P, C>, config?: C): Record<string, unknown> {
  const properties = Object.entries(declared as unknown as Any<C>).map(([name, param]) => {
    const about = { description: `${param.doc} (${param.source})` };
    if (typeof param.default === "function" && config === undefined) return [name, about] as const;
    const fallback = defaultOf(param, config as C);
    const { $schema: _, ...schema } = z.toJSONSchema(schemaOf(param, fallback));
    return [name, { ...schema, ...about, default: fallback }] as const;
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

/** The Markdown table of a declaration, for the method's page and its help. */
export function paramsTable<P extends object, C>(declared: Declared<P, C>): string {
  const rows = Object.entries(declared as unknown as Any<C>).map(([name, param]) => {
    const range =
      param.choices?.join(", ") ??
      [param.whole ? "whole" : "", param.min !== undefined ? `>= ${param.min}` : "", param.max !== undefined ? `<= ${param.max}` : ""]
        .filter(Boolean)
        .join(", ");
    const value = typeof param.default === "function" ? "by model" : `\`${brief(param.default)}\``;
    return [`\`${name}\``, value, range, param.doc, param.source]
      .map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " "))
      .join(" | ");
  });
  return [
    "| parameter | default | allowed | what it does | source |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map((row) => `| ${row} |`),
  ].join("\n");
}

export interface Departure {
  readonly name: string;
  readonly value: unknown;
  readonly default: unknown;
  readonly source: string;
}

/** Every parameter whose value differs from its default. Reports list them. */
export function departures<P extends object, C>(declared: Declared<P, C>, params: P, config: C): Departure[] {
  return Object.entries(declared as unknown as Any<C>).flatMap(([name, param]) => {
    const fallback = defaultOf(param, config);
    const value = (params as Record<string, unknown>)[name];
    return JSON.stringify(value) === JSON.stringify(fallback) ? [] : [{ name, value, default: fallback, source: param.source }];
  });
}
