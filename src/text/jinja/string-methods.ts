/** The methods of Python's texts. */
import { bind, positional } from "./bind.ts";
import { capitalize, caseFold, isAll, isAllSpace, isCase, isClass, isTitle, swapCase, title, UNPRINTABLE } from "./case.ts";
import { format, type Lookup } from "./format.ts";
import { escaped } from "./markup.ts";
import type { Meter } from "./meter.ts";
import { listOf } from "./operators.ts";
import * as texts from "./text.ts";
import { raise } from "./trouble.ts";
import { Dict, indexOf, type Kwargs, Markup, textOf, Tuple, truth, typeName, type Value } from "./values.ts";

/** A method's call: on which text, with what. */
interface Call {
  readonly name: string;
  readonly text: string;
  readonly args: readonly Value[];
  readonly kwargs: Kwargs;
  readonly meter: Meter;
  readonly lookup: Lookup;
  readonly isMarkup: boolean;
}
type Method = (call: Call) => Value;

/** The method `name` of a text, or undefined when texts have none. */
export function stringMethod(
  name: string,
  self: string | Markup,
  lookup: Lookup,
  meter: Meter,
): ((args: readonly Value[], kwargs: Kwargs) => Value) | undefined {
  const isMarkup = self instanceof Markup;
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : isClass(name) ? classTest : undefined;
  if (!method) return UNSUPPORTED.includes(name) ? () => raise("Unsupported", `the method ${name} of a text`) : undefined;
  const text = isMarkup ? self.text : self;
  return (args, kwargs) => {
    if (text.length > 64) meter.read(text.length);
    return safe(method({ name, text, args, kwargs, meter, lookup, isMarkup }), isMarkup);
  };
}

const UNSUPPORTED = ["encode", "translate", "maketrans"];

/** What a method of a safe text returns is safe as well. */
function safe(made: Value, isMarkup: boolean): Value {
  if (!isMarkup) return made;
  if (typeof made === "string") return new Markup(made);
  if (Array.isArray(made)) return made.map((item) => safe(item, true));
  return made instanceof Tuple ? new Tuple(made.items.map((item) => safe(item, true))) : made;
}

/** An argument that must be a text; beside a safe text it is escaped. */
function textArg(call: Call, value: Value | undefined, escapes = false): string {
  const text = value === undefined ? undefined : textOf(value);
  if (text === undefined)
    return raise("TypeError", `${call.name}() argument must be str, not ${value === undefined ? "missing" : typeName(value)}`);
  return escapes && call.isMarkup && !(value instanceof Markup) ? escaped(text, call.meter) : text;
}

const args = (call: Call, least: number, most: number): readonly Value[] => positional(call.name, least, most, call.args, call.kwargs);

/** A method without arguments; `cost` is how much dearer a character is than one that is only read. */
const plain =
  (change: (text: string) => Value, cost = 0): Method =>
  (call) => {
    args(call, 0, 0);
    call.meter.read(call.text.length * cost);
    return sized(call, change(call.text));
  };

/** What a method costs that looks at each character by itself. */
const EACH = 64;

function sized(call: Call, made: Value): Value {
  if (typeof made === "string") call.meter.size(made.length);
  return made;
}

const classTest: Method = (call) => {
  args(call, 0, 0);
  return isClass(call.name) && isAll(call.text, call.name);
};

const strip =
  (ends: "both" | "left" | "right"): Method =>
  (call) => {
    const [chars = null] = args(call, 0, 1);
    return texts.strip(call.text, chars === null ? undefined : textArg(call, chars), ends, call.meter);
  };

const split =
  (isRight: boolean): Method =>
  (call) => {
    const [separator = null, maxsplit = -1n] = bind(call.name, "sep? maxsplit?", call.args, call.kwargs);
    const limit = indexOf(maxsplit);
    if (separator === null) return texts.words(call.text, limit, isRight, call.meter);
    return (isRight ? texts.splitRight : texts.split)(call.text, textArg(call, separator), limit, call.meter);
  };

