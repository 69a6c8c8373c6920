/** `str` and `repr`: how Python writes a value. */
import { UNPRINTABLE } from "./case.ts";
import type { Meter } from "./meter.ts";
import { floatText, intText } from "./numbers.ts";
import { raise } from "./trouble.ts";
import { pythonEscape } from "./unescape.ts";
import { Dict, Markup, type PyObject, Tuple, Undefined, type Value } from "./values.ts";

/** The text of a value where it is printed or joined. */
export function str(value: Value, meter: Meter): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return "";
  return repr(value, meter);
}

/** The text of a value inside a list, with quotes. */
export function repr(value: Value, meter: Meter): string {
  return new Printer(meter).print(value);
}

class Printer {
  private readonly meter: Meter;
  /** The containers that are being printed; one inside itself is shortened. */
  private readonly open = new Set<object>();
  private made = 0;

  constructor(meter: Meter) {
    this.meter = meter;
  }

  print(value: Value): string {
    this.meter.step();
    const text = this.one(value);
    if (!(value !== null && typeof value === "object")) this.made += text.length;
    this.meter.grown(this.made, text.length >> 3);
    return text;
  }

  private one(value: Value): string {
    if (value === null) return "None";
    if (typeof value === "boolean") return value ? "True" : "False";
    if (typeof value === "bigint") return intText(value, this.meter);
    if (typeof value === "number") return floatText(value);
    if (typeof value === "string") return quoted(value, this.meter);
    if (Array.isArray(value)) return this.inside(value, "[...]", () => `[${this.list(value)}]`);
    if (value instanceof Tuple)
      return this.inside(value, "(...)", () => `(${this.list(value.items)}${value.items.length === 1 ? "," : ""})`);
    if (value instanceof Dict) return this.inside(value, "{...}", () => this.dict(value));
    if (value instanceof Markup) return `Markup(${quoted(value.text, this.meter)})`;
    return this.object(value);
  }

  private list(items: readonly Value[]): string {
    return items.map((item) => this.print(item)).join(", ");
  }

  private dict(dict: Dict): string {
    const pairs = dict.list().map(([key, value]) => `${this.print(key)}: ${this.print(value)}`);
    return `{${pairs.join(", ")}}`;
  }

  private object(value: PyObject): string {
    const text = this.inside(value, "...", () => value.print((inner) => this.print(inner)));
    return text ?? raise("Unsupported", `printing a ${value.type}, whose text is an address that differs in each run`);
  }

  private inside<T extends string | undefined>(value: object, shortened: T, print: () => T): T {
    if (this.open.has(value)) return shortened;
    this.open.add(value);
    this.meter.down();
    const text = print();
    this.meter.up();
    this.open.delete(value);
    return text;
  }
}

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
const SPECIAL = new RegExp(`\\\\|(?! )${UNPRINTABLE.source}`, "gu");

/** A text in quotes: single ones, unless the text has single and no double ones. */
export function quoted(text: string, meter: Meter): string {
  if (text.length > 64) meter.read(text.length * 4);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = text.replace(SPECIAL, (c) => NAMED[c] ?? pythonEscape(c.codePointAt(0)!));
  meter.size(inside.length);
  return `${quote}${quote === "'" ? inside.replaceAll("'", "\\'") : inside}${quote}`;
}

/** The same with escapes for everything beyond ASCII. */
export const ascii = (value: Value, meter: Meter): string =>
  repr(value, meter).replace(/\P{ASCII}/gu, (c) => pythonEscape(c.codePointAt(0)!));
