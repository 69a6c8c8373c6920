/** The text of a string literal: Python's escapes, read as Jinja reads them. */
import { raise } from "./trouble.ts";

const SIMPLE: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\n": "",
};
const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/gu;

/**
 * The characters that a literal stands for. An unknown escape stays as it is. Jinja writes characters beyond ASCII as escapes
 * first, so that a backslash before one of them is read as half of `\\`.
 */
export function unescaped(literal: string, line: number): string {
  if (!literal.includes("\\")) return literal;
  return literal.replace(ESCAPE, (all: string, octal?: string, x?: string, u?: string, long?: string, other?: string) => {
    if (octal) return String.fromCodePoint(Number.parseInt(octal, 8));
    const hex = x ?? u ?? long;
    if (hex) {
      const code = Number.parseInt(hex, 16);
      return code > 0x10ffff ? raise("TemplateSyntaxError", "illegal Unicode character", line) : String.fromCodePoint(code);
    }
    if (other === "x" || other === "u" || other === "U") raise("TemplateSyntaxError", `truncated \\${other} escape`, line);
    if (other === "N") raise("Unsupported", "a character by its name (\\N)", line);
    const code = other!.codePointAt(0)!;
    return code > 0x7f ? pythonEscape(code) : (SIMPLE[other!] ?? all);
  });
}

/** `\xe9`, `\u20ac` or `\U0001f600`. */
export function pythonEscape(code: number): string {
  const hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
