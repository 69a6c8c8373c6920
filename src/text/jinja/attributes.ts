/** Attributes and methods of lists, tuples, dicts and numbers. */
import { positional } from "./bind.ts";
import type { Meter } from "./meter.ts";
import { equals } from "./operators.ts";
import { bounds } from "./slices.ts";
import { raise } from "./trouble.ts";
import { asInt, Dict, Func, type Kwargs, PyObject, Tuple, type Value } from "./values.ts";

type Run = (args: readonly Value[], kwargs: Kwargs) => Value;

/** A method as a value. */
export const method = (name: string, run: Run | undefined): Func | undefined => run && new Func(name, run);

/** The method of a list, or undefined. */
export function listMethod(name: string, items: readonly Value[], meter: Meter): Run | undefined {
  if (name === "copy") return () => [...items];
  if (name === "count")
    return (args, kwargs) => {
      const [sought = null] = positional(name, 1, 1, args, kwargs);
      return BigInt(items.filter((item) => item === sought || equals(item, sought, meter)).length);
    };
  if (name !== "index") return undefined;
  return (args, kwargs) => {
    const [sought = null, start = 0n, stop = BigInt(items.length)] = positional(name, 1, 3, args, kwargs);
    const { from, count } = bounds(items.length, start, stop, null);
    const at = items.slice(from, from + count).findIndex((item) => item === sought || equals(item, sought, meter));
    return at < 0 ? raise("ValueError", "the value is not in list") : BigInt(at + from);
  };
}

/** An item that has a name, or a method of a tuple. */
export function tupleAttribute(name: string, tuple: Tuple, meter: Meter): Value | undefined {
  const named = tuple.names.indexOf(name);
  if (named >= 0) return tuple.items[named];
  return name === "copy" ? undefined : method(name, listMethod(name, tuple.items, meter));
}

/** `keys`, `values` and `items` of a dict: what can be read again and again, but has no positions. */
export class View extends PyObject {
  readonly type: string;
  private readonly items: () => Value[];

  constructor(type: string, items: () => Value[]) {
    super();
    this.type = type;
    this.items = items;
  }

  override iterate(): Iterator<Value> {
    return this.items()[Symbol.iterator]();
  }

  override length(): number {
    return this.items().length;
  }

  override print(repr: (value: Value) => string): string {
    return `${this.type}(${repr(this.items())})`;
  }
}

/** The method of a dict, or undefined. */
export function dictMethod(name: string, dict: Dict): Run | undefined {
  const none = (make: () => Value): Run => {
    return (args, kwargs) => {
      positional(name, 0, 0, args, kwargs);
      return make();
    };
  };
  switch (name) {
    case "items":
      return none(() => new View("dict_items", () => dict.list().map(([key, value]) => new Tuple([key, value]))));
    case "keys":
      return none(() => new View("dict_keys", () => dict.list().map(([key]) => key)));
    case "values":
      return none(() => new View("dict_values", () => dict.list().map(([, value]) => value)));
    case "copy":
      return none(() => new Dict(dict.list()));
    case "get":
      return (args, kwargs) => {
        const [key = null, otherwise = null] = positional(name, 1, 2, args, kwargs);
        return dict.has(key) ? dict.get(key)! : otherwise;
      };
    case "fromkeys":
      return () => raise("Unsupported", "the method fromkeys of a dict");
    default:
      return undefined;
  }
}

/** What numbers have. */
export function numberAttribute(name: string, value: boolean | bigint | number): Value | undefined {
  const none = (make: () => Value): Func =>
    new Func(name, (args, kwargs) => {
      positional(name, 0, 0, args, kwargs);
      return make();
    });
  const int = asInt(value);
  if (name === "real") return int ?? value;
  if (name === "conjugate") return none(() => int ?? value);
  if (name === "imag") return int === undefined ? 0 : 0n;
  if (int === undefined) {
    if (name === "is_integer") return none(() => Number.isInteger(value));
    return ["hex", "fromhex", "as_integer_ratio"].includes(name)
      ? none(() => raise("Unsupported", `the method ${name} of a float`))
      : undefined;
  }
  if (name === "numerator") return int;
  if (name === "denominator") return 1n;
  const bits = (int < 0n ? -int : int).toString(2);
  if (name === "bit_length") return none(() => (int === 0n ? 0n : BigInt(bits.length)));
  if (name === "bit_count") return none(() => BigInt(bits.replaceAll("0", "").length));
  return ["to_bytes", "from_bytes", "as_integer_ratio"].includes(name)
    ? none(() => raise("Unsupported", `the method ${name} of an int`))
    : undefined;
}
