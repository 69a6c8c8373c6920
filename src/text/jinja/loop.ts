/** The variable `loop`: where a loop stands, and what comes before and after. */
import { positional } from "./bind.ts";
import { equals } from "./operators.ts";
import type { Meter } from "./meter.ts";
import { raise } from "./trouble.ts";
import { Func, PyObject, Undefined, type Value } from "./values.ts";

/** Reads the items of a loop, one ahead only when a template asks for the next one. */
export class Loop extends PyObject {
  readonly type = "LoopContext";
  private readonly meter: Meter;
  private readonly depth0: number;
  private readonly recurse: ((items: Value, depth: number) => string) | undefined;
  private iterator: Iterator<Value>;
  private index0 = -1;
  private count: number | undefined;
  private after: { value: Value } | undefined;
  private current: Value | undefined;
  private before: Value | undefined;
  private changes: readonly Value[] | undefined;

  constructor(
    items: Iterable<Value>,
    count: number | undefined,
    meter: Meter,
    depth0 = 0,
    recurse?: (items: Value, depth: number) => string,
  ) {
    super();
    this.iterator = items[Symbol.iterator]();
    this.count = count;
    this.meter = meter;
    this.depth0 = depth0;
    this.recurse = recurse;
  }

  /** The next item, or undefined at the end. */
  next(): Value | undefined {
    const ahead = this.peek();
    if (!ahead) return undefined;
    this.after = undefined;
    this.index0++;
    this.before = this.current;
    this.current = ahead.value;
    return ahead.value;
  }

  private peek(): { value: Value } | undefined {
    if (this.after) return this.after;
    const next = this.iterator.next();
    if (next.done) return undefined;
    this.after = { value: next.value };
    return this.after;
  }

  override length(): number {
    if (this.count !== undefined) return this.count;
    const rest: Value[] = [];
    for (let next = this.iterator.next(); !next.done; next = this.iterator.next()) {
      rest.push(next.value);
      this.meter.items(1);
    }
    this.meter.items(rest.length);
    this.iterator = rest[Symbol.iterator]();
    this.count = rest.length + this.index0 + 1 + (this.after ? 1 : 0);
    return this.count;
  }

  override print(): string {
    return `<LoopContext ${this.index0 + 1}/${this.length()}>`;
  }

  override attribute(name: string): Value | undefined {
    const at = this.index0;
    switch (name) {
      case "index":
        return BigInt(at + 1);
      case "index0":
        return BigInt(at);
      case "revindex":
        return BigInt(this.length() - at);
      case "revindex0":
        return BigInt(this.length() - at - 1);
      case "first":
        return at === 0;
      case "last":
        return !this.peek();
      case "length":
        return BigInt(this.length());
      case "depth":
        return BigInt(this.depth0 + 1);
      case "depth0":
        return BigInt(this.depth0);
      case "previtem":
        return at === 0 || this.before === undefined ? new Undefined("there is no previous item") : this.before;
      case "nextitem":
        return this.peek()?.value ?? (this.after ? null : new Undefined("there is no next item"));
      case "cycle":
      case "changed":
        return new Func(name, (args, kwargs) => this[name](positional(name, 0, Number.POSITIVE_INFINITY, args, kwargs)));
      default:
        return undefined;
    }
  }

  private cycle(args: readonly Value[]): Value {
    return args.length ? args[this.index0 % args.length]! : raise("TypeError", "no items for cycling given");
  }

  private changed(values: readonly Value[]): boolean {
    const last = this.changes;
    if (last?.length === values.length && values.every((value, k) => equals(value, last[k]!, this.meter))) return false;
    this.changes = values;
    return true;
  }

  override call(args: readonly Value[]): Value {
    if (!this.recurse) return raise("TypeError", "The loop must have the 'recursive' marker to be called recursively.");
    const [items] = positional("loop", 1, 1, args, new Map());
    return this.recurse(items!, this.depth0 + 1);
  }
}
