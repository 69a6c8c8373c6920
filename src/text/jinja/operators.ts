/** Python's operators on values: arithmetic, comparison, membership. */
import { escaped } from "./markup.ts";
import type { Meter } from "./meter.ts";
import { bitsOf, divide, floatMod, floorDivide, power, toFloat } from "./numbers.ts";
import { find, order, repeat } from "./text.ts";
import { raise } from "./trouble.ts";
import { asInt, Dict, isNumeric, Iter, Markup, Range, textOf, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** `a + b` and the like, but `%` with a text on its left, which formats. */
export function arithmetic(operator: string, a: Value, b: Value, meter: Meter): Value {
  if (isNumeric(a) && isNumeric(b)) return numeric(operator, a, b, meter);
  const made = operator === "+" ? added(a, b, meter) : operator === "*" ? (repeated(a, b, meter) ?? repeated(b, a, meter)) : undefined;
  if (made !== undefined) return made;
  if (a instanceof Undefined) return a.fail();
  if (b instanceof Undefined) return b.fail();
  return raise("TypeError", `unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

function numeric(operator: string, a: boolean | bigint | number, b: boolean | bigint | number, meter: Meter): Value {
  const [x, y] = [asInt(a), asInt(b)];
  if (x === undefined || y === undefined)
    return floating(operator, x === undefined ? Number(a) : toFloat(x), y === undefined ? Number(b) : toFloat(y));
  if (y === 0n && (operator === "/" || operator === "//" || operator === "%")) raise("ZeroDivisionError", "division by zero");
  if (operator === "**") return power(x, y, meter);
  if (operator === "/") return divide(x, y);
  if (operator === "*") meter.bits(bitsOf(x) + bitsOf(y));
  else if (operator === "+" || operator === "-") meter.bits(Math.max(bitsOf(x), bitsOf(y)));
  if (operator === "+") return x + y;
  if (operator === "-") return x - y;
  if (operator === "*") return x * y;
  return operator === "//" ? floorDivide(x, y) : x - y * floorDivide(x, y);
}

function floating(operator: string, a: number, b: number): number {
  if (operator === "+") return a + b;
  if (operator === "-") return a - b;
  if (operator === "*") return a * b;
  if (operator === "**") return floatPower(a, b);
  if (b === 0) return raise("ZeroDivisionError", "float division by zero");
  if (operator === "/") return a / b;
  if (operator === "%") return floatMod(a, b);
  const rest = a % b;
  const quotient = (a - rest) / b - (rest !== 0 && rest < 0 !== b < 0 ? 1 : 0);
  const floor = Math.floor(quotient);
  return quotient === 0 ? (a / b < 0 || Object.is(a / b, -0) ? -0 : 0) : quotient - floor > 0.5 ? floor + 1 : floor;
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) raise("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  if (a < 0 && Number.isFinite(a) && Number.isFinite(b) && !Number.isInteger(b)) raise("Unsupported", "complex numbers");
  if (a === 1 || b === 0 || (a === -1 && !Number.isFinite(b))) return Number.isNaN(b) && a !== 1 ? Number.NaN : 1;
  const made = a ** b;
  return Number.isFinite(made) || !Number.isFinite(a) || !Number.isFinite(b)
    ? made
    : raise("OverflowError", "(34, 'Numerical result out of range')");
}

function added(a: Value, b: Value, meter: Meter): Value | undefined {
  const [x, y] = [textOf(a), textOf(b)];
  if (x !== undefined && y !== undefined) {
    meter.joined(x.length + y.length);
    if (typeof a === "string" && typeof b === "string") return x + y;
    return new Markup((a instanceof Markup ? x : escaped(x, meter)) + (b instanceof Markup ? y : escaped(y, meter)));
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    meter.items(a.length + b.length);
    return [...a, ...b];
  }
  if (!(a instanceof Tuple && b instanceof Tuple)) return undefined;
  meter.items(a.items.length + b.items.length);
  return new Tuple([...a.items, ...b.items]);
}

function repeated(a: Value, b: Value, meter: Meter): Value | undefined {
  const count = asInt(b);
  const text = textOf(a);
  if (count === undefined) return undefined;
  if (text !== undefined) {
    const made = repeat(text, count, meter);
    return a instanceof Markup ? new Markup(made) : made;
  }
  const items = Array.isArray(a) ? a : a instanceof Tuple ? a.items : undefined;
  if (!items) return undefined;
  const times = count > 0n ? Number(count) : 0;
  meter.items(items.length * times);
  const made = items.length ? Array.from({ length: times }, () => items).flat() : [];
  return Array.isArray(a) ? made : new Tuple(made);
}

export function negated(a: Value, sign: "-" | "+"): Value {
  if (a instanceof Undefined) return a.fail();
  const int = asInt(a);
  if (int !== undefined) return sign === "-" ? -int : int;
  return typeof a === "number" ? (sign === "-" ? -a : a) : raise("TypeError", `bad operand type for unary ${sign}: '${typeName(a)}'`);
}

/** `a == b`. */
export function equals(a: Value, b: Value, meter: Meter): boolean {
  meter.step();
  if (a === b) return !(typeof a === "number" && Number.isNaN(a));
  if (isNumeric(a) && isNumeric(b)) return sameNumber(a, b);
  const [x, y] = [textOf(a), textOf(b)];
  if (x !== undefined && y !== undefined) {
    if (x.length > 64) meter.read(x.length);
    return x === y;
  }
  const [items, others] = [itemsOf(a), itemsOf(b)];
  if (items && others && Array.isArray(a) === Array.isArray(b)) return allEqual(items, others, meter);
  if (a instanceof Dict && b instanceof Dict) return sameDict(a, b, meter);
  if (a instanceof Undefined) return b instanceof Undefined;
  return (
    a instanceof Range &&
    b instanceof Range &&
    a.count === b.count &&
    (!a.count || (a.start === b.start && (a.count === 1 || a.step === b.step)))
  );
}

const sameNumber = (a: boolean | bigint | number, b: boolean | bigint | number): boolean => {
  const [x, y] = [asInt(a) ?? a, asInt(b) ?? b];
  return typeof x === "bigint" || typeof y === "bigint"
    ? !(x < y) && !(x > y) && !Number.isNaN(Number(x)) && !Number.isNaN(Number(y))
    : x === y;
};

const itemsOf = (value: Value): readonly Value[] | undefined =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;

function allEqual(a: readonly Value[], b: readonly Value[], meter: Meter): boolean {
  if (a.length !== b.length) return false;
  meter.down();
  const isSame = a.every((item, k) => item === b[k] || equals(item, b[k]!, meter));
  meter.up();
  return isSame;
}

function sameDict(a: Dict, b: Dict, meter: Meter): boolean {
  if (a.size !== b.size) return false;
  meter.down();
  const isSame = a.list().every(([key, value]) => b.has(key) && (b.get(key) === value || equals(value, b.get(key)!, meter)));
  meter.up();
  return isSame;
}

/** Whether `a < b` and the like; refuses values that have no order. */
export function compare(operator: string, a: Value, b: Value, meter: Meter): boolean {
  meter.step();
  if (isNumeric(a) && isNumeric(b)) {
    const [x, y] = [asInt(a) ?? (a as number), asInt(b) ?? (b as number)];
    return operator === "<" ? x < y : operator === "<=" ? x <= y : operator === ">" ? x > y : x >= y;
  }
  const [x, y] = [textOf(a), textOf(b)];
  if (x !== undefined && y !== undefined) return holds(operator, order(x, y, meter));
  const [items, others] = [itemsOf(a), itemsOf(b)];
  if (items && others && Array.isArray(a) === Array.isArray(b)) {
    const k = items.findIndex((item, at) => at >= others.length || !(item === others[at] || equals(item, others[at]!, meter)));
    if (k < 0 || k >= others.length) return holds(operator, items.length - others.length);
    meter.down();
    const isSo = compare(operator, items[k]!, others[k]!, meter);
    meter.up();
    return isSo;
  }
  if (a instanceof Undefined) return a.fail();
  if (b instanceof Undefined) return b.fail();
  return raise("TypeError", `'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

const holds = (operator: string, sign: number): boolean =>
  operator === "<" ? sign < 0 : operator === "<=" ? sign <= 0 : operator === ">" ? sign > 0 : sign >= 0;

/** Whether `item` is in `container`. */
export function contains(item: Value, container: Value, meter: Meter): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const part = textOf(item);
    if (part === undefined) return raise("TypeError", `'in <string>' requires string as left operand, not ${typeName(item)}`);
    return find(text, part, 0, meter) >= 0;
  }
  if (container instanceof Dict) return container.has(item);
  for (const other of iterate(container, meter)) if (other === item || equals(other, item, meter)) return true;
  return false;
}

/** The items of a value, one step each. */
export function iterate(value: Value, meter: Meter): Iterable<Value> {
  return { [Symbol.iterator]: () => counted(iteratorOf(value), meter) };
}

function* counted(iterator: Iterator<Value>, meter: Meter): Generator<Value> {
  for (;;) {
    const next = iterator.next();
    if (next.done) return;
    meter.step();
    yield next.value;
  }
}

/** What reads a value's items; refuses what has none. */
function iteratorOf(value: Value): Iterator<Value> {
  const text = textOf(value);
  if (text !== undefined) return text[Symbol.iterator]();
  const items = itemsOf(value);
  if (items) return items[Symbol.iterator]();
  if (value instanceof Dict)
    return value
      .list()
      .map(([key]) => key)
      [Symbol.iterator]();
  const iterator =
    value !== null && typeof value === "object" ? (value as { iterate?(): Iterator<Value> | undefined }).iterate?.() : undefined;
  return iterator ?? raise("TypeError", `'${typeName(value)}' object is not iterable`);
}

/** Whether a value has items. */
export const isIterable = (value: Value): boolean =>
  textOf(value) !== undefined ||
  Boolean(itemsOf(value)) ||
  value instanceof Dict ||
  value instanceof Iter ||
  (value !== null && typeof value === "object" && "iterate" in value && value.iterate() !== undefined);

/** The items as a list. */
export function listOf(value: Value, meter: Meter): Value[] {
  const made: Value[] = [];
  for (const item of iterate(value, meter)) {
    made.push(item);
    if (!(made.length & 1023)) meter.items(made.length);
  }
  meter.items(made.length);
  return made;
}
