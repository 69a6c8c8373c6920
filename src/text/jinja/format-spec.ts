/** How Python formats one value: the digits of numbers, padding, signs and groups. */
import type { Meter } from "./meter.ts";
import { fixed, floatText, scientific } from "./numbers.ts";
import { str } from "./print.ts";
import { beginning, lengthOf } from "./text.ts";
import { raise } from "./trouble.ts";
import { asInt, textOf, typeName, type Value } from "./values.ts";

/** The largest width or precision; a wider one is refused by the meter anyway. */
const SIZE = 9_999_999;

interface Spec {
  fill: string;
  align: string;
  sign: string;
  isAlternate: boolean;
  width: number;
  group: string;
  precision: number | undefined;
  type: string;
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/su;

function parseSpec(text: string): Spec {
  const found = SPEC.exec(text);
  if (!found) return raise("ValueError", `Invalid format specifier '${text.slice(0, 100)}'`);
  const [, fill, align, sign = "", alternate, zero, width = "0", group = "", precision, type = ""] = found;
  if (Math.max(Number(width), Number(precision ?? 0)) > SIZE) raise("ValueError", "Too many decimal digits in format string");
  return {
    fill: fill ?? (zero ? "0" : " "),
    align: align ?? (zero ? "=" : ""),
    sign,
    isAlternate: alternate !== undefined,
    width: Number(width),
    group,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}

/** `format(value, spec)`. */
export function formatted(value: Value, spec: string, meter: Meter): string {
  if (spec === "") return str(value, meter);
  const text = textOf(value);
  const int = asInt(value);
  if (text === undefined && int === undefined && typeof value !== "number")
    return raise("TypeError", `unsupported format string passed to ${typeName(value)}.__format__`);
  const parsed = parseSpec(spec);
  if (text !== undefined) return formatText(text, parsed, spec.startsWith("0"), meter);
  if (int === undefined || /[eEfFgG%]/.test(parsed.type)) return formatFloat(Number(int ?? value), parsed, meter);
  return formatInt(int, parsed, meter);
}

function formatText(text: string, spec: Spec, isZero: boolean, meter: Meter): string {
  if (spec.type && spec.type !== "s") raise("ValueError", `Unknown format code '${spec.type}' for object of type 'str'`);
  if (spec.sign) raise("ValueError", "Sign not allowed in string format specifier");
  if (spec.align === "=" && !isZero) raise("ValueError", "'=' alignment not allowed in string format specifier");
  const cut = spec.precision === undefined ? text : beginning(text, spec.precision);
  return padded("", cut, { ...spec, align: spec.align === "=" ? "<" : spec.align || "<" }, meter);
}

const RADIX: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 };

function formatInt(int: bigint, spec: Spec, meter: Meter): string {
  if (spec.precision !== undefined) raise("ValueError", "Precision not allowed in integer format specifier");
  if (spec.type === "s") raise("ValueError", "Unknown format code 's' for object of type 'int'");
  if (spec.type === "c") return padded("", charOf(int), { ...spec, align: spec.align || "<" }, meter);
  const digits = (int < 0n ? -int : int).toString(RADIX[spec.type] ?? 10);
  const prefix = spec.isAlternate && RADIX[spec.type] ? `0${spec.type}` : "";
  const whole = spec.type === "X" ? digits.toUpperCase() : digits;
  return padded(signOf(int < 0n, spec) + prefix, whole, spec, meter, RADIX[spec.type] ? 4 : 3);
}

export const charOf = (int: bigint): string =>
  int >= 0n && int < 0x110000n ? String.fromCodePoint(Number(int)) : raise("OverflowError", "%c arg not in range(0x110000)");

const signOf = (isNegative: boolean, spec: Spec): string => (isNegative ? "-" : spec.sign === "-" ? "" : spec.sign);

function formatFloat(x: number, spec: Spec, meter: Meter): string {
  if (spec.type && !/[eEfFgGn%]/.test(spec.type)) raise("ValueError", `Unknown format code '${spec.type}' for object of type 'float'`);
  const digits = floatDigits(spec.type === "%" ? x * 100 : x, spec.type, spec.precision, spec.isAlternate, meter);
  const isNegative = x < 0 || Object.is(x, -0);
  return padded(signOf(isNegative, spec), digits + (spec.type === "%" ? "%" : ""), spec, meter, 3);
}

/** The digits of |x| for a presentation type; without a type as `repr` writes them, or with `precision` digits. */
export function floatDigits(x: number, type: string, precision: number | undefined, isAlternate: boolean, meter: Meter): string {
  const kind = type.toLowerCase();
  const cased = (text: string): string => (type === "E" || type === "F" || type === "G" ? text.toUpperCase() : text);
  if (!Number.isFinite(x)) return cased(Number.isNaN(x) ? "nan" : "inf");
  const places = precision ?? 6;
  meter.size(places + 400);
  if (places > 2_000) raise("Limit", `it writes a number with ${places} digits`);
  if (kind === "f" || kind === "%") return fixed(x, places) + (isAlternate && !places ? "." : "");
  if (kind === "e") return cased(exponential(x, places, isAlternate));
  if (kind === "" && precision === undefined) return floatText(Math.abs(x));
  return cased(general(x, places || 1, isAlternate, kind === ""));
}

function exponential(x: number, places: number, isAlternate: boolean): string {
  const { digits, exponent } = scientific(x, places);
  return mantissa(digits, isAlternate) + suffix(exponent);
}

const mantissa = (digits: string, isAlternate: boolean): string =>
  digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits + (isAlternate ? "." : "");
const suffix = (exponent: number): string => `e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;

/** Fixed or with an exponent, whichever is shorter; without the zeros at the end. */
function general(x: number, precision: number, isAlternate: boolean, isPlain: boolean): string {
  const { digits, exponent } = scientific(x, precision - 1);
  if (exponent < -4 || exponent >= (isPlain ? precision - 1 : precision)) {
    const kept = isAlternate ? digits : digits.replace(/(?<=.)0+$/, "");
    return mantissa(kept, isAlternate) + suffix(exponent);
  }
  const text = fixed(x, Math.max(0, precision - 1 - exponent));
  const kept = isAlternate || !text.includes(".") ? text : text.replace(/\.?0+$/, "");
  if (isPlain && !kept.includes(".")) return `${kept}.0`;
  return isAlternate && !kept.includes(".") ? `${kept}.` : kept;
}

/** The text with its sign, its groups and its padding. */
function padded(sign: string, body: string, spec: Spec, meter: Meter, group = 3): string {
  const whole = spec.group ? grouped(sign, body, spec, group) : body;
  const missing = spec.width - lengthOf(sign + whole, meter);
  if (missing <= 0) return sign + whole;
  meter.size(spec.width);
  const pad = spec.fill.repeat(missing);
  if (spec.align === "=") return sign + pad + whole;
  if (spec.align === "<") return sign + whole + pad;
  if (spec.align === "^") {
    const left = missing >> 1;
    return spec.fill.repeat(left) + sign + whole + spec.fill.repeat(missing - left);
  }
  return pad + sign + whole;
}

/** The digits with a mark between groups; padding with zeros is grouped as well. */
function grouped(sign: string, body: string, spec: Spec, size: number): string {
  if (!/^[\da-fA-F]/.test(body)) return body;
  const [, whole, rest] = /^([\da-fA-F]*?\d*|[\da-fA-F]*)((?:[.e%].*)?)$/.exec(body) as unknown as [string, string, string];
  const join = (digits: string): string => digits.replace(new RegExp(`(?<=.)(?=(?:.{${size}})+$)`, "g"), spec.group);
  let digits = whole;
  if (spec.fill === "0" && spec.align === "=") while (sign.length + join(digits).length + rest.length < spec.width) digits = `0${digits}`;
  return join(digits) + rest;
}
