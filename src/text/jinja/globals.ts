/** The functions that every template may call: range, namespace, dict, cycler, joiner, raise_exception. */
import { positional } from "./bind.ts";
import { LIMITS, type Meter } from "./meter.ts";
import { iterate } from "./operators.ts";
import { str } from "./print.ts";
import { raise } from "./trouble.ts";
import { asInt, Dict, Func, type Kwargs, PyObject, Range, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** What `namespace()` makes: attributes that a template may set. */
export class Namespace extends PyObject {
  readonly type = "Namespace";
  private readonly attributes: Dict;

  constructor(attributes: Dict) {
    super();
    this.attributes = attributes;
    for (const [key] of attributes.list()) checkName(key);
  }

  override attribute(name: string): Value | undefined {
    return this.attributes.has(name) ? this.attributes.get(name) : undefined;
  }

  set(name: string, value: Value): void {
    checkName(name);
    this.attributes.set(name, value);
  }

  override print(repr: (value: Value) => string): string {
    return `<Namespace ${repr(this.attributes)}>`;
  }
}

function checkName(name: Value): void {
  if (typeof name === "string" && name.startsWith("_"))
    raise("SecurityError", `Chat templates cannot store underscore-prefixed attributes on a namespace, but got '${name.slice(0, 100)}'`);
}

/** `dict(...)`: from another dict or from pairs, with more under names. */
function dictOf(args: readonly Value[], kwargs: Kwargs, meter: Meter): Dict {
  const [from] = positional("dict", 0, 1, args, new Map());
  const made = new Dict(from instanceof Dict ? from.list() : []);
  if (from !== undefined && !(from instanceof Dict)) {
    for (const pair of iterate(from, meter)) {
      const [key, value, ...more] = [...iterate(pair, meter)];
      if (key === undefined || value === undefined || more.length)
        raise("ValueError", "dictionary update sequence element must have length 2");
      made.set(key!, value!);
    }
  }
  for (const [key, value] of kwargs) made.set(key, value);
  return made;
}

function range(args: readonly Value[], kwargs: Kwargs): Range {
  const numbers = positional("range", 1, 3, args, kwargs).map((value) => {
    if (value instanceof Undefined) return value.fail();
    return asInt(value) ?? raise("TypeError", `'${typeName(value)}' object cannot be interpreted as an integer`);
  });
  const [start, stop, step] = numbers.length === 1 ? [0n, numbers[0]!, 1n] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1n];
  if (step === 0n) raise("ValueError", "range() arg 3 must not be zero");
  const span = step > 0n ? stop - start : start - stop;
  const size = step > 0n ? step : -step;
  const count = span > 0n ? (span + size - 1n) / size : 0n;
  if (count > BigInt(LIMITS.range)) raise("Limit", `range() of ${count} numbers, more than ${LIMITS.range}`);
  return new Range(start, stop, step, Number(count));
}

class Cycler extends PyObject {
  readonly type = "Cycler";
  private readonly items: readonly Value[];
  private at = 0;

  constructor(items: readonly Value[]) {
    super();
    this.items = items.length ? items : raise("TemplateRuntimeError", "at least one item has to be provided");
  }

  override attribute(name: string): Value | undefined {
    if (name === "current") return this.items[this.at];
    if (name === "items") return new Tuple(this.items);
    if (name === "pos") return BigInt(this.at);
    if (name === "reset")
      return new Func(name, () => {
        this.at = 0;
        return null;
      });
    if (name !== "next") return undefined;
    return new Func(name, () => {
      const item = this.items[this.at]!;
      this.at = (this.at + 1) % this.items.length;
      return item;
    });
  }
}

class Joiner extends PyObject {
  readonly type = "Joiner";
  private readonly separator: Value;
  private isUsed = false;

  constructor(separator: Value) {
    super();
    this.separator = separator;
  }

  override attribute(name: string): Value | undefined {
    return name === "sep" ? this.separator : name === "used" ? this.isUsed : undefined;
  }

  override call(): Value {
    const text = this.isUsed ? this.separator : "";
    this.isUsed = true;
    return text;
  }
}

/** The functions by name. `strftime` writes the date for `strftime_now`. */
export function globalsOf(meter: Meter, strftime: (format: string) => string): Map<string, Value> {
  const functions: Readonly<Record<string, (args: readonly Value[], kwargs: Kwargs) => Value>> = {
    range,
    dict: (args, kwargs) => dictOf(args, kwargs, meter),
    namespace: (args, kwargs) => new Namespace(dictOf(args, kwargs, meter)),
    cycler: (args) => new Cycler(args),
    joiner: (args, kwargs) => new Joiner(args[0] ?? kwargs.get("sep") ?? ", "),
    lipsum: () => raise("Unsupported", "the function lipsum, which draws words"),
    raise_exception: (args, kwargs) => raise("Raised", str(args[0] ?? kwargs.get("message") ?? "", meter)),
    strftime_now: (args, kwargs) => strftime(str(args[0] ?? kwargs.get("format") ?? "", meter)),
  };
  return new Map(Object.entries(functions).map(([name, run]) => [name, new Func(name, run)]));
}
