/** Macros: functions that a template defines, and the bodies of call blocks. */
import type { CallBlock, Expr, Generation, Loads, Macro as MacroStatement } from "./ast.ts";
import type { Scope } from "./scope.ts";
import { raise } from "./trouble.ts";
import { Dict, type Kwargs, PyObject, Tuple, Undefined, type Value } from "./values.ts";

export type MacroNode = MacroStatement | CallBlock | Generation;

/** A macro; it sees the names of the place where it is defined. */
export class Macro extends PyObject {
  readonly type = "Macro";
  private readonly node: MacroNode;
  private readonly name: string | null;
  private readonly enter: (loads: Loads) => Scope;
  private readonly evaluate: (expr: Expr, scope: Scope) => Value;
  private readonly render: (scope: Scope) => string;

  constructor(
    node: MacroNode,
    name: string | null,
    enter: (loads: Loads) => Scope,
    evaluate: (expr: Expr, scope: Scope) => Value,
    render: (scope: Scope) => string,
  ) {
    super();
    this.node = node;
    this.name = name;
    this.enter = enter;
    this.evaluate = evaluate;
    this.render = render;
  }

  override attribute(name: string): Value | undefined {
    const { special } = this.node;
    if (name === "name") return this.name;
    if (name === "arguments") return new Tuple(this.node.args.map((arg) => arg.name));
    if (name === "catch_kwargs") return special!.has("kwargs");
    if (name === "catch_varargs") return special!.has("varargs");
    return name === "caller" ? special!.has("caller") : undefined;
  }

  override print(): string {
    return `<Macro ${this.name === null ? "anonymous" : `'${this.name}'`}>`;
  }

  override call(args: readonly Value[], kwargs: Kwargs): Value {
    const { node } = this;
    const scope = this.enter(node.frame!);
    const rest = new Map(kwargs);
    const names = node.args.map(({ name }) => name);
    names.forEach((name, k) => {
      const value = k < args.length ? args[k] : rest.get(name);
      if (k >= args.length) rest.delete(name);
      if (value !== undefined) scope.set(name, value);
    });
    this.takeSpecial(scope, names, args.slice(names.length), rest);
    this.fillDefaults(scope);
    return this.render(scope);
  }

  /** Gives `caller`, `kwargs` and `varargs` to a body that reads them; refuses arguments that nobody takes. */
  private takeSpecial(scope: Scope, names: readonly string[], more: readonly Value[], rest: Map<string, Value>): void {
    const special = this.node.special!;
    if (special.has("caller") && !names.includes("caller")) {
      scope.set("caller", rest.get("caller") ?? new Undefined("No caller defined"));
      rest.delete("caller");
    }
    const shown = this.name === null ? "None" : `'${this.name}'`;
    const [extra] = rest.keys();
    if (special.has("kwargs")) scope.set("kwargs", new Dict(rest));
    else if (rest.has("caller")) raise("TypeError", `macro ${shown} was invoked with two values for the special caller argument`);
    else if (extra !== undefined) raise("TypeError", `macro ${shown} takes no keyword argument '${extra.slice(0, 100)}'`);
    if (special.has("varargs")) scope.set("varargs", new Tuple(more));
    else if (more.length) raise("TypeError", `macro ${shown} takes not more than ${names.length} argument(s)`);
  }

  private fillDefaults(scope: Scope): void {
    const { args, defaults } = this.node;
    args.forEach(({ name }, k) => {
      if (scope.has(name)) return;
      const otherwise = defaults[k - args.length + defaults.length];
      scope.set(name, otherwise ? this.evaluate(otherwise, scope) : new Undefined(`parameter '${name}' was not provided`));
    });
  }
}
