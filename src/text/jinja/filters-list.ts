/** Filters on lists, dicts and whatever else has items. Those that Python writes as generators are read once and only as far as needed. */
import { bind, positional } from "./bind.ts";
import type { Env, FilterFunction } from "./env.ts";
import { type Getter, getter } from "./getter.ts";
import { backwards } from "./members.ts";
import { LIMITS } from "./meter.ts";
import { arithmetic, equals, iterate, listOf } from "./operators.ts";
import { str } from "./print.ts";
import { lengthOf } from "./text.ts";
import { raise } from "./trouble.ts";
import { Dict, indexOf, Iter, type Kwargs, Markup, PyObject, textOf, truth, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** `len(value)`. */
export function sizeOf(value: Value, env: Env): number {
  const text = textOf(value);
  if (text !== undefined) return lengthOf(text, env.meter);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple) return value.items.length;
  const size = value instanceof Dict ? value.size : value instanceof PyObject ? value.length() : undefined;
  return size ?? raise("TypeError", `object of type '${typeName(value)}' has no len()`);
}

const length: FilterFunction = (env, value, args, kwargs) => {
  positional("len", 0, 0, args, kwargs);
  return BigInt(sizeOf(value, env));
};

const sum: FilterFunction = (env, value, args, kwargs) => {
  const [path = null, start = 0n] = bind("do_sum", "attribute? start?", args, kwargs);
  if (textOf(start) !== undefined) raise("TypeError", "sum() can't sum strings [use ''.join(seq) instead]");
  const get = getter(env, path);
  let total = start;
  for (const item of iterate(value, env.meter)) total = arithmetic("+", total, get(item), env.meter);
  return total;
};

const join: FilterFunction = (env, value, args, kwargs) => {
  const [between = "", path = null] = bind("do_join", "d? attribute?", args, kwargs);
  const get = getter(env, path);
  const separator = str(between, env.meter);
  const parts: string[] = [];
  let size = 0;
  for (const item of iterate(value, env.meter)) {
    const text = str(get(item), env.meter);
    size += text.length + separator.length;
    if (size > LIMITS.text) env.meter.size(size);
    parts.push(text);
  }
  env.meter.size(size);
  const made = parts.join(separator);
  return between instanceof Markup && !parts.length ? new Markup("") : made;
};

const first: FilterFunction = (env, value, args, kwargs) => {
  positional("do_first", 0, 0, args, kwargs);
  for (const item of iterate(value, env.meter)) return item;
  return new Undefined("No first item, sequence was empty.");
};

const last: FilterFunction = (env, value, args, kwargs) => {
  positional("do_last", 0, 0, args, kwargs);
  const items = backwards(value, env.meter) ?? raise("TypeError", `'${typeName(value)}' object is not reversible`);
  for (const item of iterate(items, env.meter)) return item;
  return new Undefined("No last item, sequence was empty.");
};

const reverse: FilterFunction = (env, value, args, kwargs) => {
  positional("do_reverse", 0, 0, args, kwargs);
  if (typeof value !== "string" && !(value instanceof Markup)) return backwards(value, env.meter) ?? listOf(value, env.meter).reverse();
  return env.members.slice(value, null, null, -1n);
};

const items: FilterFunction = (_, value, args, kwargs) => {
  positional("do_items", 0, 0, args, kwargs);
  return new Iter(
    (function* () {
      if (value instanceof Undefined) return;
      if (!(value instanceof Dict)) raise("TypeError", "Can only get item pairs from a mapping.");
      for (const pair of value.list()) yield new Tuple(pair);
    })(),
  );
};

const batch: FilterFunction = (env, value, args, kwargs) => {
  const [count, fill = null] = bind("do_batch", "linecount fill_with?", args, kwargs);
  return new Iter(
    (function* () {
      let row: Value[] = [];
      for (const item of iterate(value, env.meter)) {
        if (equals(BigInt(row.length), count!, env.meter)) {
          yield row;
          row = [];
        }
        row.push(item);
        if (!(row.length & 1023)) env.meter.items(row.length);
      }
      if (!row.length) return;
      const missing = fill === null ? 0 : Math.max(0, indexOf(count!) - row.length);
      env.meter.items(row.length + missing);
      yield [...row, ...Array.from({ length: missing }, () => fill)];
    })(),
  );
};

const slice: FilterFunction = (env, value, args, kwargs) => {
  const [count, fill = null] = bind("do_slice", "slices fill_with?", args, kwargs);
  return new Iter(
    (function* () {
      const all = listOf(value, env.meter);
      const slices = indexOf(count!);
      if (slices === 0) raise("ZeroDivisionError", "integer division or modulo by zero");
      const size = Math.floor(all.length / slices);
      const extra = all.length - size * slices;
      for (let k = 0, offset = 0; k < slices; k++) {
        env.meter.step();
        const start = offset + k * size;
        if (k < extra) offset++;
        const row = all.slice(start, offset + (k + 1) * size);
        yield fill !== null && k >= extra ? [...row, fill] : row;
      }
    })(),
  );
};

const map: FilterFunction = (env, value, args, kwargs) => {
  const apply = mapper(env, args, kwargs);
  return new Iter(
    (function* () {
      if (!truth(value)) return;
      const each = apply();
      for (const item of iterate(value, env.meter)) yield each(item);
    })(),
  );
};

/** What `map` does with each item; it complains when the first one is asked for. */
function mapper(env: Env, args: readonly Value[], kwargs: Kwargs): () => Getter {
  return () => {
    if (!args.length && kwargs.has("attribute")) {
      const extra = [...kwargs.keys()].find((key) => key !== "attribute" && key !== "default");
      if (extra !== undefined) raise("FilterArgumentError", `Unexpected keyword argument '${extra}'`);
      return getter(env, kwargs.get("attribute")!, { otherwise: kwargs.get("default") ?? null });
    }
    const [name, ...rest] = args;
    if (name === undefined) return raise("FilterArgumentError", "map requires a filter argument");
    return (item) => env.filter(str(name, env.meter), item, rest, kwargs);
  };
}

/** `select` and `reject`, on the items or on an attribute of theirs. */
const selection =
  (wants: boolean, readsAttribute: boolean): FilterFunction =>
  (env, value, args, kwargs) =>
    new Iter(
      (function* () {
        if (!truth(value)) return;
        if (readsAttribute && !args.length) raise("FilterArgumentError", "Missing parameter for attribute name");
        const get: Getter = readsAttribute ? getter(env, args[0]!) : (item) => item;
        const [name, ...rest] = readsAttribute ? args.slice(1) : args;
        for (const item of iterate(value, env.meter)) {
          const tested = get(item);
          const holds = name === undefined ? truth(tested) : env.test(str(name, env.meter), tested, rest, kwargs);
          if (holds === wants) yield item;
        }
      })(),
    );

export const LIST_FILTERS: Readonly<Record<string, FilterFunction>> = {
  length,
  count: length,
  list: (env, value, args, kwargs) => {
    positional("do_list", 0, 0, args, kwargs);
    return listOf(value, env.meter);
  },
  first,
  last,
  join,
  sum,
  reverse,
  items,
  batch,
  slice,
  map,
  select: selection(true, false),
  reject: selection(false, false),
  selectattr: selection(true, true),
  rejectattr: selection(false, true),
};
