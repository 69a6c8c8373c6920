/** Renders statements. */
import type { Assign, AssignBlock, Body, CallBlock, Expr, For, If, Loads, Statement } from "./ast.ts";
import type { Env } from "./env.ts";
import { call, evaluate, filterBlock } from "./evaluate.ts";
import { sizeOf } from "./filters-list.ts";
import { Namespace } from "./globals.ts";
import { Loop } from "./loop.ts";
import { Macro, type MacroNode } from "./macro.ts";
import { LIMITS } from "./meter.ts";
import { iterate } from "./operators.ts";
import { str } from "./print.ts";
import type { Scope } from "./scope.ts";
import { raise } from "./trouble.ts";
import { Iter, textOf, Tuple, truth, typeName, type Value } from "./values.ts";

/** A text that grows. */
class Output {
  private readonly parts: string[] = [];
  private size = 0;
  private readonly env: Env;

  constructor(env: Env) {
    this.env = env;
  }

  add(text: string): void {
    this.size += text.length;
    if (this.size > LIMITS.text) this.env.meter.size(this.size);
    this.parts.push(text);
  }

  text(): string {
    this.env.meter.size(this.size);
    return this.parts.join("");
  }
}

/** What a statement does to the loop around it. */
type Jump = "break" | "continue" | undefined;

/** The text of a body. */
export function renderBody(env: Env, body: Body, scope: Scope): string {
  const out = new Output(env);
  runBody(env, body, scope, out);
  return out.text();
}

function runBody(env: Env, body: Body, scope: Scope, out: Output): Jump {
  env.meter.down();
  for (const statement of body) {
    const jump = run(env, statement, scope, out);
    if (jump) {
      env.meter.up();
      return jump;
    }
  }
  env.meter.up();
  return undefined;
}

function run(env: Env, node: Statement, scope: Scope, out: Output): Jump {
  env.meter.line = node.line;
  env.meter.step();
  switch (node.kind) {
    case "data":
      return written(out, node.text);
    case "output":
      for (const expr of node.nodes) out.add(str(evaluate(env, expr, scope), env.meter));
      return undefined;
    case "if":
      return choose(env, node, scope, out);
    case "for":
      return runFor(env, node, scope, out);
    case "assign":
      return set(env, node, scope);
    case "assignblock":
      return setBlock(env, node, scope);
    case "macro":
      scope.set(node.name, macroOf(env, node, node.name, scope));
      return undefined;
    case "callblock":
      return callBlock(env, node, scope, out);
    case "generation":
      return written(out, str(macroOf(env, node, null, scope).call([], new Map()), env.meter));
    case "filterblock":
      return captured(env, node.body, scope.inner(node.frame!), (text, inner) =>
        out.add(blockText(filterBlock(env, node.filter, inner, text))),
      );
    case "with": {
      const inner = scope.inner(node.frame!);
      node.targets.forEach((target, k) => assign(env, target, evaluate(env, node.values[k]!, scope), inner));
      return runBody(env, node.body, inner, out);
    }
    default:
      return node.kind;
  }
}

function written(out: Output, text: string): undefined {
  out.add(text);
}

/** What a block of a filter or a call writes: a text, since Jinja joins it as it is. */
const blockText = (value: Value): string =>
  textOf(value) ?? raise("TypeError", `sequence item: expected str instance, ${typeName(value)} found`);

/** Renders a body apart; a jump out of it throws its text away. */
function captured(env: Env, body: Body, scope: Scope, use: (text: string, scope: Scope) => void): Jump {
  const inner = new Output(env);
  const jump = runBody(env, body, scope, inner);
  if (!jump) use(inner.text(), scope);
  return jump;
}

function choose(env: Env, node: If, scope: Scope, out: Output): Jump {
  for (const branch of [node, ...node.elifs]) if (truth(evaluate(env, branch.test, scope))) return runBody(env, branch.body, scope, out);
  return runBody(env, node.otherwise, scope, out);
}

function set(env: Env, node: Assign, scope: Scope): undefined {
  checkNamespaces(node.target, scope);
  assign(env, node.target, evaluate(env, node.node, scope), scope);
}

