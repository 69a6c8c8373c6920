/** Filters on texts, numbers and single values. */
import { bind, positional } from "./bind.ts";
import { capitalize } from "./case.ts";
import type { Env, FilterFunction } from "./env.ts";
import { percent } from "./format.ts";
import { toJson } from "./json.ts";
import { escaped } from "./markup.ts";
import { arithmetic, isIterable, iterate, negated } from "./operators.ts";
import { divideEven, parseFloating, parseInteger, roundFloat, toFloat, truncated } from "./numbers.ts";
import { str } from "./print.ts";
import { padded } from "./string-methods.ts";
import { isSpace } from "./space.ts";
import * as texts from "./text.ts";
import { raise } from "./trouble.ts";
import { asInt, Dict, indexOf, Markup, textOf, truth, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** A filter that changes a text: what is no text is written as one first, and what is safe stays safe. */
const onText =
  (name: string, parameters: string, change: (text: string, env: Env, args: readonly (Value | undefined)[]) => string): FilterFunction =>
  (env, value, args, kwargs) => {
    const bound = bind(name, parameters, args, kwargs);
    const text = str(value, env.meter);
    if (text.length > 64) env.meter.read(text.length);
    const made = change(text, env, bound);
    env.meter.size(made.length);
    return value instanceof Markup ? new Markup(made) : made;
  };

/** Each word with a capital; a word starts behind white space, a hyphen or an opening bracket. */
function title(text: string): string {
  let [made, word] = ["", ""];
  const close = (): string => {
    const [first = ""] = word;
    return first.toUpperCase() + word.slice(first.length).toLowerCase();
  };
  for (const c of text) {
    if (!isSpace(c.charCodeAt(0)) && !"-({[<".includes(c)) {
      word += c;
      continue;
    }
    made += close() + c;
    word = "";
  }
  return made + close();
}

const trim: FilterFunction = (env, value, args, kwargs) => {
  const [chars = null] = bind("do_trim", "chars?", args, kwargs);
  const text = str(value, env.meter);
  const set = chars === null ? undefined : (textOf(chars) ?? raise("TypeError", "strip arg must be None or str"));
  const made = texts.strip(text, set, "both", env.meter);
  return value instanceof Markup ? new Markup(made) : made;
};

const replace: FilterFunction = (env, value, args, kwargs) => {
  const [old, by, count = null] = bind("do_replace", "old new count?", args, kwargs);
  return texts.replace(str(value, env.meter), str(old!, env.meter), str(by!, env.meter), count === null ? -1 : indexOf(count), env.meter);
};

const indent: FilterFunction = (env, value, args, kwargs) => {
  const [width = 4n, first = false, blank = false] = bind("do_indent", "width? first? blank?", args, kwargs);
  const text = textOf(value);
  if (value instanceof Undefined) return value.fail();
  if (text === undefined) return raise("TypeError", `unsupported operand type(s) for +=: '${typeName(value)}' and 'str'`);
  const by = textOf(width) ?? texts.repeat(" ", BigInt(indexOf(width)), env.meter);
  const rows = texts.lines(`${text}\n`, false, env.meter);
  env.meter.size(text.length + rows.length * by.length);
  const made = rows.map((row, k) => (k && (truth(blank) || row) ? by + row : row)).join("\n");
  const whole = truth(first) ? by + made : made;
  return value instanceof Markup ? new Markup(whole) : whole;
};

const truncate: FilterFunction = (env, value, args, kwargs) => {
  const [length = 255n, kill = false, end = "...", leeway = null] = bind("do_truncate", "length? killwords? end? leeway?", args, kwargs);
  if (value instanceof Undefined) return value;
  const text = textOf(value) ?? raise("TypeError", `object of type '${typeName(value)}' cannot be truncated`);
  const tail = textOf(end) ?? raise("TypeError", "end must be a text");
  const kept = indexOf(length) - texts.lengthOf(tail, env.meter);
  if (kept < 0) raise("TemplateRuntimeError", `expected length >= ${tail.length}, got ${indexOf(length)}`);
  if (texts.lengthOf(text, env.meter) <= indexOf(length) + (leeway === null ? 5 : indexOf(leeway))) return value;
  const { meter } = env;
  const cut = text.slice(0, texts.placesOf(text, meter).unit(kept));
  return truth(kill) ? cut + tail : texts.splitRight(cut, " ", 1, meter)[0]! + tail;
};

const toInt: FilterFunction = (env, value, args, kwargs) => {
  const [otherwise = 0n, base = 10n] = bind("do_int", "default? base?", args, kwargs);
  if (value instanceof Undefined) return value.fail();
  const text = textOf(value);
  if (text === undefined) return typeof value === "number" ? wholeOr(value, otherwise, true) : (asInt(value) ?? otherwise);
  const bare = texts.strip(text, undefined, "both", env.meter);
  const radix = indexOf(base);
  if (radix !== 0 && (radix < 2 || radix > 36)) return wholeOr(parseFloating(bare), otherwise, false);
  return parseInteger(bare, radix, env.meter) ?? wholeOr(parseFloating(bare), otherwise, false);
};

/** The whole part of a number, or what stands for none. */
function wholeOr(x: number | undefined, otherwise: Value, isStrict: boolean): Value {
  if (x === undefined || Number.isNaN(x)) return otherwise;
  return Number.isFinite(x) || isStrict ? truncated(x) : otherwise;
}

const toReal: FilterFunction = (env, value, args, kwargs) => {
  const [otherwise = 0] = bind("do_float", "default?", args, kwargs);
  if (value instanceof Undefined) return value.fail();
  const text = textOf(value);
  if (text !== undefined) return parseFloating(texts.strip(text, undefined, "both", env.meter)) ?? otherwise;
  const int = asInt(value);
  return int !== undefined ? toFloat(int) : typeof value === "number" ? value : otherwise;
};

const round: FilterFunction = (env, value, args, kwargs) => {
  const [precision = 0n, method = "common"] = bind("do_round", "precision? method?", args, kwargs);
  if (method !== "common" && method !== "ceil" && method !== "floor") raise("FilterArgumentError", "method must be common, ceil or floor");
  const int = asInt(value);
  if (int === undefined && typeof value !== "number") return raise("TypeError", `type ${typeName(value)} doesn't define __round__ method`);
  if (method === "common") {
    const digits = indexOf(precision);
    if (int === undefined) return roundFloat(value as number, digits);
    if (digits >= 0) return int;
    env.meter.bits(-digits * 4);
    const unit = 10n ** BigInt(-digits);
    return divideEven(int, unit) * unit;
  }
  const { meter } = env;
  const unit = arithmetic("**", 10n, precision, meter);
  const scaled = arithmetic("*", value, unit, meter);
  const whole = typeof scaled === "number" ? truncated(Math[method](scaled)) : scaled;
  return arithmetic("/", whole, unit, meter);
};

const abs: FilterFunction = (_, value, args, kwargs) => {
  positional("abs", 0, 0, args, kwargs);
  const int = asInt(value);
  if (int !== undefined) return int < 0n ? negated(int, "-") : int;
  return typeof value === "number" ? Math.abs(value) : raise("TypeError", `bad operand type for abs(): '${typeName(value)}'`);
};

const orDefault: FilterFunction = (_, value, args, kwargs) => {
  const [otherwise = "", isBoolean = false] = bind("do_default", "default_value? boolean?", args, kwargs);
  return value instanceof Undefined || (truth(isBoolean) && !truth(value)) ? otherwise : value;
};

const tojson: FilterFunction = (env, value, args, kwargs) => {
  const [isAscii = false, width = null, separators = null, sorts = false] = bind(
    "tojson",
    "ensure_ascii? indent? separators? sort_keys?",
    args,
    kwargs,
  );
  return toJson(value, { isAscii: truth(isAscii), indent: width, separators, sorts: truth(sorts) }, env.meter);
};

const format: FilterFunction = (env, value, args, kwargs) => {
  if (args.length && kwargs.size) raise("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
  const values = kwargs.size ? new Dict(kwargs) : new Tuple(args);
  const made = percent(str(value, env.meter), values, env.meter, value instanceof Markup);
  return value instanceof Markup ? new Markup(made) : made;
};

const safe: FilterFunction = (env, value) => new Markup(str(value, env.meter));
const escape: FilterFunction = (env, value) => (value instanceof Markup ? value : new Markup(escaped(str(value, env.meter), env.meter)));

const quote = (text: string, isQuery: boolean, env: Env): string => {
  env.meter.read(text.length * 64);
  env.meter.size(text.length * 3);
  if (/\p{Cs}/u.test(text)) raise("ValueError", "surrogates not allowed");
  const made = encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return isQuery ? made.replaceAll("%20", "+") : made.replaceAll("%2F", "/");
};

const urlencode: FilterFunction = (env, value, args, kwargs) => {
  positional("do_urlencode", 0, 0, args, kwargs);
  const isText = textOf(value) !== undefined || !isIterable(value);
  const pairs = value instanceof Dict ? value.list().map((pair) => new Tuple(pair)) : isText ? undefined : iterate(value, env.meter);
  if (!pairs) return quote(str(value, env.meter), false, env);
  return Array.from(pairs, (pair) => {
    const [key, item, ...more] = [...iterate(pair, env.meter)];
    if (key === undefined || item === undefined || more.length) return raise("ValueError", "wanted pairs of a key and a value");
    return `${quote(str(key, env.meter), true, env)}=${quote(str(item, env.meter), true, env)}`;
  }).join("&");
};

const wordcount: FilterFunction = (env, value) => {
  const text = str(value, env.meter);
  env.meter.read(text.length * 32);
  return BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0);
};

export const TEXT_FILTERS: Readonly<Record<string, FilterFunction>> = {
  upper: onText("do_upper", "", (text) => text.toUpperCase()),
  lower: onText("do_lower", "", (text) => text.toLowerCase()),
  capitalize: onText("do_capitalize", "", capitalize),
  title: (env, value, args, kwargs) => {
    positional("do_title", 0, 0, args, kwargs);
    const text = str(value, env.meter);
    env.meter.read(text.length * 32);
    return title(text);
  },
  center: onText("do_center", "width?", (text, env, [width = 80n]) => padded(text, indexOf(width), " ", "center", env.meter)),
  string: (env, value) => (value instanceof Markup ? value : str(value, env.meter)),
  trim,
  replace,
  indent,
  truncate,
  int: toInt,
  float: toReal,
  round,
  abs,
  default: orDefault,
  d: orDefault,
  tojson,
  format,
  safe,
  escape,
  e: escape,
  forceescape: (env, value) => new Markup(escaped(str(value, env.meter), env.meter)),
  urlencode,
  wordcount,
  attr: (env, value, args, kwargs) => {
    const [name] = bind("do_attr", "name", args, kwargs);
    return env.members.attributeOnly(value, textOf(name!) ?? raise("TypeError", "attribute name must be string"));
  },
};
