/** Prepares a parsed template: gives each block its names, and refuses what Jinja refuses before it renders. */
import type { Body, CallBlock, For, Generation, Macro, Statement, Template } from "./ast.ts";
import { forNames, loopSymbols, Symbols, undeclared, visitBody, visitExpr } from "./symbols.ts";
import { raise } from "./trouble.ts";

/** What a template may call. */
export interface Known {
  filter(name: string): boolean;
  test(name: string): boolean;
}

/** Where a statement stands. */
interface Place {
  readonly symbols: Symbols;
  /** Inside a loop of the same function, so that `break` has something to leave. */
  readonly isLoop: boolean;
  /** Inside an `if`, where an unknown filter is an error only when it is reached. */
  readonly isSoft: boolean;
}

/** The template with the names of its blocks. */
export function prepare(body: Body, known: Known): Template {
  const symbols = new Symbols();
  visitBody(symbols, body);
  walk(body, { symbols, isLoop: false, isSoft: false }, known);
  return { body, frame: symbols.list() };
}

function walk(body: Body, place: Place, known: Known): void {
  for (const statement of body) {
    if (statement.kind === "if") checkCalls(statement.test, true, known);
    else checkCalls(heads(statement), place.isSoft, known);
    walkStatement(statement, place, known);
  }
}

/** The expressions of a statement that are evaluated where it stands. */
function heads(node: Statement): unknown {
  if (node.kind === "callblock") return [node.call, node.defaults];
  if (node.kind === "macro") return node.defaults;
  if (node.kind === "for") return [node.iter, node.test];
  if (node.kind === "filterblock" || node.kind === "assignblock") return node.filter;
  if (node.kind === "with") return node.values;
  if (node.kind === "output") return node.nodes;
  return node.kind === "assign" ? node.node : undefined;
}

function walkStatement(node: Statement, place: Place, known: Known): void {
  const inner = (symbols: Symbols, more: Partial<Place> = {}): Place => ({ ...place, symbols, isSoft: false, ...more });
  switch (node.kind) {
    case "break":
    case "continue":
      return place.isLoop ? undefined : raise("TemplateSyntaxError", `'${node.kind}' outside a loop`, node.line);
    case "if":
      for (const branch of [node, ...node.elifs]) {
        if (branch !== node) checkCalls(branch.test, true, known);
        walk(branch.body, { ...place, isSoft: true }, known);
      }
      return walk(node.otherwise, { ...place, isSoft: true }, known);
    case "for":
      return walkLoop(node, place, known);
    case "macro":
    case "callblock":
    case "generation":
      return walkMacro(node, place, known);
    case "with":
    case "filterblock":
    case "assignblock": {
      const symbols = new Symbols(place.symbols);
      if (node.kind === "with") node.targets.forEach((target) => visitExpr(symbols, target));
      visitBody(symbols, node.body);
      if (node.kind === "filterblock") visitExpr(symbols, node.filter);
      walk(node.body, inner(symbols), known);
      node.frame = symbols.list();
      return undefined;
    }
    default:
      return undefined;
  }
}

function walkLoop(node: For, place: Place, known: Known): void {
  const { body, otherwise, test } = loopSymbols(node, place.symbols);
  forNames([node.target, node.body, node.otherwise], (name) => {
    if (name.kind === "name" && name.use === "store" && name.name === "loop")
      raise("TemplateSyntaxError", "Can't assign to special loop variable in for-loop target", name.line);
  });
  walk(node.body, { symbols: body, isLoop: true, isSoft: false }, known);
  walk(node.otherwise, { symbols: otherwise, isLoop: place.isLoop && !node.isRecursive, isSoft: false }, known);
  node.frames = { body: body.list(), otherwise: otherwise.list(), test: test.list() };
}

const SPECIAL = ["caller", "kwargs", "varargs"];

function walkMacro(node: Macro | CallBlock | Generation, place: Place, known: Known): void {
  const symbols = new Symbols(place.symbols);
  for (const part of [...node.args, ...node.defaults]) visitExpr(symbols, part);
  visitBody(symbols, node.body);
  const names = node.args.map(({ name }) => name);
  const special = undeclared(node.body, SPECIAL);
  const caller = names.indexOf("caller");
  if (special.has("caller") && caller >= 0 && caller < names.length - node.defaults.length)
    raise(
      "TemplateSyntaxError",
      'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.',
      node.line,
    );
  node.special = new Set([...special].filter((name) => !names.includes(name)));
  node.special.forEach((name) => symbols.declare(name));
  walk(node.body, { symbols, isLoop: false, isSoft: false }, known);
  node.frame = symbols.list();
}

/** Refuses unknown filters and tests below `part`; inside an inline `if` they are errors only when they are reached. */
function checkCalls(part: unknown, isSoft: boolean, known: Known): void {
  if (isSoft || typeof part !== "object" || part === null) return;
  if (Array.isArray(part)) return part.forEach((item) => checkCalls(item, isSoft, known));
  const node = part as { kind?: string; name?: string; line?: number };
  if (node.kind === "cond") return;
  if (node.kind === "filter" && !known.filter(node.name!)) raise("TemplateSyntaxError", `No filter named '${node.name!}'.`, node.line);
  if (node.kind === "test" && !known.test(node.name!)) raise("TemplateSyntaxError", `No test named '${node.name!}'.`, node.line);
  for (const value of Object.values(part)) checkCalls(value, isSoft, known);
}
