/** How long files and functions are: a mirror, not a gate. */
import type { Files } from "./files.ts";
import { lex, lineFinder } from "./lexer.ts";
import { entries, SHELVES } from "./shelves.ts";

export interface Size {
  readonly what: string;
  readonly lines: number;
  readonly limit: number;
}

const METHODS = SHELVES[0]!;

/** What in `src/` and `tools/` is past its limit, longest first: files 400 lines, methods' files 150, functions 60. */
export function sizes(files: Files): Size[] {
  const found: Size[] = [];
  const note = (what: string, lines: number, limit: number): unknown => lines > limit && found.push({ what, lines, limit });
  const methods = new Set(entries(METHODS, files.keys()).map((id) => `${METHODS.folder}/${id}.ts`));
  for (const [path, text] of files) {
    if (!/^(src|tools)\/.*\.(ts|mjs)$/.test(path)) continue;
    note(path, text.trimEnd().split("\n").length, methods.has(path) ? 150 : 400);
    for (const { name, line, lines } of functions(text)) note(`${path}:${line} ${name}`, lines, 60);
  }
  return found.sort((a, b) => b.lines - a.lines);
}

const STARTS =
  /\bfunction\s*\*?\s*([\w$]*)\s*(?:<[^(]*>)?\s*\(|^\s*(?:(?:public|private|protected|static|override|async|get|set)\s+)*\*?(?!if\b|for\b|while\b|switch\b|catch\b|return\b|function\b)([\w$]+)\s*(?:<[^(]*>)?\s*\((?=[^;]*\{)|=>\s*\(?\{/gm;

/** The functions of a source with their lines, found by their brackets (no parser: close enough for a mirror). */
export function functions(source: string): { name: string; line: number; lines: number }[] {
  const { code } = lex(source);
  const lineAt = lineFinder(code);
  return [...code.matchAll(STARTS)].flatMap((found) => {
    const arrow = found[0].startsWith("=>");
    const open = arrow ? found.index + found[0].length - 1 : bodyAfter(code, found.index + found[0].length - 1);
    if (open < 0) return [];
    const start = found.index + found[0].search(/\S/);
    const line = lineAt(start);
    const before = code.slice(0, start).split("\n").at(-1)!;
    const name =
      found[1] ?? found[2] ?? /([\w$]+)\s*(?::[^=]*)?=[^=]*$|([\w$]+)\s*:[^:]*$/.exec(before)?.slice(1).find(Boolean) ?? "(unnamed)";
    return [{ name, line, lines: lineAt(closing(code, open)) - line + 1 }];
  });
}

/** Where the body opens after a parameter list that opens at `paren`, or -1 when none follows. */
function bodyAfter(code: string, paren: number): number {
  let i = closing(code, paren) + 1;
  for (; i < code.length; i++) {
    if (code[i] === ";" || code[i] === "," || code[i] === ")") return -1;
    if (code[i] !== "{") continue;
    if (!/[:|&<,]\s*$/.test(code.slice(Math.max(0, i - 20), i))) return i;
    i = closing(code, i); // a type, as in `): { a: number } {`
  }
  return -1;
}

const PAIRS: Readonly<Record<string, string>> = { "(": ")", "{": "}", "[": "]" };

/** The offset of the bracket that closes the one at `open`. */
function closing(code: string, open: number): number {
  const [opens, closes] = [code[open]!, PAIRS[code[open]!]];
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if (code[i] === opens) depth++;
    else if (code[i] === closes && --depth === 0) return i;
  }
  return code.length - 1;
}
