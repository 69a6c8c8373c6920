/** YAML from untrusted files: read within limits of length and depth; a complaint has its line and column. */
import { type Document, Lexer, LineCounter, parseDocument } from "yaml";
import { wordsOf } from "./bounded.ts";
import { fail } from "./fail.ts";
import { DEEPEST } from "./json.ts";

/** Characters that a file of settings may have. Keys are compared with each other, so the time grows with the square of the length. */
const LONGEST = 1 << 17;

export interface Yaml {
  readonly value: unknown;
  readonly document: Document.Parsed;
  /** The line and column of an offset in the text. */
  readonly placeAt: (offset: number) => { readonly line: number; readonly column: number };
}

/** How the caller names the file and a place in it. */
export interface YamlWords {
  readonly who: string;
  /** What a complaint about the whole file begins with, such as "FILE". */
  readonly file: string;
  /** What a complaint about a place begins with, such as "FILE line 3". */
  readonly at: (line: number, column: number) => string;
}

/** Reads YAML, which JSON is too; refuses what is invalid, too long, too deep, or what expands without end. */
export function parseYaml(text: string, { who, file, at }: YamlWords, { merge = false }: { readonly merge?: boolean } = {}): Yaml {
  if (text.length > LONGEST) fail(who, `${file} has ${text.length} characters`, `at most ${LONGEST}`, "It is a file of settings.");
  const lines = new LineCounter();
  const placeAt = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const deep = deepAt(text);
  if (deep !== undefined) {
    const before = text.slice(0, deep).split("\n");
    fail(who, `${at(before.length, before.at(-1)!.length + 1)} nests more than ${DEEPEST} levels deep`, "fewer", "");
  }
  const document = parseDocument(text, { lineCounter: lines, merge, prettyErrors: false });
  const [wrong] = document.errors;
  if (wrong) {
    const { line, column } = placeAt(wrong.pos[0]);
    fail(who, `${at(line, column)}: ${wrong.message}`, "YAML or JSON", "");
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: 1000 });
    JSON.stringify(value); // fails if an alias is inside the value that it names
    return { value, document, placeAt };
  } catch (error) {
    return fail(who, `${file} holds what does not end (${wordsOf(error)})`, "fewer aliases", "");
  }
}

/** Tokens of the lexer that are not in the text: the beginnings of a document, of a scalar and of an error. */
const UNWRITTEN: readonly string[] = ["\u0002", "\u001f", "\u0018"];

/** The offset at which brackets, indented lines and marks of lists nest too deep; undefined if they do not. */
function deepAt(text: string): number | undefined {
  const columns: number[] = []; // where the blocks begin that are open
  let [offset, brackets, column, begins] = [0, 0, 0, true]; // a block may begin at the start of a line, and behind the mark of an entry
  for (const token of new Lexer().lex(text)) {
    if (UNWRITTEN.includes(token)) continue;
    const isBlank = token.trim() === "";
    if (token === "[" || token === "{") brackets++;
    else if (token === "]" || token === "}") brackets--;
    if (begins && !isBlank && brackets === 0) {
      while (columns.length > 0 && columns.at(-1)! >= column) columns.pop();
      columns.push(column);
    }
    if (brackets + columns.length > DEEPEST) return offset;
    offset += token.length;
    const end = token.lastIndexOf("\n");
    column = end < 0 ? column + token.length : token.length - end - 1;
    begins = end === token.length - 1 || (begins && (isBlank || token === "-" || token === "?"));
  }
  return undefined;
}