function setBlock(env: Env, node: AssignBlock, scope: Scope): Jump {
  return captured(env, node.body, scope.inner(node.frame!), (text, inner) => {
    checkNamespaces(node.target, scope);
    assign(env, node.target, node.filter ? filterBlock(env, node.filter, inner, text) : text, scope);
  });
}

/** Refuses a target `name.attr` whose name is no namespace, before its value is evaluated. */
function checkNamespaces(target: Expr, scope: Scope): void {
  if (target.kind === "tuple") target.items.forEach((part) => checkNamespaces(part, scope));
  else if (target.kind === "nsref" && !(scope.get(target.name) instanceof Namespace))
    raise("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
}

/** Gives a value to a target: a name, an attribute of a namespace, or several of them. */
function assign(env: Env, target: Expr, value: Value, scope: Scope): void {
  if (target.kind === "name") return scope.set(target.name, value);
  if (target.kind === "nsref") return (scope.get(target.name) as Namespace).set(target.attr, value);
  if (target.kind !== "tuple") return raise("TemplateSyntaxError", `can't assign to '${target.kind}'`);
  const wanted = target.items.length;
  const parts: Value[] = [];
  for (const part of iterate(value, env.meter)) {
    if (parts.length === wanted) raise("ValueError", `too many values to unpack (expected ${wanted})`);
    parts.push(part);
  }
  if (parts.length < wanted) raise("ValueError", `not enough values to unpack (expected ${wanted}, got ${parts.length})`);
  target.items.forEach((part, k) => assign(env, part, parts[k]!, scope));
}

function runFor(env: Env, node: For, scope: Scope, out: Output): Jump {
  const items = evaluate(env, node.iter, scope);
  if (!node.isRecursive) return runLoop(env, node, items, scope, out, 0);
  const recurse = (inner: Value, depth: number): string => {
    const part = new Output(env);
    runLoop(env, node, inner, scope, part, depth, recurse);
    return part.text();
  };
  out.add(recurse(items, 0));
  return undefined;
}

function runLoop(
  env: Env,
  node: For,
  items: Value,
  scope: Scope,
  out: Output,
  depth: number,
  recurse?: (items: Value, depth: number) => string,
): Jump {
  const frames = node.frames!;
  const source = iterate(items, env.meter);
  const loop = node.test
    ? new Loop(tested(env, node, source, scope.inner(frames.test)), undefined, env.meter, depth, recurse)
    : new Loop(source, countOf(env, items), env.meter, depth, recurse);
  let isEmpty = true;
  for (let item = loop.next(); item !== undefined; item = loop.next()) {
    const inner = scope.inner(frames.body);
    inner.set("loop", loop);
    assign(env, node.target, item, inner);
    env.meter.step();
    const jump = runBody(env, node.body, inner, out);
    if (jump === "break") break;
    // as in Jinja, a turn that `continue` ends does not keep the branch `else` from running
    if (!jump) isEmpty = false;
  }
  return isEmpty && node.otherwise.length ? runBody(env, node.otherwise, scope.inner(frames.otherwise), out) : undefined;
}

const countOf = (env: Env, items: Value): number | undefined => (items instanceof Iter ? undefined : sizeOf(items, env));

/** The items for which a loop's condition holds. */
function* tested(env: Env, node: For, items: Iterable<Value>, scope: Scope): Generator<Value> {
  for (const item of items) {
    assign(env, node.target, item, scope);
    if (truth(evaluate(env, node.test!, scope))) yield targetValue(node.target, scope);
  }
}

const targetValue = (target: Expr, scope: Scope): Value =>
  target.kind === "tuple" ? new Tuple(target.items.map((part) => targetValue(part, scope))) : scope.get((target as { name: string }).name);

const macroOf = (env: Env, node: MacroNode, name: string | null, scope: Scope): Macro =>
  new Macro(
    node,
    name,
    (loads: Loads) => scope.inner(loads),
    (expr, inner) => evaluate(env, expr, inner),
    (inner) => renderBody(env, node.body, inner),
  );

function callBlock(env: Env, node: CallBlock, scope: Scope, out: Output): undefined {
  const caller = macroOf(env, node, "caller", scope);
  out.add(blockText(call(env, node.call, scope, caller)));
}
