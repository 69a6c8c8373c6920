/** Evaluates expressions. */
import type { Arguments, Call, Compare, Cond, Expr, Filter, Getitem, Test } from "./ast.ts";
import type { Env } from "./env.ts";
import { percent } from "./format.ts";
import { arithmetic, compare, contains, equals, iterate, negated } from "./operators.ts";
import { str } from "./print.ts";
import type { Scope } from "./scope.ts";
import { raise } from "./trouble.ts";
import { Dict, type Kwargs, Markup, PyObject, textOf, truth, Tuple, typeName, Undefined, type Value } from "./values.ts";

/** The value of an expression. */
export function evaluate(env: Env, node: Expr, scope: Scope): Value {
  const { meter } = env;
  meter.line = node.line;
  meter.step();
  if (node.kind === "const") return node.value;
  if (node.kind === "name") return scope.get(node.name);
  meter.down();
  const value = compound(env, node, scope);
  meter.up();
  return value;
}

function compound(env: Env, node: Exclude<Expr, { kind: "const" | "name" }>, scope: Scope): Value {
  const value = (inner: Expr): Value => evaluate(env, inner, scope);
  switch (node.kind) {
    case "getattr":
      return env.members.getattr(value(node.node), node.attr);
    case "getitem":
      return item(env, node, scope);
    case "call":
      return call(env, node, scope);
    case "filter":
      return filter(env, node, scope, value(node.node!));
    case "test":
      return test(env, node, scope);
    case "compare":
      return comparison(env, node, scope);
    case "and": {
      const left = value(node.left);
      return truth(left) ? value(node.right) : left;
    }
    case "or": {
      const left = value(node.left);
      return truth(left) ? left : value(node.right);
    }
    case "not":
      return !truth(value(node.node));
    case "neg":
      return negated(value(node.node), "-");
    case "pos":
      return negated(value(node.node), "+");
    case "cond":
      return condition(env, node, scope);
    case "concat":
      return joined(env, node.nodes.map(value));
    case "binary":
      return binary(env, node.operator, value(node.left), value(node.right));
    case "list":
      return node.items.map(value);
    case "tuple":
      return new Tuple(node.items.map(value));
    case "dict":
      return new Dict(node.items.map((pair) => [value(pair.key), value(pair.value)] as const));
    default:
      return raise("TemplateSyntaxError", `'${node.kind}' is no expression`);
  }
}

function binary(env: Env, operator: string, left: Value, right: Value): Value {
  const template = operator === "%" ? textOf(left) : undefined;
  if (template === undefined) return arithmetic(operator, left, right, env.meter);
  const made = percent(template, right, env.meter, left instanceof Markup);
  return left instanceof Markup ? new Markup(made) : made;
}

function joined(env: Env, values: readonly Value[]): string {
  const parts = values.map((value) => str(value, env.meter));
  env.meter.joined(parts.reduce((sum, part) => sum + part.length, 0));
  return parts.reduce((all, part) => all + part, "");
}

function condition(env: Env, node: Cond, scope: Scope): Value {
  if (truth(evaluate(env, node.test, scope))) return evaluate(env, node.expr1, scope);
  return node.expr2
    ? evaluate(env, node.expr2, scope)
    : new Undefined(`the inline if-expression on line ${node.line} evaluated to false and no else section was defined.`);
}

function comparison(env: Env, node: Compare, scope: Scope): boolean {
  let left = evaluate(env, node.expr, scope);
  for (const { op, expr } of node.ops) {
    const right = evaluate(env, expr, scope);
    const holds =
      op === "==" || op === "!="
        ? equals(left, right, env.meter) === (op === "==")
        : op === "in" || op === "not in"
          ? contains(left, right, env.meter) === (op === "in")
          : compare(op, left, right, env.meter);
    if (!holds) return false;
    left = right;
  }
  return true;
}

function item(env: Env, { node, arg }: Getitem, scope: Scope): Value {
  const owner = evaluate(env, node, scope);
  if (arg.kind !== "slice") {
    if (arg.kind === "tuple" && arg.items.some(({ kind }) => kind === "slice")) raise("Unsupported", "several slices at once");
    return env.members.getitem(owner, evaluate(env, arg, scope));
  }
  const part = (expr: Expr | undefined): Value => (expr ? evaluate(env, expr, scope) : null);
  return env.members.slice(owner, part(arg.start), part(arg.stop), part(arg.step));
}

interface Given {
  readonly args: Value[];
  readonly kwargs: Kwargs;
}

/** The values of a call's arguments. */
function given(env: Env, node: Arguments, scope: Scope): Given {
  const args = node.args.map((arg) => evaluate(env, arg, scope));
  const kwargs = new Map(node.kwargs.map(({ key, value }) => [key, evaluate(env, value, scope)]));
  if (node.dynArgs) args.push(...iterate(evaluate(env, node.dynArgs, scope), env.meter));
  if (!node.dynKwargs) return { args, kwargs };
  const more = evaluate(env, node.dynKwargs, scope);
  if (!(more instanceof Dict)) return raise("TypeError", `argument after ** must be a mapping, not ${typeName(more)}`);
  for (const [key, value] of more.list()) {
    if (typeof key !== "string") return raise("TypeError", "keywords must be strings");
    if (kwargs.has(key)) raise("TypeError", `got multiple values for keyword argument '${key.slice(0, 100)}'`);
    kwargs.set(key, value);
  }
  return { args, kwargs };
}

/** Calls what `node` names; a call block adds its `caller`. */
export function call(env: Env, node: Call, scope: Scope, caller?: Value): Value {
  const callee = evaluate(env, node.node, scope);
  const { args, kwargs } = given(env, node, scope);
  env.meter.line = node.line;
  const run = callee instanceof PyObject && callee.call ? callee.call.bind(callee) : undefined;
  if (!run) return raise("TypeError", `'${typeName(callee)}' object is not callable`);
  return run(args, caller === undefined ? kwargs : new Map([...kwargs, ["caller", caller]]));
}

/** A filter on a value that is known already. */
export function filter(env: Env, node: Filter, scope: Scope, value: Value): Value {
  const { args, kwargs } = given(env, node, scope);
  env.meter.line = node.line;
  return env.filter(node.name, value, args, kwargs);
}

/** The filters of a block, the innermost on the block's text. */
export function filterBlock(env: Env, node: Filter, scope: Scope, text: string): Value {
  const inner = node.node === undefined ? text : filterBlock(env, node.node as Filter, scope, text);
  return filter(env, node, scope, inner);
}

function test(env: Env, node: Test, scope: Scope): boolean {
  const value = evaluate(env, node.node, scope);
  const { args, kwargs } = given(env, node, scope);
  env.meter.line = node.line;
  return env.test(node.name, value, args, kwargs);
}
