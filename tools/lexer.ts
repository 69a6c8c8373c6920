/** Tells code, strings and comments of a TypeScript file apart, so that a law about code is not broken by prose. */

export interface Token {
  readonly kind: "string" | "comment" | "regex";
  /** What stands between the quotes, or the whole comment. */
  readonly text: string;
  readonly line: number;
}

export interface Lexed {
  /** The source with the insides of strings, comments and regular expressions blanked; lines and columns are as they were. */
  readonly code: string;
  /** The source with its comments blanked. */
  readonly bare: string;
  readonly tokens: readonly Token[];
}

const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|yield|await))\s*$/;

/** Splits a source; a template's literal parts are strings, what stands in `${}` is code. */
export function lex(source: string): Lexed {
  const tokens: Token[] = [];
  const code = source.split("");
  const bare = source.split("");
  const blank = (target: string[], from: number, to: number): void => {
    for (let i = from; i < to; i++) if (target[i] !== "\n") target[i] = " ";
  };
  const lineAt = lineFinder(source);
  const take = (kind: Token["kind"], from: number, to: number, margin: number): void => {
    tokens.push({ kind, text: source.slice(from + margin, to - margin), line: lineAt(from) });
    blank(code, from + margin, to - margin);
    if (kind === "comment") blank(bare, from, to);
  };
  const braces: number[] = []; // depth of `{` in each open template substitution
  let i = 0;
  const template = (from: number): void => {
    let end = from + 1;
    while (end < source.length && source[end] !== "`" && !(source[end] === "$" && source[end + 1] === "{"))
      end += source[end] === "\\" ? 2 : 1;
    const opens = source[end] === "$";
    tokens.push({ kind: "string", text: source.slice(from + 1, end), line: lineAt(from) });
    blank(code, from + 1, end);
    if (opens) braces.push(0);
    i = end + (opens ? 2 : 1);
  };
  while (i < source.length) {
    const here = source[i]!;
    const two = source.slice(i, i + 2);
    const end = two === "//" ? lineEnd(source, i) : two === "/*" ? after(source, "*/", i + 2) : -1;
    if (end > 0) {
      take("comment", i, end, 0);
      i = end;
    } else if (here === '"' || here === "'") {
      const close = stringEnd(source, i, here);
      take("string", i, close, 1);
      i = close;
    } else if (here === "`") template(i);
    else if (here === "/" && BEFORE_REGEX.test(code.slice(Math.max(0, i - 40), i).join(""))) {
      const close = regexEnd(source, i);
      take("regex", i, close, 1);
      i = close;
    } else if (here === "}" && braces.at(-1) === 0) {
      braces.pop();
      template(i);
    } else {
      if (braces.length && here === "{") braces[braces.length - 1]!++;
      if (braces.length && here === "}") braces[braces.length - 1]!--;
      i++;
    }
  }
  return { code: code.join(""), bare: bare.join(""), tokens };
}

/** The line, from 1, of an offset. */
export function lineFinder(source: string): (offset: number) => number {
  const starts = [0];
  for (let i = 0; i < source.length; i++) if (source[i] === "\n") starts.push(i + 1);
  return (offset) => {
    let [low, high] = [0, starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}

const lineEnd = (source: string, from: number): number => {
  const at = source.indexOf("\n", from);
  return at < 0 ? source.length : at;
};

const after = (source: string, mark: string, from: number): number => {
  const at = source.indexOf(mark, from);
  return at < 0 ? source.length : at + mark.length;
};

function stringEnd(source: string, from: number, quote: string): number {
  let i = from + 1;
  while (i < source.length && source[i] !== quote && source[i] !== "\n") i += source[i] === "\\" ? 2 : 1;
  return i + 1;
}

function regexEnd(source: string, from: number): number {
  let inClass = false;
  let i = from + 1;
  for (; i < source.length && source[i] !== "\n"; i++) {
    if (source[i] === "\\") i++;
    else if (source[i] === "[") inClass = true;
    else if (source[i] === "]") inClass = false;
    else if (source[i] === "/" && !inClass) break;
  }
  return i + 1;
}
