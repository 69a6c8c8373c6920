/** What the laws read in sources: tokens, texts, imports. */
import { posix } from "node:path";
import type { Files } from "./files.ts";
import { type Lexed, lex, lineFinder } from "./lexer.ts";

const lexed = new WeakMap<Files, Map<string, Lexed>>();

/** A file's tokens, read once for each set of files. */
export function tokensOf(files: Files, path: string): Lexed {
  const known = lexed.get(files) ?? new Map<string, Lexed>();
  lexed.set(files, known);
  const found = known.get(path) ?? lex(files.get(path)!);
  known.set(path, found);
  return found;
}

/** The source files of some rooms. */
export const code = (files: Files, ...rooms: string[]): string[] =>
  [...files.keys()].filter((path) => /\.(ts|mjs)$/.test(path) && rooms.some((room) => path.startsWith(`${room}/`)));

/** `file:line: what` for every match of a pattern in the code, strings and comments left out. */
export function matches(files: Files, path: string, pattern: RegExp, say: (match: string) => string): string[] {
  const { code: text } = tokensOf(files, path);
  const lineAt = lineFinder(text);
  return [...text.matchAll(new RegExp(pattern, "g"))].map((found) => `${path}:${lineAt(found.index)}: ${say(found[0].trim())}`);
}

const IMPORT =
  /^\s*(?:import|export)\b([^;"']*?)\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']/gm;

/** The repository paths that a file imports; `loaded` leaves out those of types alone. */
export function imports(files: Files, path: string, which: "all" | "loaded" = "all"): string[] {
  return [...tokensOf(files, path).bare.matchAll(IMPORT)]
    .filter((found) => which === "all" || !/^\s+type\b/.test(found[1] ?? ""))
    .map((found) => found[2] ?? found[3] ?? found[4]!)
    .filter((target) => target.startsWith("."))
    .map((target) => posix.join(posix.dirname(path), target));
}

/** The texts between quotes in a source or a JSON file. */
export function quoted(files: Files, path: string): { text: string; line: number }[] {
  if (/\.(ts|mjs)$/.test(path)) return tokensOf(files, path).tokens.filter(({ kind }) => kind === "string");
  const text = files.get(path)!;
  const lineAt = lineFinder(text);
  return path.endsWith(".json") ? [...text.matchAll(/"([^"\\]*)"/g)].map((found) => ({ text: found[1]!, line: lineAt(found.index) })) : [];
}
