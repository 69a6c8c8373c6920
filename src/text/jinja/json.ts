/** The filter `tojson`: Python's `json.dumps` without the escapes that HTML needs. */
import type { Meter } from "./meter.ts";
import { compare } from "./operators.ts";
import { floatText, intText } from "./numbers.ts";
import { raise } from "./trouble.ts";
import { asInt, Dict, textOf, Tuple, typeName, type Value } from "./values.ts";

export interface JsonOptions {
  readonly isAscii: boolean;
  readonly indent: Value;
  readonly separators: Value;
  readonly sorts: boolean;
}

/** The value as JSON; refuses what JSON does not have. */
export function toJson(value: Value, options: JsonOptions, meter: Meter): string {
  return new Writer(options, meter).write(value, 0);
}

class Writer {
  private readonly meter: Meter;
  private readonly isAscii: boolean;
  private readonly sorts: boolean;
  private readonly indent: string | undefined;
  private readonly between: string;
  private readonly colon: string;
  private made = 0;

  constructor({ isAscii, indent, separators, sorts }: JsonOptions, meter: Meter) {
    this.meter = meter;
    this.isAscii = isAscii;
    this.sorts = sorts;
    this.indent = indentOf(indent, meter);
    [this.between, this.colon] = separatorsOf(separators, this.indent !== undefined);
  }

  write(value: Value, level: number): string {
    this.meter.step();
    const text = textOf(value);
    if (text !== undefined) return this.counted(this.text(text));
    if (value === null) return this.counted("null");
    if (typeof value === "boolean") return this.counted(String(value));
    if (typeof value === "bigint") return this.counted(intText(value, this.meter));
    if (typeof value === "number") return this.counted(floatJson(value));
    if (Array.isArray(value)) return this.list(value, level);
    if (value instanceof Tuple) return this.list(value.items, level);
    if (value instanceof Dict) return this.dict(value, level);
    return raise("TypeError", `Object of type ${typeName(value)} is not JSON serializable`);
  }

  private counted(text: string): string {
    this.made += text.length;
    this.meter.grown(this.made, text.length);
    return text;
  }

  private list(items: readonly Value[], level: number): string {
    return this.block("[", "]", level, items, (item) => this.write(item, level + 1));
  }

  private dict(dict: Dict, level: number): string {
    const entries = dict.list();
    if (this.sorts) entries.sort(([a], [b]) => (compare("<", a, b, this.meter) ? -1 : compare("<", b, a, this.meter) ? 1 : 0));
    return this.block(
      "{",
      "}",
      level,
      entries,
      ([key, value]) => this.counted(this.text(keyText(key, this.meter))) + this.colon + this.write(value, level + 1),
    );
  }

  private block<T>(open: string, close: string, level: number, items: readonly T[], write: (item: T) => string): string {
    if (!items.length) return open + close;
    this.meter.down();
    const line = (depth: number): string => (this.indent === undefined ? "" : this.counted(`\n${this.indent.repeat(depth)}`));
    const parts = items.map((item) => line(level + 1) + write(item));
    this.meter.up();
    return open + parts.join(this.between) + line(level) + close;
  }

  private text(text: string): string {
    this.meter.read(text.length * 4);
    const basic = text.replace(/[\p{Cc}\\"]/gu, (c) => NAMED[c] ?? (c < " " ? unit(c.charCodeAt(0)) : c));
    return `"${this.isAscii ? basic.replace(/\x7f|[^\p{ASCII}]/gu, units) : basic}"`;
  }
}

const NAMED: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
  "\\": "\\\\",
  '"': '\\"',
};
const units = (c: string): string => Array.from({ length: c.length }, (_, k) => unit(c.charCodeAt(k))).join("");
const unit = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`;

const floatJson = (x: number): string => (Number.isFinite(x) ? floatText(x) : Number.isNaN(x) ? "NaN" : x < 0 ? "-Infinity" : "Infinity");

function keyText(key: Value, meter: Meter): string {
  const text = textOf(key);
  if (text !== undefined) return text;
  if (key === null) return "null";
  if (typeof key === "boolean") return String(key);
  if (typeof key === "bigint") return intText(key, meter);
  return typeof key === "number" ? floatJson(key) : raise("TypeError", `keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function indentOf(indent: Value, meter: Meter): string | undefined {
  if (indent === null) return undefined;
  const text = textOf(indent);
  if (text !== undefined) return text;
  const count = asInt(indent);
  if (count === undefined) return raise("TypeError", `can't multiply sequence by non-int of type '${typeName(indent)}'`);
  const size = count > 0n ? Number(count) : 0;
  if (size > 1_000) raise("Limit", `an indent of ${size}, more than 1000`);
  meter.size(size);
  return " ".repeat(size);
}

function separatorsOf(separators: Value, isIndented: boolean): [string, string] {
  if (separators === null) return [isIndented ? "," : ", ", ": "];
  const items = Array.isArray(separators) ? separators : separators instanceof Tuple ? separators.items : [];
  const [between, colon] = items.map(textOf);
  return items.length === 2 && between !== undefined && colon !== undefined
    ? [between, colon]
    : raise("TypeError", "separators must be two texts");
}
