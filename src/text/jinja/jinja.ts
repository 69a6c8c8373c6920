/** Renders a template as Python's Jinja2 does with the settings that chat templates have. */
import { prepare } from "./scopes.ts";
import { type Env, type FilterFunction } from "./env.ts";
import { LIST_FILTERS } from "./filters-list.ts";
import { ORDER_FILTERS } from "./filters-order.ts";
import { TEXT_FILTERS } from "./filters-text.ts";
import { globalsOf } from "./globals.ts";
import { Members } from "./members.ts";
import { LIMITS, Meter } from "./meter.ts";
import { parse } from "./parser.ts";
import { renderBody } from "./render.ts";
import { Scope } from "./scope.ts";
import { testsOf } from "./tests.ts";
import { JinjaError, raise } from "./trouble.ts";
import { Dict, type Value } from "./values.ts";

/** Filters of Jinja that need chance, an address or HTML. A template may name them, but not call them. */
const REFUSED = ["filesizeformat", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"];

const FILTERS: Readonly<Record<string, FilterFunction>> = {
  ...TEXT_FILTERS,
  ...LIST_FILTERS,
  ...ORDER_FILTERS,
  ...Object.fromEntries(REFUSED.map((name) => [name, () => raise("Unsupported", `the filter ${name}`)])),
};
const isFilter = (name: string): boolean => Object.hasOwn(FILTERS, name);
const TESTS = testsOf(isFilter);
const isTest = (name: string): boolean => Object.hasOwn(TESTS, name);

/** The text of a template with these variables; `strftime` writes the date. Its errors are {@link JinjaError}s with a line. */
export function renderTemplate(
  template: string,
  variables: Readonly<Record<string, unknown>>,
  strftime: (format: string) => string,
): string {
  if (template.length > LIMITS.template) raise("Limit", `it is ${template.length} characters long, more than ${LIMITS.template}`);
  const meter = new Meter();
  try {
    const { body, frame } = prepare(parse(template), { filter: isFilter, test: isTest });
    const context = globalsOf(meter, strftime);
    for (const [name, value] of Object.entries(variables)) if (value !== undefined) context.set(name, valueOf(value));
    return renderBody(envOf(meter), body, new Scope(frame, context));
  } catch (error) {
    if (error instanceof JinjaError) error.line ??= meter.line;
    throw error;
  }
}

function envOf(meter: Meter): Env {
  const env: Env = {
    meter,
    members: new Members(meter),
    filter: (name, value, args, kwargs) =>
      isFilter(name) ? FILTERS[name]!(env, value, args, kwargs) : raise("TemplateRuntimeError", `No filter named '${name.slice(0, 100)}'.`),
    test: (name, value, args, kwargs) =>
      isTest(name) ? TESTS[name]!(env, value, args, kwargs) : raise("TemplateRuntimeError", `No test named '${name.slice(0, 100)}'.`),
  };
  return env;
}

/** A value of JavaScript as Python has it after `json.loads`: a number without a fraction is an int. */
function valueOf(value: unknown): Value {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean" || typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(valueOf);
  if (typeof value === "object") {
    const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
    return new Dict(entries.map(([key, item]) => [valueOf(key), valueOf(item)] as const));
  }
  return raise("TypeError", `a variable of type ${typeof value}`);
}
