/** JSON from files nobody vouches for: where it breaks, and which key it says twice. */
import { fail } from "./fail.ts";

export interface JsonTrouble {
  /** Offset in UTF-16 code units. */
  readonly at: number;
  readonly problem: string;
}

export interface JsonRules {
  /** Refuse an object that says a key twice. */
  readonly unique?: boolean;
  /** Accept NaN, Infinity and -Infinity where a number may stand, as Python writes them. */
  readonly nonFinite?: boolean;
}

/** Parses text; an error names `what`, the line and the column. Refuses nothing that JSON allows unless the rules ask for keys said once. */
export function parseJson(text: string, what: string, who: string, { unique = false, nonFinite = false }: JsonRules = {}): unknown {
  let value: unknown;
  try {
    value = nonFinite ? parseNonFinite(text) : JSON.parse(text);
  } catch {
    const trouble = findTrouble(text, nonFinite) ?? { at: text.length, problem: "it cannot be read" };
    fail(
      who,
      `${what} is not JSON: ${trouble.problem} at ${place(text, trouble.at)}`,
      "valid JSON",
      "Fetch or write the file again.",
      "unavailable",
    );
  }
  const twice = unique ? findTrouble(text, nonFinite) : undefined;
  if (twice)
    fail(who, `${what}: ${twice.problem} at ${place(text, twice.at)}`, "each key once", "Fetch or write the file again.", "unavailable");
  return value;
}

/** A string, or a bare word that is no finite number. */
const STRING_OR_WORD = /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\bInfinity\b|\bNaN\b/g;

/**
 * JSON whose numbers may be NaN and infinite. Only what JSON refuses is read again: infinities become numbers too large for a float64, which
 * round to them; NaN becomes an object that no file says, for which NaN is put in. Neither can be a key, so nothing else is let in.
 */
function parseNonFinite(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const stand = `\u0000${text.length}`;
    const finite = text.replace(STRING_OR_WORD, (word) =>
      word.startsWith('"') ? word : word === "NaN" ? `{${JSON.stringify(stand)}:0}` : word.replace("Infinity", "1e999"),
    );
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

/** The first place where text stops being JSON or an object repeats a key; undefined when there is none. Its stack is an array, so depth costs nothing. */
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
      else return { at, problem: `${quote(c)} where a comma or a closing bracket belongs` };
      at++;
    } else if (c === "}" && wants === "key or }") {
      open.pop();
      at++;
      wants = "comma";
    } else if (wants === "key" || wants === "key or }") {
      const end = stringEnd(text, at);
      if (typeof end !== "number") return end;
      const key = JSON.parse(text.slice(at, end)) as string;
      if ((inside as Set<string>).has(key)) return { at, problem: `the key ${JSON.stringify(key.slice(0, 80))} twice` };
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
  if (text[at] !== '"') return { at, problem: `${quote(text[at]!)} where a quoted key belongs` };
  for (let i = at + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) return i + 1;
    if (c < 0x20) return { at: i, problem: "a control character inside a string" };
    if (c === 0x5c) {
      const escape = text[i + 1] ?? "";
      if (escape === "u" ? !/^[0-9a-fA-F]{4}$/.test(text.slice(i + 2, i + 6)) : !'"\\/bfnrt'.includes(escape) || !escape)
        return { at: i, problem: "a broken escape inside a string" };
      i += escape === "u" ? 5 : 1;
    }
  }
  return { at: text.length, problem: "a string without its end" };
}

function scalarEnd(text: string, at: number, nonFinite: boolean): number | JsonTrouble {
  for (const pattern of nonFinite ? [NON_FINITE, NUMBER, WORD] : [NUMBER, WORD]) {
    pattern.lastIndex = at;
    if (pattern.test(text)) return pattern.lastIndex;
  }
  return { at, problem: `${quote(text[at]!)} where a value belongs` };
}
