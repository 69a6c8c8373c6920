/** What goes wrong in a template: errors with Python's names, since filters and lookups treat some of them as "not there". */

export type Kind =
  | "TypeError"
  | "ValueError"
  | "LookupError"
  | "ZeroDivisionError"
  | "OverflowError"
  | "UndefinedError"
  | "SecurityError"
  | "TemplateSyntaxError"
  | "TemplateRuntimeError"
  | "FilterArgumentError"
  /** The template asks for something that is not supported. */
  | "Unsupported"
  /** The template needs more than the limits allow. */
  | "Limit"
  /** The template called `raise_exception`. */
  | "Raised";

/** An error of a template; the renderer adds the line. */
export class JinjaError extends Error {
  readonly kind: Kind;
  /** The template's line, counted from 1. */
  line: number | undefined;

  constructor(kind: Kind, message: string, line?: number) {
    super(message);
    this.kind = kind;
    this.line = line;
  }
}

export function raise(kind: Kind, message: string, line?: number): never {
  throw new JinjaError(kind, message, line);
}

/** Whether `error` is one of these kinds, which a caller in Python would catch. */
export const isOf = (error: unknown, ...kinds: readonly Kind[]): boolean => error instanceof JinjaError && kinds.includes(error.kind);
