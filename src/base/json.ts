/** JSON from untrusted files: finds where it is invalid, and duplicate keys. */
import { fail } from "./fail.ts";

export interface JsonTrouble {
  /** Offset in UTF-16 code units. */
  readonly at: number;
  readonly problem: string;
}

/** Levels that a description or a file of settings may nest. */
export const DEEPEST = 100;

export interface JsonRules {
  /** Refuse an object with a duplicate key. */
  readonly unique?: boolean;
  /** Accept NaN, Infinity and -Infinity as numbers, as Python writes them. */
  readonly nonFinite?: boolean;
  /** Refuse lists and objects that nest deeper than this. Recursive code would overflow the stack. */
  readonly deepest?: number;
}

/** Parses text; an error names `what`, the line and the column. Accepts all JSON, except duplicate keys if the rules forbid them. */
export function parseJson(
  text: string,
  what: string,
  who: string,
  { unique = false, nonFinite = false, deepest }: JsonRules = {},
): unknown {
  let value: unknown;
  try {
    value = nonFinite ? parseNonFinite(text) : JSON.parse(text);
  } catch {
    const trouble = findTrouble(text, nonFinite) ?? { at: text.length, problem: "it cannot be read" };
    fail(
      who,
      `${what} is not JSON: ${trouble.problem} at ${place(text, trouble.at)}`,
      "valid JSON",
      "Download or write the file again.",
      "unavailable",
    );
  }
  const twice = unique ? findTrouble(text, nonFinite) : undefined;
  if (twice)
    fail(who, `${what}: ${twice.problem} at ${place(text, twice.at)}`, "each key once", "Download or write the file again.", "unavailable");
  if (deepest !== undefined && nestsDeeper(value, deepest))
    fail(who, `${what} nests more than ${deepest} levels deep`, "fewer", "Download or write the file again.", "unavailable");
  return value;
}

/** Whether lists and objects nest deeper than so many levels. */
function nestsDeeper(value: unknown, levels: number): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
    if (depth > levels) return true;
  }
  return false;
}

/** Where a string ends that begins with a quotation mark at `from`; the end of the text where it does not. A loop, because a pattern keeps a place to go back to for each character. */
export function closingQuote(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at;
    if (code === 0x5c) at++;
  }
  return text.length;
}

/** The text with what is outside of its strings replaced. */
function outsideStrings(text: string, replaced: (piece: string) => string): string {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return pieces.concat(replaced(text.slice(at))).join("");
    const end = closingQuote(text, quote) + 1;
    pieces.push(replaced(text.slice(at, quote)), text.slice(quote, end));
    at = end;
  }
  return pieces.join("");
}

/**
 * Reads JSON whose numbers may be NaN or infinite. Valid JSON is read as usual. In other text, Infinity becomes a number too large for a
 * float64, and the parser rounds it to infinity. NaN becomes an object that the text cannot contain, and that object becomes NaN again.
 * Keys cannot be NaN or Infinity, so no other text is accepted.
 */
function parseNonFinite(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const stand = `\u0000${text.length}`;
    const numbered = (word: string): string => (word === "NaN" ? `{${JSON.stringify(stand)}:0}` : word.replace("Infinity", "1e999"));
    const finite = outsideStrings(text, (piece) => piece.replace(/-?\bInfinity\b|\bNaN\b/g, numbered));
    return JSON.parse(finite, (_, value: unknown) => (isRecord(value) && Object.hasOwn(value, stand) ? NaN : value));
  }
}

/** True of a JSON object: not null, not an array. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function place(text: string, at: number): string {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  return `line ${line}, column ${at - before.lastIndexOf("\n")}`;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const NON_FINITE = /NaN|-?Infinity/y;

/** The first place where text is not JSON or an object repeats a key; undefined if there is none. Its stack is an array, so deep nesting is safe. */
export function findTrouble(text: string, nonFinite = false): JsonTrouble | undefined {
  const open: (Set<string> | "list")[] = [];
  let at = 0;
  let wants: "value" | "value or ]" | "key" | "key or }" | "comma" = "value";
  const skip = (): void => {
    while (at < text.length && " \n\r\t".includes(text[at]!)) at++;
  };
  for (;;) {
    skip();
    if (at >= text.length) return open.length || wants !== "comma" ? { at, problem: "it ends too early" } : undefined;
    const c = text[at]!;
    const inside = open.at(-1);
    if (wants === "comma") {
      if (!inside) return { at, problem: `${quote(c)} after the end` };
      if (c === ",") wants = inside === "list" ? "value" : "key";
      else if (c === (inside === "list" ? "]" : "}")) open.pop();
      else return { at, problem: `${quote(c)} instead of a comma or a closing bracket` };
      at++;
    } else if (c === "}" && wants === "key or }") {
      open.pop();
      at++;
      wants = "comma";
    } else if (wants === "key" || wants === "key or }") {
      const end = stringEnd(text, at);
      if (typeof end !== "number") return end;
      const key = JSON.parse(text.slice(at, end)) as string;
      if ((inside as Set<string>).has(key)) return { at, problem: `duplicate key ${JSON.stringify(key.slice(0, 80))}` };
      (inside as Set<string>).add(key);
      at = end;
      skip();
      if (text[at] !== ":") return { at, problem: "a colon is missing" };
      at++;
      wants = "value";
    } else if (c === "]" && wants === "value or ]") {
      open.pop();
      at++;
      wants = "comma";
    } else if (c === "{" || c === "[") {
      open.push(c === "{" ? new Set() : "list");
      at++;
      wants = c === "{" ? "key or }" : "value or ]";
    } else {
      const end = c === '"' ? stringEnd(text, at) : scalarEnd(text, at, nonFinite);
      if (typeof end !== "number") return end;
      at = end;
      wants = "comma";
    }
  }
}

const quote = (c: string): string => JSON.stringify(c);

/** One past the closing quote of the string that begins at `at`. */
function stringEnd(text: string, at: number): number | JsonTrouble {
  if (text[at] !== '"') return { at, problem: `${quote(text[at]!)} instead of a quoted key` };
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) return i + 1;
    if (c < 0x20) return { at: i, problem: "a control character inside a string" };
    if (c === 0x5c) {
      const escape = text[i + 1] ?? "";
      if (escape === "u" ? !/^[0-9a-fA-F]{4}$/.test(text.slice(i + 2, i + 6)) : !'"\\/bfnrt'.includes(escape) || !escape)
        return { at: i, problem: "an invalid escape inside a string" };
      i += escape === "u" ? 5 : 1;
    }
  }
  return { at: text.length, problem: "a string without a closing quote" };
}

function scalarEnd(text: string, at: number, nonFinite: boolean): number | JsonTrouble {
  for (const pattern of nonFinite ? [NON_FINITE, NUMBER, WORD] : [NUMBER, WORD]) {
    pattern.lastIndex = at;
    if (pattern.test(text)) return pattern.lastIndex;
  }
  return { at, problem: `${quote(text[at]!)} instead of a value` };
}

/** JSON with bare NaN and Infinity, as Python's json module writes and reads them. */
export function pythonJson(value: unknown): string {
  if (typeof value === "number") return Number.isNaN(value) ? "NaN" : Number.isFinite(value) ? JSON.stringify(value) : String(value);
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (isRecord(value))
    return `{${Object.entries(value)
      .filter(([, of]) => of !== undefined)
      .map(([key, of]) => `${JSON.stringify(key)}: ${pythonJson(of)}`)
      .join(", ")}}`;
  return JSON.stringify(value) ?? "null";
}
