/** How an entry of a shelf is made: its fields are checked when the program runs, and it is marked so that it is known again. */
import { inspect } from "node:util";
import { fail, nearest } from "./fail.ts";
import { KINDS, type Kind } from "./plugin.ts";

/** What a field must be: of a kind, one of some words, or a list of some words. */
export type Form = keyof typeof KNOWN | readonly (string | true)[] | { readonly listOf: readonly string[] };
type Given = Form | { readonly optional: Form };
/** A form of each field of T. */
export type Forms<T> = { readonly [K in keyof T]-?: object extends Pick<T, K> ? { readonly optional: Form } : Form };

const isText = (value: unknown): boolean => typeof value === "string" && value.trim() !== "";
const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isListOf = (value: unknown, holds: (one: unknown) => boolean): boolean => Array.isArray(value) && value.every(holds);
const isPlain = (value: unknown): boolean => ["number", "string", "boolean"].includes(typeof value);

/** The kinds of a field: what each is called, and when a value is of it. */
const KNOWN = {
  text: ["a text", isText],
  patterns: ["a list of regular expressions", (value: unknown) => isListOf(value, (one) => one instanceof RegExp)],
  texts: ["a list of texts", (value: unknown) => isListOf(value, isText)],
  boolean: ["true or false", (value: unknown) => typeof value === "boolean"],
  number: ["a number", (value: unknown) => typeof value === "number" && !Number.isNaN(value)],
  function: ["a function", (value: unknown) => typeof value === "function"],
  table: ["an object", isTable],
  params: ["an object of { default, doc, source } by parameter", (value: unknown) => isTable(value) && Object.values(value).every(isTable)],
  value: [
    "a number, a text, true or false, a list of those, or a function of the config",
    (value: unknown) => isPlain(value) || typeof value === "function" || isListOf(value, isPlain),
  ],
  values: ["a list of numbers or texts", (value: unknown) => isListOf(value, isPlain)],
} as const satisfies Readonly<Record<string, readonly [wanted: string, fits: (value: unknown) => boolean]>>;

/** Of a parameter. */
const PARAM: Readonly<Record<string, Given>> = {
  default: "value",
  doc: "text",
  source: "text",
  choices: { optional: "values" },
  min: { optional: "number" },
  max: { optional: "number" },
  instead: { optional: "text" },
  whole: { optional: "boolean" },
};

/** Shared by all copies of Lethe in a process: a plugin may be made with another copy than the one that loads it. */
const MARK = Symbol.for("lethe.kind");

/** What a value was made as by a define function; undefined for any other value. */
export function kindOf(value: unknown): Kind | undefined {
  const mark: unknown = isTable(value) ? Reflect.get(value, MARK) : undefined;
  return typeof mark === "string" && Object.hasOwn(KINDS, mark) ? (mark as Kind) : undefined;
}

/** A marked copy of an entry; refuses one with a field that is missing, wrong or unknown, and says which. */
export function define<T extends object>(kind: Kind, forms: Readonly<Record<string, Given>>, value: T): T {
  const who = `define${kind[0]!.toUpperCase()}${kind.slice(1)}`;
  const required = Object.entries(forms).filter(([, form]) => !(typeof form === "object" && "optional" in form));
  if (!isTable(value)) fail(who, shown(value), `an object with ${required.map(([field]) => field).join(", ")}`, "");
  const { name } = value as { readonly name?: unknown };
  if (typeof name !== "string" || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    fail(who, name === undefined ? 'no "name"' : `the name ${shown(name)}`, "lowercase words joined by hyphens", 'For example "my-own".');
  checkFields(who, `"${name}"`, value, forms);
  for (const [field, form] of Object.entries(forms))
    if (form === "params")
      for (const [key, param] of Object.entries((value as Readonly<Record<string, object>>)[field]!))
        checkFields(who, `parameter "${key}" of "${name}"`, param as object, PARAM);
  return { ...value, [MARK]: kind };
}

function checkFields(who: string, whose: string, value: object, forms: Readonly<Record<string, Given>>): void {
  for (const [field, given] of Object.entries(forms)) {
    const isOptional = typeof given === "object" && "optional" in given;
    const form = isOptional ? given.optional : given;
    const own = (value as Readonly<Record<string, unknown>>)[field];
    if (own === undefined && isOptional) continue;
    const [wanted, fits] = formOf(form);
    if (own === undefined) fail(who, `${whose} has no "${field}"`, wanted, "");
    if (!fits(own)) fail(who, `"${field}" of ${whose} is ${shown(own)}`, wanted, "");
  }
  const strange = Object.keys(value).find((field) => !Object.hasOwn(forms, field));
  if (strange === undefined) return;
  const near = nearest(strange, Object.keys(forms));
  fail(who, `${whose} has a field "${strange}"`, Object.keys(forms).join(", "), near ? `Did you mean "${near}"?` : "");
}

function formOf(form: Form): readonly [wanted: string, fits: (value: unknown) => boolean] {
  if (typeof form === "string") return KNOWN[form];
  if ("listOf" in form)
    return [`a list of some of ${form.listOf.join(", ")}`, (value) => isListOf(value, (one) => form.listOf.some((word) => word === one))];
  return [`one of ${form.join(", ")}`, (value) => form.some((one) => one === value)];
}

function shown(value: unknown): string {
  const text = inspect(value, { depth: 0, breakLength: Infinity });
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
