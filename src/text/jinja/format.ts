/** Texts with places for values: the operator `%` and `str.format`. */
import { escaped } from "./markup.ts";
import type { Meter } from "./meter.ts";
import { charOf, floatDigits, formatted } from "./format-spec.ts";
import { toFloat, truncated } from "./numbers.ts";
import { ascii, repr, str } from "./print.ts";
import { beginning } from "./text.ts";
import { raise } from "./trouble.ts";
import { asInt, Dict, type Kwargs, Markup, Range, Tuple, textOf, typeName, Undefined, type Value } from "./values.ts";

const PLACE = /%(?:\(((?:[^()]|\([^()]*\))*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?(.)?/gsu;

/** `template % values`. */
export function percent(template: string, values: Value, meter: Meter, isMarkup = false): string {
  const state = new Percent(values, meter, isMarkup);
  let made = "";
  let from = 0;
  meter.read(template.length);
  for (const match of template.matchAll(PLACE)) {
    const before = made.length;
    made += template.slice(from, match.index) + state.place(match);
    meter.grown(made.length, made.length - before);
    from = match.index + match[0].length;
  }
  state.finish();
  return made + template.slice(from);
}

class Percent {
  private readonly values: Value;
  private readonly meter: Meter;
  private readonly isMarkup: boolean;
  private at = 0;

  constructor(values: Value, meter: Meter, isMarkup: boolean) {
    this.values = values;
    this.meter = meter;
    this.isMarkup = isMarkup;
  }

  place([, key, flags = "", width, precision, type]: readonly (string | undefined)[]): string {
    if (type === undefined) return raise("ValueError", "incomplete format");
    const named = key === undefined ? undefined : this.named(key);
    const size = this.size(width) ?? 0;
    const places = precision === undefined ? undefined : (this.size(precision || "0") ?? 0);
    if (type === "%") return "%";
    const isLeft = flags.includes("-") || size < 0;
    const value = named === undefined ? this.next() : named;
    const { sign, body, isNumber } = this.convert(value, type, flags, places === undefined ? undefined : Math.max(0, places));
    this.meter.size(Math.abs(size));
    const missing = Math.max(0, Math.abs(size) - [...sign, ...body].length);
    if (isLeft) return sign + body + " ".repeat(missing);
    return flags.includes("0") && isNumber ? sign + "0".repeat(missing) + body : " ".repeat(missing) + sign + body;
  }

  /** Refuses values that no place took. */
  finish(): void {
    const { values } = this;
    const isLeft = values instanceof Tuple ? this.at < values.items.length : !this.at && !isMapping(values);
    if (isLeft) raise("TypeError", "not all arguments converted during string formatting");
  }

  private next(): Value {
    const { values } = this;
    const value = values instanceof Tuple ? values.items[this.at] : this.at ? undefined : values;
    this.at++;
    return value === undefined ? raise("TypeError", "not enough arguments for format string") : value;
  }

  private named(key: string): Value {
    if (!(this.values instanceof Dict)) return raise("TypeError", "format requires a mapping");
    this.at = 1;
    return this.values.get(key) ?? (this.values.has(key) ? null : raise("LookupError", `'${key.slice(0, 100)}'`));
  }

  private size(text: string | undefined): number | undefined {
    if (text !== "*") return text === undefined ? undefined : Number(text);
    const size = asInt(this.next());
    return size === undefined ? raise("TypeError", "* wants int") : Number(size);
  }

  private convert(
    value: Value,
    type: string,
    flags: string,
    places: number | undefined,
  ): { sign: string; body: string; isNumber: boolean } {
    const text = (body: string): { sign: string; body: string; isNumber: boolean } => {
      const safe = this.isMarkup && !(value instanceof Markup) ? escaped(body, this.meter) : body;
      return { sign: "", body: places === undefined ? safe : beginning(safe, places), isNumber: false };
    };
    if (type === "s") return text(str(value, this.meter));
    if (type === "r") return text(repr(value, this.meter));
    if (type === "a") return text(ascii(value, this.meter));
    if (type === "c") return text(character(value));
    if ("diuxXo".includes(type)) return integer(whole(value, type), type, flags, places, this.meter);
    if (!"eEfFgG".includes(type)) return raise("ValueError", `unsupported format character '${type}'`);
    const x = real(value);
    const body = floatDigits(x, type, places, flags.includes("#"), this.meter);
    return { sign: signOf(x < 0 || Object.is(x, -0), flags), body, isNumber: true };
  }
}

/** Values with items, which a template without places may leave unused. */
const isMapping = (value: Value): boolean =>
  value instanceof Dict || Array.isArray(value) || value instanceof Range || value instanceof Undefined;
const signOf = (isNegative: boolean, flags: string): string =>
  isNegative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";

function character(value: Value): string {
  const text = textOf(value);
  if (text !== undefined) return [...text].length === 1 ? text : raise("TypeError", "%c requires int or char");
  const int = asInt(value);
  return int === undefined ? raise("TypeError", "%c requires int or char") : charOf(int);
}

function whole(value: Value, type: string): bigint {
  const int = asInt(value);
  if (int !== undefined) return int;
  if (value instanceof Undefined && "diu".includes(type)) return value.fail();
  return typeof value === "number" && "diu".includes(type)
    ? truncated(value)
    : raise("TypeError", `%${type} format: a number is required, not ${typeName(value)}`);
}

function real(value: Value): number {
  const int = asInt(value);
  if (int !== undefined) return toFloat(int);
  if (value instanceof Undefined) return value.fail();
  const text = textOf(value);
  if (text !== undefined) raise("TypeError", "must be real number, not str");
  return typeof value === "number" ? value : raise("TypeError", `must be real number, not ${typeName(value)}`);
}

function integer(
  int: bigint,
  type: string,
  flags: string,
  places: number | undefined,
  meter: Meter,
): { sign: string; body: string; isNumber: boolean } {
  const radix = type === "o" ? 8 : type === "x" || type === "X" ? 16 : 10;
  const digits = (int < 0n ? -int : int).toString(radix);
  meter.size(places ?? 0);
  const body = (type === "X" ? digits.toUpperCase() : digits).padStart(places ?? 0, "0");
  const prefix = flags.includes("#") && radix !== 10 ? `0${type}` : "";
  return { sign: signOf(int < 0n, flags) + prefix, body, isNumber: true };
}

/** What `str.format` needs to follow `{name.attr[key]}`. */
export interface Lookup {
  getattr(value: Value, name: string): Value;
  getitem(value: Value, key: Value): Value;
}

interface Formatting {
  readonly args: readonly Value[];
  readonly kwargs: Kwargs;
  readonly lookup: Lookup;
  readonly meter: Meter;
  readonly isMarkup: boolean;
  auto: number | "named";
}

/** `template.format(...)`. */
export function format(template: string, given: Omit<Formatting, "auto">): string {
  return filled(template, { ...given, auto: 0 }, 2);
}

function filled(template: string, f: Formatting, depth: number): string {
  if (depth < 1) raise("ValueError", "Max string recursion exceeded");
  f.meter.read(template.length);
  const braces = /[{}]/g;
  let made = "";
  for (let at = 0; at < template.length;) {
    braces.lastIndex = at;
    const brace = braces.exec(template)?.index ?? -1;
    if (brace < 0) return made + template.slice(at);
    made += template.slice(at, brace);
    at = brace;
    const c = template[at]!;
    if (template[at + 1] === c) {
      made += c;
      at += 2;
      continue;
    }
    if (c === "}") raise("ValueError", "Single '}' encountered in format string");
    const end = fieldEnd(template, at + 1);
    const text = field(template.slice(at + 1, end), f, depth);
    made += text;
    f.meter.grown(made.length, text.length);
    at = end + 1;
  }
  return made;
}

function fieldEnd(template: string, start: number): number {
  let open = 1;
  for (let at = start; at < template.length; at++) {
    if (template[at] === "{") open++;
    if (template[at] === "}" && !--open) return at;
  }
  return raise("ValueError", start >= template.length ? "Single '{' encountered in format string" : "expected '}' before end of string");
}

function field(text: string, f: Formatting, depth: number): string {
  const [, path, conversion, spec = ""] =
    /^([^!:[]*(?:\[[^\]]*\][^!:[]*)*)(?:!([^:]*))?(?::(.*))?$/s.exec(text) ?? raise("ValueError", "expected '}' before end of string");
  const value = followed(path!, f);
  const inner = filled(spec, f, depth - 1);
  if (conversion !== undefined && !/^[rsa]$/.test(conversion))
    raise("ValueError", `Unknown conversion specifier ${conversion.slice(0, 20)}`);
  const converted =
    conversion === "r"
      ? repr(value, f.meter)
      : conversion === "s"
        ? str(value, f.meter)
        : conversion === "a"
          ? ascii(value, f.meter)
          : value;
  if (!f.isMarkup) return formatted(converted, inner, f.meter);
  if (converted instanceof Markup) return inner ? raise("ValueError", "Format specifier given for a safe text") : converted.text;
  return escaped(formatted(converted, inner, f.meter), f.meter);
}

/** The value that a field's name, attributes and keys lead to. */
function followed(path: string, f: Formatting): Value {
  const [first] = /^[^.[]*/.exec(path)!;
  let value = argument(first, f);
  let rest = path.slice(first.length);
  while (rest) {
    const [all, name, key] = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest) ?? raise("ValueError", "Empty attribute in format string");
    value = name !== undefined ? f.lookup.getattr(value, name) : f.lookup.getitem(value, /^\d+$/.test(key!) ? BigInt(key!) : key!);
    rest = rest.slice(all.length);
  }
  return value;
}

function argument(name: string, f: Formatting): Value {
  if (name !== "" && !/^\d+$/.test(name))
    return f.kwargs.get(name) ?? (f.kwargs.has(name) ? null : raise("LookupError", `'${name.slice(0, 100)}'`));
  if (name === "" && f.auto === "named") raise("ValueError", "cannot switch from manual field specification to automatic field numbering");
  if (name !== "" && typeof f.auto === "number" && f.auto > 0)
    raise("ValueError", "cannot switch from manual field specification to automatic field numbering");
  const at = name === "" ? (f.auto as number) : Number(name);
  f.auto = name === "" ? at + 1 : "named";
  const value = f.args[at];
  return value === undefined ? raise("LookupError", "Replacement index out of range for positional args tuple") : value;
}
