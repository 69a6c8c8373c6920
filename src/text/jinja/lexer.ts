/** Splits a template into tokens by Jinja's rules, with `trim_blocks` and `lstrip_blocks` on and no trailing newline kept. */
import { skipSpace, skipSpaceBack } from "./space.ts";
import { raise } from "./trouble.ts";
import { unescaped } from "./unescape.ts";

/** An operator's type is its text; the tags' types are `{{`, `}}`, `{%` and `%}`. */
export interface Token {
  readonly type: string;
  /** The text of a name, a string or data; the digits of a number. */
  readonly value: string;
  readonly line: number;
}

const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{ID_Continue}\p{N}]+/uy;
const IDENTIFIER = /^[\p{ID_Start}_]\p{ID_Continue}*$/u;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const CLOSES: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** The tokens of a template. */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  return new Lexer(source).run();
}

class Lexer {
  private readonly tokens: Token[] = [];
  private at = 0;
  private line = 1;
  /** Whether the text at `at` starts a line, so that `lstrip_blocks` applies to it. */
  private isLineStart = true;
  private readonly source: string;
  /** The next line break. */
  private lineEnd: number;

  constructor(source: string) {
    this.source = source;
    this.lineEnd = lineEnd(source, 0);
  }

  run(): Token[] {
    const { source } = this;
    while (this.at < source.length) {
      const tag = nextTag(source, this.at);
      if (tag < 0) {
        this.data(source.slice(this.at));
        this.advance(source.length);
        break;
      }
      this.open(tag);
    }
    this.push("eof", "");
    return this.tokens;
  }

  private push(type: string, value: string): void {
    this.tokens.push({ type, value, line: this.line });
  }

  private data(text: string): void {
    if (text) this.push("data", text);
  }

  /** Moves to `to` and counts the lines on the way. */
  private advance(to: number): void {
    for (; this.lineEnd < to; this.lineEnd = lineEnd(this.source, this.lineEnd + 1)) this.line++;
    this.isLineStart = this.source[to - 1] === "\n";
    this.at = to;
  }

  /** The text before the tag at `tag`, without the spaces that the tag takes away; and the position behind its sign. */
  private before(tag: number, strips: boolean): { text: string; inside: number } {
    const { source, at } = this;
    const sign = source[tag + 2];
    const inside = tag + (sign === "-" || sign === "+" ? 3 : 2);
    if (sign === "-") return { text: source.slice(at, skipSpaceBack(source, tag, at)), inside };
    if (sign === "+" || !strips) return { text: source.slice(at, tag), inside };
    const text = source.slice(at, tag);
    const start = text.lastIndexOf("\n") + 1;
    const isStripped = (start > 0 || this.isLineStart) && skipSpaceBack(text, text.length, start) === start;
    return { text: isStripped ? text.slice(0, start) : text, inside };
  }

  /** Reads the text before a tag, and the tag. */
  private open(tag: number): void {
    const { source } = this;
    const kind = source[tag + 1]!;
    const { text, inside } = this.before(tag, kind !== "{");
    this.data(text);
    const raw = kind === "%" ? rawTag(source, inside) : undefined;
    this.advance(raw ?? inside);
    if (raw !== undefined) this.raw();
    else if (kind === "#") this.comment();
    else {
      this.push(`{${kind}`, "");
      this.inside(kind === "{" ? "}}" : "%}");
    }
  }

  private comment(): void {
    const end = this.source.indexOf("#}", this.at);
    if (this.at >= this.source.length) return;
    if (end < 0) raise("TemplateSyntaxError", "Missing end of comment tag", this.line);
    this.advance(this.behind(end, end > this.at ? this.source[end - 1]! : ""));
  }

  /** The position behind the end of a block or comment at `end`, with the white space that it takes along. */
  private behind(end: number, sign: string): number {
    if (sign === "-") return skipSpace(this.source, end + 2);
    return end + 2 + (sign !== "+" && this.source[end + 2] === "\n" ? 1 : 0);
  }

  /** The text up to `{% endraw %}`. As in Jinja, a template may end right behind the tag that opens it. */
  private raw(): void {
    const { source } = this;
    if (this.at >= source.length) return;
    for (let tag = source.indexOf("{%", this.at); tag >= 0; tag = source.indexOf("{%", tag + 1)) {
      const end = endraw(source, tag);
      if (!end) continue;
      this.data(this.before(tag, true).text);
      return this.advance(this.behind(end.at, end.sign));
    }
    raise("TemplateSyntaxError", "Missing end of raw directive", this.line);
  }

