/** Attributes, items and slices, with the rules of Jinja's immutable sandbox. */
import { dictMethod, listMethod, method, numberAttribute, tupleAttribute, View } from "./attributes.ts";
import type { Lookup } from "./format.ts";
import type { Meter } from "./meter.ts";
import { quoted } from "./print.ts";
import { bounds, rangeSlice } from "./slices.ts";
import { stringMethod } from "./string-methods.ts";
import { placesOf } from "./text.ts";
import { isOf, raise } from "./trouble.ts";
import { asInt, Dict, Iter, Markup, PyObject, Range, textOf, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** Methods that change their object; the sandbox has none of them. */
const CHANGING: Readonly<Record<string, readonly string[]>> = {
  dict: ["clear", "pop", "popitem", "setdefault", "update"],
  list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
};

/** `value.name` and `value[key]` for one rendering. */
export class Members implements Lookup {
  private readonly meter: Meter;

  constructor(meter: Meter) {
    this.meter = meter;
  }

  /** The attribute of that name, else the item under it, else an undefined value. */
  getattr(value: Value, name: string): Value {
    if (value instanceof Undefined) return value.fail();
    const attribute = this.attribute(value, name);
    if (attribute !== undefined) return attribute;
    return (
      (value instanceof Dict ? value.get(name) : undefined) ?? (value instanceof Dict && value.has(name) ? null : this.absent(value, name))
    );
  }

  /** The item under `key`, else the attribute of that name, else an undefined value. */
  getitem(value: Value, key: Value): Value {
    if (value instanceof Undefined) return value.fail();
    const item = this.item(value, key);
    if (item !== undefined) return item;
    const name = textOf(key);
    return (name === undefined ? undefined : this.attribute(value, name)) ?? this.absent(value, key);
  }

  /** The attribute alone, as the filter `attr` wants it. */
  attributeOnly(value: Value, name: string): Value {
    if (value instanceof Undefined) return value.fail();
    return this.attribute(value, name) ?? this.absent(value, name);
  }

  private absent(value: Value, key: Value): Undefined {
    const owner = value === null ? "None" : `${typeName(value)} object`;
    const name = typeof key === "string" ? quoted(key.slice(0, 100), this.meter) : undefined;
    return new Undefined(name === undefined ? `${owner} has no element ${shown(key)}` : `'${owner}' has no attribute ${name}`);
  }

  private attribute(value: Value, name: string): Value | undefined {
    const isUnsafe = name.startsWith("_") ? hasHidden(value, name) : CHANGING[typeName(value)]?.includes(name);
    if (isUnsafe) return new Undefined(`access to attribute '${name.slice(0, 100)}' of '${typeName(value)}' object is unsafe.`, true);
    if (name.startsWith("_")) return undefined;
    if (typeof value === "string" || value instanceof Markup) return method(name, stringMethod(name, value, this, this.meter));
    if (Array.isArray(value)) return method(name, listMethod(name, value, this.meter));
    if (value instanceof Tuple) return tupleAttribute(name, value, this.meter);
    if (value instanceof Dict) return method(name, dictMethod(name, value));
    if (value instanceof PyObject) return value.attribute(name);
    return value === null ? undefined : numberAttribute(name, value);
  }

  private item(value: Value, key: Value): Value | undefined {
    if (value instanceof Dict) return this.entry(value, key);
    const at = asInt(key);
    if (at === undefined) return undefined;
    const index = Number(at);
    const text = textOf(value);
    if (text !== undefined) return this.character(value, text, index);
    const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
    if (items) return items[index < 0 ? index + items.length : index];
    if (!(value instanceof Range)) return undefined;
    const place = index < 0 ? index + value.count : index;
    return place >= 0 && place < value.count ? value.at(place) : undefined;
  }

  private entry(dict: Dict, key: Value): Value | undefined {
    try {
      return dict.get(key);
    } catch (error) {
      if (isOf(error, "TypeError")) return undefined;
      throw error;
    }
  }

  private character(value: Value, text: string, index: number): Value | undefined {
    const places = placesOf(text, this.meter);
    const at = index < 0 ? index + places.length : index;
    if (!(at >= 0 && at < places.length)) return undefined;
    const found = text.slice(places.unit(at), places.unit(at + 1));
    return value instanceof Markup ? new Markup(found) : found;
  }

  /** `value[start:stop:step]`. */
  slice(value: Value, start: Value, stop: Value, step: Value): Value {
    if (value instanceof Undefined) return value.fail();
    const text = textOf(value);
    if (text !== undefined) {
      const made = this.sliceText(text, start, stop, step);
      return value instanceof Markup ? new Markup(made) : made;
    }
    const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
    if (!items && !(value instanceof Range)) return raise("TypeError", `'${typeName(value)}' object is not subscriptable`);
    const part = bounds(items?.length ?? (value as Range).count, start, stop, step);
    const { from, count, by } = part;
    if (!items) return rangeSlice(value as Range, part);
    this.meter.items(count);
    const made = Array.from({ length: count }, (_, k) => items[from + k * by]!);
    return Array.isArray(value) ? made : new Tuple(made);
  }

  private sliceText(text: string, start: Value, stop: Value, step: Value): string {
    const places = placesOf(text, this.meter);
    const { from, count, by } = bounds(places.length, start, stop, step);
    if (by === 1) return text.slice(places.unit(from), places.unit(from + count));
    this.meter.items(count);
    return Array.from({ length: count }, (_, k) => text.slice(places.unit(from + k * by), places.unit(from + k * by + 1))).join("");
  }
}

const shown = (key: Value): string => (typeof key === "bigint" ? String(key).slice(0, 100) : typeName(key));

/** Whether Python has the hidden attribute, which the sandbox then calls unsafe. */
const hasHidden = (value: Value, name: string): boolean =>
  /^__(?:class|doc|init|eq|hash|str|repr|dir|module|dict|new|reduce|getattribute|setattr|delattr|sizeof|format|subclasshook|init_subclass|lt|le|gt|ge|ne|len|iter|getitem|contains|add|mul)__$/.test(
    name,
  ) && !(value instanceof PyObject && value.type === "Namespace");

/** What can be read backwards: a row of items, a text, a dict; undefined for the rest. */
export function backwards(value: Value, meter: Meter): Iter | undefined {
  const text = textOf(value);
  if (text !== undefined) {
    meter.items(text.length);
    return new Iter([...text].reverse(), "reversed");
  }
  if (Array.isArray(value)) return new Iter(value.toReversed(), "list_reverseiterator");
  if (value instanceof Tuple) return new Iter(value.items.toReversed(), "reversed");
  if (value instanceof Dict)
    return new Iter(
      value
        .list()
        .map(([key]) => key)
        .reverse(),
      "dict_reversekeyiterator",
    );
  if (value instanceof Range)
    return new Iter({ [Symbol.iterator]: () => rangeSlice(value, bounds(value.count, null, null, -1n)).iterate() }, "range_iterator");
  return value instanceof View || value instanceof Undefined ? new Iter([...iterable(value)].reverse(), "reversed") : undefined;
}

const iterable = (value: View | Undefined): Iterable<Value> => ({ [Symbol.iterator]: () => value.iterate() });
