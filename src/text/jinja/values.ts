/** Python's values as a template sees them. A whole number is a bigint, a floating-point number a number, so that 1 and 1.0 differ. */
import { raise } from "./trouble.ts";

export type Value = null | boolean | bigint | number | string | Value[] | Tuple | Dict | PyObject;
export type Kwargs = ReadonlyMap<string, Value>;

export class Tuple {
  readonly items: readonly Value[];
  /** Names of the items, where a filter gives them some. */
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** Anything else. What a class does not define, Python refuses with a TypeError. */
export abstract class PyObject {
  /** The name of its type in Python. */
  abstract readonly type: string;

  attribute(_name: string): Value | undefined {
    return undefined;
  }

  /** The text of `repr`; undefined for what prints an address, which differs in each run. */
  print(_repr: (value: Value) => string): string | undefined {
    return undefined;
  }

  iterate(): Iterator<Value> | undefined {
    return undefined;
  }

  length(): number | undefined {
    return undefined;
  }

  call?(args: readonly Value[], kwargs: Kwargs): Value;
}

/** What a name or a member is that does not exist. It can be printed, iterated and tested, and nothing else. */
export class Undefined extends PyObject {
  readonly type = "Undefined";
  readonly message: string;
  readonly isUnsafe: boolean;

  constructor(message: string, isUnsafe = false) {
    super();
    this.message = message;
    this.isUnsafe = isUnsafe;
  }

  /** Refuses what cannot be done with an undefined value. */
  fail(): never {
    return raise(this.isUnsafe ? "SecurityError" : "UndefinedError", this.message);
  }

  override print(): string {
    return "Undefined";
  }

  override iterate(): Iterator<Value> {
    return [][Symbol.iterator]();
  }

  override length(): number {
    return 0;
  }

  override call(): Value {
    return this.fail();
  }
}

/** A text that `safe` or `escape` made: what is joined to it is escaped. */
export class Markup extends PyObject {
  readonly type = "Markup";
  readonly text: string;

  constructor(text: string) {
    super();
    this.text = text;
  }
}

/** A function or a method. */
export class Func extends PyObject {
  readonly type: string = "function";
  readonly name: string;
  private readonly run: (args: readonly Value[], kwargs: Kwargs) => Value;

  constructor(name: string, run: (args: readonly Value[], kwargs: Kwargs) => Value) {
    super();
    this.name = name;
    this.run = run;
  }

  override call(args: readonly Value[], kwargs: Kwargs): Value {
    return this.run(args, kwargs);
  }
}

/** What can be read once, item by item. */
export class Iter extends PyObject {
  readonly type: string;
  private readonly iterator: Iterator<Value>;

  constructor(items: Iterable<Value>, type = "generator") {
    super();
    this.type = type;
    this.iterator = items[Symbol.iterator]();
  }

  override iterate(): Iterator<Value> {
    return this.iterator;
  }
}

export class Range extends PyObject {
  readonly type = "range";
  readonly start: bigint;
  readonly step: bigint;
  readonly count: number;
  private readonly stop: bigint;

  constructor(start: bigint, stop: bigint, step: bigint, count: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.count = count;
  }

  at(index: number): bigint {
    return this.start + this.step * BigInt(index);
  }

  override *iterate(): Iterator<Value> {
    for (let k = 0; k < this.count; k++) yield this.at(k);
  }

  override length(): number {
    return this.count;
  }

  override print(): string {
    return `range(${this.start}, ${this.stop}${this.step === 1n ? "" : `, ${this.step}`})`;
  }

  override attribute(name: string): Value | undefined {
    return name === "start" || name === "stop" || name === "step" ? this[name] : undefined;
  }
}

/** Items under keys, in the order in which they came. */
export class Dict {
  private readonly entries = new Map<unknown, readonly [key: Value, value: Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.entries.size;
  }

  get(key: Value): Value | undefined {
    return this.entries.get(hashOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.entries.has(hashOf(key));
  }

  /** A key that is there keeps its first form. */
  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    this.entries.set(hash, [this.entries.get(hash)?.[0] ?? key, value]);
  }

  list(): (readonly [Value, Value])[] {
    return [...this.entries.values()];
  }
}

/** What equal keys have in common; refuses values that can change. */
export function hashOf(key: Value, depth = 0): unknown {
  if (typeof key === "string") return `s${key}`;
  if (key instanceof Markup) return `s${key.text}`;
  if (typeof key === "boolean") return key ? "n1" : "n0";
  if (typeof key === "bigint") return `n${key}`;
  if (typeof key === "number") return Number.isInteger(key) ? `n${BigInt(key)}` : `n${key}`;
  if (Array.isArray(key) || key instanceof Dict) return raise("TypeError", `unhashable type: '${typeName(key)}'`);
  if (key instanceof Undefined) return Undefined;
  if (!(key instanceof Tuple)) return key;
  if (depth > 20) return raise("Limit", "it uses a tuple as a key that nests more than 20 levels deep");
  const parts = key.items.map((item) => hashOf(item, depth + 1));
  if (parts.every((part) => typeof part === "string")) return `t${parts.map((part) => `${part.length}:${part}`).join("")}`;
  return parts.length === 1 ? parts[0] : raise("Unsupported", "a tuple of objects as a key");
}

export const isNumeric = (value: Value): value is boolean | bigint | number =>
  typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";

/** The characters of a text, marked safe or not. */
export const textOf = (value: Value): string | undefined =>
  typeof value === "string" ? value : value instanceof Markup ? value.text : undefined;

/** The name of a value's type in Python. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return "float";
  if (typeof value === "string") return "str";
  if (Array.isArray(value)) return "list";
  return value instanceof Tuple ? "tuple" : value instanceof Dict ? "dict" : value.type;
}

/** Whether a condition with this value holds. */
export function truth(value: Value): boolean {
  if (value === null) return false;
  if (typeof value !== "object") return Boolean(value);
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  return value instanceof Markup ? value.text !== "" : value.length() !== 0;
}

/** A bool as the whole number that it is in Python. */
export const asInt = (value: Value): bigint | undefined =>
  typeof value === "bigint" ? value : typeof value === "boolean" ? (value ? 1n : 0n) : undefined;

/** A value as an index or a count: a whole number that JavaScript counts with, or a TypeError. */
export function indexOf(value: Value): number {
  const int = asInt(value);
  if (int === undefined) return raise("TypeError", `'${typeName(value)}' object cannot be interpreted as an integer`);
  return Number(int);
}