  /** The tokens of a tag up to `close`. */
  private inside(close: string): void {
    const { source } = this;
    const open: string[] = [];
    for (;;) {
      const next = skipSpace(source, this.at);
      const end = open.length ? undefined : closing(source, next, close);
      if (end) {
        this.advance(next);
        this.push(close, "");
        return this.advance(close === "%}" ? this.behind(end.at, end.sign) : end.sign ? skipSpace(source, end.at + 2) : end.at + 2);
      }
      this.advance(next);
      if (next >= source.length) return;
      this.word(open);
    }
  }

  /** One number, name, string or operator. */
  private word(open: string[]): void {
    const { source, at, line } = this;
    const match = (pattern: RegExp): string | undefined => {
      pattern.lastIndex = at;
      return pattern.exec(source)?.[0];
    };
    const take = (type: string, text: string, value = text): void => {
      this.push(type, value);
      this.advance(at + text.length);
    };
    const float = match(FLOAT);
    if (float !== undefined) return take("float", float, float.replaceAll("_", ""));
    const integer = match(INTEGER);
    if (integer !== undefined) return take("integer", integer, integer.replaceAll("_", ""));
    const name = match(NAME);
    if (name !== undefined) {
      if (!IDENTIFIER.test(name)) raise("TemplateSyntaxError", `Invalid character in identifier ${name.slice(0, 40)}`, line);
      return take("name", name);
    }
    const quoted = source[at] === '"' || source[at] === "'" ? stringEnd(source, at) : -1;
    if (quoted > 0) return take("string", source.slice(at, quoted), unescaped(source.slice(at + 1, quoted - 1), line));
    const operator = match(OPERATOR);
    if (operator === undefined) raise("TemplateSyntaxError", `unexpected char ${JSON.stringify(source[at])}`, line);
    this.balance(open, operator);
    take(operator, operator);
  }

  private balance(open: string[], operator: string): void {
    if (CLOSES[operator]) open.push(CLOSES[operator]);
    else if (operator === ")" || operator === "]" || operator === "}") {
      const expected = open.pop();
      if (expected !== operator)
        raise("TemplateSyntaxError", `unexpected '${operator}'${expected ? `, expected '${expected}'` : ""}`, this.line);
    }
  }
}

/** The position of the next line break, or past the end. */
function lineEnd(source: string, at: number): number {
  const found = source.indexOf("\n", at);
  return found < 0 ? Number.POSITIVE_INFINITY : found;
}

/** The position of the next `{{`, `{%` or `{#`, or -1. */
function nextTag(source: string, at: number): number {
  for (let k = source.indexOf("{", at); k >= 0; k = source.indexOf("{", k + 1)) {
    const next = source[k + 1];
    if (next === "{" || next === "%" || next === "#") return k;
  }
  return -1;
}

/** The position behind a `raw` tag whose inside starts at `at`; unlike other blocks it takes no newline along. */
function rawTag(source: string, at: number): number | undefined {
  const word = skipSpace(source, at);
  if (!source.startsWith("raw", word)) return undefined;
  const end = skipSpace(source, word + 3);
  if (source.startsWith("-%}", end)) return skipSpace(source, end + 3);
  return source.startsWith("%}", end) ? end + 2 : undefined;
}

/** The end of a tag `{% endraw %}` at `tag`: the position of its `%}` and the sign before it. */
function endraw(source: string, tag: number): { at: number; sign: string } | undefined {
  const sign = source[tag + 2];
  const word = skipSpace(source, tag + (sign === "-" || sign === "+" ? 3 : 2));
  return source.startsWith("endraw", word) ? closing(source, skipSpace(source, word + 6), "%}") : undefined;
}

/** Whether a tag ends at `at`; a variable knows no `+`. */
function closing(source: string, at: number, close: string): { at: number; sign: string } | undefined {
  if (source.startsWith(close, at)) return { at, sign: "" };
  const sign = source[at];
  return (sign === "-" || (sign === "+" && close === "%}")) && source.startsWith(close, at + 1) ? { at: at + 1, sign } : undefined;
}

/** The position behind the string that starts at `at`, or -1 when it does not end. */
function stringEnd(source: string, at: number): number {
  const quote = source[at];
  for (let k = at + 1; k < source.length; k++) {
    if (source[k] === "\\") k++;
    else if (source[k] === quote) return k + 1;
  }
  return -1;
}