/** The part of a text that `start` and `end` name, in units; undefined when they cross. */
function window(
  call: Call,
  start: Value | undefined,
  end: Value | undefined,
): { places: texts.Places; from: number; to: number } | undefined {
  const places = texts.placesOf(call.text, call.meter);
  const { length } = places;
  const bound = (value: Value | undefined, otherwise: number): number => {
    if (value === undefined || value === null) return otherwise;
    const at = indexOf(value);
    return at < 0 ? Math.max(0, at + length) : at;
  };
  const [from, to] = [bound(start, 0), Math.min(bound(end, length), length)];
  return from > to ? undefined : { places, from: places.unit(from), to: places.unit(to) };
}

const search =
  (isLast: boolean, isStrict: boolean): Method =>
  (call) => {
    const [part, start, end] = args(call, 1, 3);
    const sought = textArg(call, part);
    const within = window(call, start, end);
    const at = within ? position(call, sought, within.from, within.to, isLast) : -1;
    if (at < 0) return isStrict ? raise("ValueError", "substring not found") : -1n;
    return BigInt(within!.places.index(at));
  };

function position(call: Call, sought: string, from: number, to: number, isLast: boolean): number {
  const text = call.text.slice(from, to);
  const at = isLast ? texts.findLast(text, sought, text.length, call.meter) : texts.find(text, sought, 0, call.meter);
  return at < 0 ? -1 : at + from;
}

const count: Method = (call) => {
  const [part, start, end] = args(call, 1, 3);
  const sought = textArg(call, part);
  const within = window(call, start, end);
  if (!within) return 0n;
  const text = call.text.slice(within.from, within.to);
  if (sought === "") return BigInt(texts.lengthOf(text, call.meter) + 1);
  return BigInt(texts.split(text, sought, -1, call.meter).length - 1);
};

const edge =
  (isEnd: boolean): Method =>
  (call) => {
    const [part, start, end] = args(call, 1, 3);
    const choices = part instanceof Tuple ? part.items.map((item) => textArg(call, item)) : [textArg(call, part)];
    const within = window(call, start, end);
    if (!within) return false;
    const text = call.text.slice(within.from, within.to);
    return choices.some((choice) => (isEnd ? text.endsWith(choice) : text.startsWith(choice)));
  };

const replace: Method = (call) => {
  const [old, by, limit = -1n] = args(call, 2, 3);
  return texts.replace(call.text, textArg(call, old), textArg(call, by, true), indexOf(limit), call.meter);
};

const join: Method = (call) => {
  const [items = null] = args(call, 1, 1);
  const parts = listOf(items, call.meter).map((item, k) => {
    const text = textOf(item);
    if (text === undefined) return raise("TypeError", `sequence item ${k}: expected str instance, ${typeName(item)} found`);
    return call.isMarkup ? textArg(call, item, true) : text;
  });
  call.meter.size(parts.reduce((sum, part) => sum + part.length + call.text.length, 0));
  return parts.join(call.text);
};

const pad =
  (align: "left" | "right" | "center"): Method =>
  (call) => {
    const [width = null, fill = " "] = args(call, 1, 2);
    const by = textArg(call, fill, true);
    if (texts.lengthOf(by, call.meter) !== 1) raise("TypeError", "The fill character must be exactly one character long");
    return padded(call.text, indexOf(width), by, align, call.meter);
  };

