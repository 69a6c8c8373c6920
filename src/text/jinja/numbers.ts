/** Python's numbers: how they are read, written, rounded and computed. */
import { LIMITS, type Meter } from "./meter.ts";
import { raise } from "./trouble.ts";

/** About how many bits a whole number has. */
export const bitsOf = (n: bigint): number => (n > -9007199254740992n && n < 9007199254740992n ? 53 : n.toString(16).length * 4);

/** A whole number as text; Python refuses to write more than 4300 digits. */
export function intText(n: bigint, meter: Meter): string {
  meter.bits(bitsOf(n));
  const text = n.toString();
  return text.length > 4300 + (n < 0n ? 1 : 0)
    ? raise("ValueError", "Exceeds the limit (4300 digits) for integer string conversion")
    : text;
}

/** A floating-point number as Python's `repr` writes it. */
export function floatText(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x < 0 ? "-inf" : "inf";
  if (Object.is(x, -0)) return "-0.0";
  const [mantissa, power] = x.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  const sign = x < 0 ? "-" : "";
  const digits = mantissa.replace(/[-.]/g, "");
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** A finite number as the fraction that it is exactly. */
function fraction(x: number): { top: bigint; bottom: bigint } {
  let [scaled, power] = [x, 0];
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    power++;
  }
  return { top: BigInt(scaled), bottom: 1n << BigInt(power) };
}

/** `top / bottom` to the nearest whole number, to the even one of two. */
export function divideEven(top: bigint, bottom: bigint): bigint {
  const isNegative = top < 0n;
  const size = isNegative ? -top : top;
  let quotient = size / bottom;
  const twice = (size % bottom) * 2n;
  if (twice > bottom || (twice === bottom && quotient % 2n === 1n)) quotient++;
  return isNegative ? -quotient : quotient;
}

/** The digits of |x| with `digits` behind the point, rounded as Python rounds. */
export function fixed(x: number, digits: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : "inf";
  const { top, bottom } = fraction(Math.abs(x));
  const text = divideEven(top * 10n ** BigInt(digits), bottom)
    .toString()
    .padStart(digits + 1, "0");
  return digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text;
}

/** The digits of |x| with an exponent and `digits` behind the point. */
export function scientific(x: number, digits: number): { digits: string; exponent: number } {
  if (x === 0) return { digits: "0".repeat(digits + 1), exponent: 0 };
  const { top, bottom } = fraction(Math.abs(x));
  let exponent = Math.floor(Math.log10(Math.abs(x)));
  for (;;) {
    const shift = BigInt(digits - exponent);
    const rounded = shift >= 0n ? divideEven(top * 10n ** shift, bottom) : divideEven(top, bottom * 10n ** -shift);
    const text = rounded.toString();
    if (text.length === digits + 1) return { digits: text, exponent };
    exponent += text.length > digits + 1 ? 1 : -1;
  }
}

/** `round(x, digits)` of a floating-point number. */
export function roundFloat(x: number, digits: number): number {
  if (!Number.isFinite(x) || digits > 400) return x;
  if (digits < -400) return x < 0 || Object.is(x, -0) ? -0 : 0;
  if (digits >= 0) return Number(`${x < 0 || Object.is(x, -0) ? "-" : ""}${fixed(x, digits)}`);
  const unit = 10n ** BigInt(-digits);
  const { top, bottom } = fraction(x);
  const rounded = Number(divideEven(top, bottom * unit) * unit);
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

/** The whole number that a text writes in a base, or undefined. Base 0 reads the prefix. */
export function parseInteger(text: string, base: number, meter: Meter): bigint | undefined {
  const found = /^([+-]?)(0[box])?(_?[0-9a-z](?:_?[0-9a-z])*)$/i.exec(text.length > 5000 ? "" : text);
  if (!found) return undefined;
  const [, sign, prefix = "", rest] = found as unknown as [string, string, string | undefined, string];
  const named = { "": 0, "0b": 2, "0o": 8, "0x": 16 }[prefix.toLowerCase()]!;
  const digits = (named && (base === 0 || base === named) ? rest : prefix + rest).replaceAll("_", "").toLowerCase();
  if (!named && rest.startsWith("_")) return undefined;
  const radix = base || named || 10;
  if (base === 0 && !named && /^0+[1-9]/.test(digits)) return undefined;
  if ([...digits].some((c) => Number.parseInt(c, 36) >= radix)) return undefined;
  meter.bits(digits.length * Math.log2(radix));
  let value = 0n;
  if (radix === 10 || radix === 16 || radix === 8 || radix === 2) value = BigInt({ 10: "", 16: "0x", 8: "0o", 2: "0b" }[radix] + digits);
  else for (const c of digits) value = value * BigInt(radix) + BigInt(Number.parseInt(c, 36));
  return sign === "-" ? -value : value;
}

/** The number that a text without spaces around it writes, or undefined. */
export function parseFloating(text: string): number | undefined {
  const word = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (word) return word[2]!.toLowerCase() === "nan" ? Number.NaN : word[1] === "-" ? -Infinity : Infinity;
  return /^[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:e[+-]?\d(?:_?\d)*)?$/i.test(text)
    ? Number(text.replaceAll("_", ""))
    : undefined;
}

/** A whole number as a floating-point one; refuses what is too large. */
export function toFloat(n: bigint): number {
  const x = Number(n);
  return Number.isFinite(x) ? x : raise("OverflowError", "int too large to convert to float");
}

/** The whole part of a floating-point number. */
export function truncated(x: number): bigint {
  if (Number.isNaN(x)) return raise("ValueError", "cannot convert float NaN to integer");
  return Number.isFinite(x) ? BigInt(Math.trunc(x)) : raise("OverflowError", "cannot convert float infinity to integer");
}

/** `a / b`, rounded once. */
export function divide(a: bigint, b: bigint): number {
  if (bitsOf(a) <= 53 && bitsOf(b) <= 53) return Number(a) / Number(b);
  const shift = Math.max(0, 70 + bitsOf(b) - bitsOf(a));
  const scaled = a << BigInt(shift);
  // a last bit that says whether something is left makes the rounding of the conversion right
  const quotient = (scaled / b) * 2n + (scaled % b === 0n ? 0n : a < 0n === b < 0n ? 1n : -1n);
  const whole = toFloat(quotient);
  return shift < 1_000 ? whole / 2 ** (shift + 1) : whole / 2 ** 1_000 / 2 ** (shift - 999);
}

export function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

/** The remainder with the sign of the divisor. */
export function floatMod(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

export function power(a: bigint, b: bigint, meter: Meter): bigint | number {
  if (b < 0n) return a === 0n ? raise("ZeroDivisionError", "0.0 cannot be raised to a negative power") : toFloat(a) ** toFloat(b);
  if (a >= -1n && a <= 1n) return b === 0n ? 1n : a === -1n && b % 2n === 0n ? 1n : a;
  if (b > BigInt(LIMITS.bits)) meter.bits(Number.POSITIVE_INFINITY);
  const size = a < 0n ? -a : a;
  meter.bits((bitsOf(a) > 53 ? bitsOf(a) : size.toString(2).length - 1) * Number(b));
  return a ** b;
}
