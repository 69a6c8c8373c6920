/** The names that a block of a template sees while it is rendered. */
import type { Loads } from "./ast.ts";
import { Undefined, type Value } from "./values.ts";

export class Scope {
  private readonly names = new Map<string, Value | undefined>();
  private readonly parent: Scope | undefined;
  private readonly context: ReadonlyMap<string, Value>;

  /** Enters a block: each of its own names gets the value that it starts with. */
  constructor(loads: Loads, context: ReadonlyMap<string, Value>, parent?: Scope) {
    this.parent = parent;
    this.context = context;
    for (const { name, how } of loads)
      this.names.set(name, how === "resolve" ? context.get(name) : how === "alias" ? parent?.raw(name) : undefined);
  }

  /** A block inside this one. */
  inner(loads: Loads): Scope {
    return new Scope(loads, this.context, this);
  }

  private raw(name: string): Value | undefined {
    for (let scope: Scope | undefined = this as Scope; scope; scope = scope.parent) if (scope.names.has(name)) return scope.names.get(name);
    return this.context.get(name);
  }

  has(name: string): boolean {
    return this.names.get(name) !== undefined;
  }

  get(name: string): Value {
    const value = this.raw(name);
    return value === undefined ? new Undefined(`'${name.slice(0, 100)}' is undefined`) : value;
  }

  set(name: string, value: Value): void {
    this.names.set(name, value);
  }
}