/** The text in a field of `width` code points. */
export function padded(text: string, width: number, fill: string, align: "left" | "right" | "center", meter: Meter): string {
  const missing = width - texts.lengthOf(text, meter);
  if (missing <= 0) return text;
  meter.size(width * fill.length);
  const left = align === "left" ? 0 : align === "right" ? missing : (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

const zfill: Method = (call) => {
  const [width = null] = args(call, 1, 1);
  const [, sign, rest] = /^([+-]?)(.*)$/s.exec(call.text) as unknown as [string, string, string];
  return sign + padded(rest, indexOf(width) - sign.length, "0", "right", call.meter);
};

const partition =
  (isRight: boolean): Method =>
  (call) => {
    const [separator] = args(call, 1, 1);
    const sep = textArg(call, separator);
    if (sep === "") raise("ValueError", "empty separator");
    const at = isRight ? texts.findLast(call.text, sep, call.text.length, call.meter) : texts.find(call.text, sep, 0, call.meter);
    if (at < 0) return new Tuple(isRight ? ["", "", call.text] : [call.text, "", ""]);
    return new Tuple([call.text.slice(0, at), sep, call.text.slice(at + sep.length)]);
  };

const remove =
  (isEnd: boolean): Method =>
  ({ text, ...call }) => {
    const [part] = args({ text, ...call }, 1, 1);
    const gone = textArg({ text, ...call }, part);
    if (isEnd) return gone && text.endsWith(gone) ? text.slice(0, -gone.length) : text;
    return text.startsWith(gone) ? text.slice(gone.length) : text;
  };

const expandTabs: Method = (call) => {
  const [size = 8n] = bind(call.name, "tabsize?", call.args, call.kwargs);
  const width = indexOf(size);
  call.meter.read(call.text.length * 16);
  let [made, column] = ["", 0];
  for (const c of call.text) {
    const text = c === "\t" ? " ".repeat(width > 0 ? Math.min(width - (column % width), 1_000_000) : 0) : c;
    column = c === "\n" || c === "\r" ? 0 : column + text.length;
    made += text;
    if (text.length > 1) call.meter.grown(made.length, text.length);
  }
  return made;
};

const formatMethod: Method = ({ text, args: given, kwargs, lookup, meter, isMarkup }) =>
  format(text, { args: given, kwargs, lookup, meter, isMarkup });

const formatMap: Method = (call) => {
  const [map = null] = args(call, 1, 1);
  if (!(map instanceof Dict)) return raise("TypeError", "format_map() wants a mapping");
  const kwargs = new Map(map.list().flatMap(([key, value]) => (typeof key === "string" ? [[key, value] as const] : [])));
  return formatMethod({ ...call, args: [], kwargs });
};

const METHODS: Readonly<Record<string, Method>> = {
  strip: strip("both"),
  lstrip: strip("left"),
  rstrip: strip("right"),
  split: split(false),
  rsplit: split(true),
  splitlines: (call) => texts.lines(call.text, truth(bind(call.name, "keepends?", call.args, call.kwargs)[0] ?? false), call.meter),
  startswith: edge(false),
  endswith: edge(true),
  replace,
  find: search(false, false),
  rfind: search(true, false),
  index: search(false, true),
  rindex: search(true, true),
  count,
  join,
  upper: plain((text) => text.toUpperCase()),
  lower: plain((text) => text.toLowerCase()),
  casefold: plain(caseFold, EACH),
  title: plain(title, EACH),
  capitalize: plain(capitalize),
  swapcase: plain(swapCase, EACH),
  isspace: plain(isAllSpace, EACH),
  islower: plain((text) => isCase(text, "lower")),
  isupper: plain((text) => isCase(text, "upper")),
  istitle: plain(isTitle, EACH),
  isascii: plain((text) => /^\p{ASCII}*$/u.test(text)),
  isprintable: plain((text) => ![...text].some((c) => c !== " " && UNPRINTABLE.test(c)), EACH),
  removeprefix: remove(false),
  removesuffix: remove(true),
  zfill,
  center: pad("center"),
  ljust: pad("left"),
  rjust: pad("right"),
  partition: partition(false),
  rpartition: partition(true),
  expandtabs: expandTabs,
  format: formatMethod,
  format_map: formatMap,
};
