/** The tokens of a template, read one after the other, and how deep the parser is in them. */
import type { Token } from "./lexer.ts";
import { LIMITS } from "./meter.ts";
import { raise } from "./trouble.ts";

const WORDS: Readonly<Record<string, string>> = {
  "{%": "begin of statement block",
  "%}": "end of statement block",
  "{{": "begin of print statement",
  "}}": "end of print statement",
  data: "template data / text",
  eof: "end of template",
};

/** How a message names a token. */
export const describe = (token: Token): string => (token.type === "name" ? token.value : (WORDS[token.type] ?? token.type));

export class Stream {
  private at = 0;
  private depth = 0;
  private readonly tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get current(): Token {
    return this.tokens[this.at]!;
  }

  get next(): Token {
    return this.tokens[Math.min(this.at + 1, this.tokens.length - 1)]!;
  }

  /** Returns the current token and goes on. */
  take(): Token {
    const token = this.current;
    if (token.type !== "eof") this.at++;
    return token;
  }

  isOp(...types: readonly string[]): boolean {
    return types.includes(this.current.type);
  }

  isName(...names: readonly string[]): boolean {
    return this.current.type === "name" && names.includes(this.current.value);
  }

  /** Goes on if the current token is this operator. */
  skipOp(type: string): boolean {
    return this.isOp(type) && Boolean(this.take());
  }

  skipName(name: string): boolean {
    return this.isName(name) && Boolean(this.take());
  }

  expect(type: string): Token {
    if (this.current.type === type) return this.take();
    return this.fail(
      this.current.type === "eof"
        ? `unexpected end of template, expected '${WORDS[type] ?? type}'.`
        : `expected token '${WORDS[type] ?? type}', got '${describe(this.current).slice(0, 100)}'`,
    );
  }

  expectName(name: string): Token {
    return this.isName(name) ? this.take() : this.fail(`expected token '${name}', got '${describe(this.current).slice(0, 100)}'`);
  }

  fail(message: string, line = this.current.line): never {
    return raise("TemplateSyntaxError", message, line);
  }

  /** Refuses a chain of too many operators: each is one level of the tree. */
  link(count: number): void {
    if (count > LIMITS.chain) raise("Limit", `it has more than ${LIMITS.chain} operators in a row`, this.current.line);
  }

  /** Parses something that may contain itself. */
  nested<T>(parse: () => T): T {
    if (++this.depth > LIMITS.nesting) raise("Limit", `it nests more than ${LIMITS.nesting} levels deep`, this.current.line);
    const parsed = parse();
    this.depth--;
    return parsed;
  }
}
