/** Which names a block declares for itself, by Jinja's rules: what its body reads and sets decides it, before anything is rendered. */
import type { Body, Expr, For, If, Load, Loads, Statement } from "./ast.ts";

/** The names of one block. A name that is set anywhere in the block is the block's own from its start. */
export class Symbols {
  private readonly parent: Symbols | undefined;
  private loads = new Map<string, Load["how"]>();
  private stores = new Set<string>();

  constructor(parent?: Symbols) {
    this.parent = parent;
  }

  private isKnown(name: string): boolean {
    return this.loads.has(name) || (this.parent?.isKnown(name) ?? false);
  }

  declare(name: string): void {
    this.stores.add(name);
    this.loads.set(name, "param");
  }

  store(name: string): void {
    this.stores.add(name);
    if (!this.loads.has(name)) this.loads.set(name, this.parent?.isKnown(name) ? "alias" : "undefined");
  }

  load(name: string): void {
    if (!this.isKnown(name)) this.loads.set(name, "resolve");
  }

  copy(): Symbols {
    const copy = new Symbols(this.parent);
    copy.loads = new Map(this.loads);
    copy.stores = new Set(this.stores);
    return copy;
  }

  /** Takes over what the branches of an `if` declare; a name that only some of them set keeps its outer value elsewhere. */
  merge(branches: readonly Symbols[]): void {
    const isNew = new Set(branches.flatMap((branch) => [...branch.stores]).filter((name) => !this.stores.has(name)));
    for (const branch of branches) {
      for (const [name, how] of branch.loads) this.loads.set(name, how);
      for (const name of branch.stores) this.stores.add(name);
    }
    for (const name of isNew) this.loads.set(name, this.parent?.isKnown(name) ? "alias" : "resolve");
  }

  list(): Loads {
    return [...this.loads].map(([name, how]) => ({ name, how }));
  }
}

/** Reads the names of a body into `symbols`; the bodies of blocks inside it have symbols of their own. */
export function visitBody(symbols: Symbols, body: Body): void {
  for (const statement of body) visitStatement(symbols, statement);
}

function visitStatement(symbols: Symbols, node: Statement): void {
  switch (node.kind) {
    case "output":
      return node.nodes.forEach((expr) => visitExpr(symbols, expr));
    case "if":
      return visitIf(symbols, node);
    case "for":
      return visitExpr(symbols, node.iter);
    case "macro":
      return symbols.store(node.name);
    case "callblock":
      return visitExpr(symbols, node.call);
    case "filterblock":
      return visitExpr(symbols, node.filter);
    case "with":
      return node.values.forEach((expr) => visitExpr(symbols, expr));
    case "assign":
      visitExpr(symbols, node.node);
      return visitExpr(symbols, node.target);
    case "assignblock":
      if (node.filter) visitExpr(symbols, node.filter);
      return visitExpr(symbols, node.target);
    default:
  }
}

function visitIf(symbols: Symbols, node: If): void {
  visitExpr(symbols, node.test);
  const branch = (body: Body): Symbols => {
    const copy = symbols.copy();
    visitBody(copy, body);
    return copy;
  };
  symbols.merge([branch(node.body), branch(node.elifs), branch(node.otherwise)]);
}

/** Reads the names of an expression; `isParam` declares the names of a loop's target. */
export function visitExpr(symbols: Symbols, expr: Expr, isParam = false): void {
  forNames(expr, (node) => {
    if (node.kind === "nsref") symbols.load(node.name);
    else if (isParam || node.use === "param") symbols.declare(node.name);
    else if (node.use === "store") symbols.store(node.name);
    else symbols.load(node.name);
  });
}

type Named = Extract<Expr, { kind: "name" | "nsref" }>;

/** Calls `visit` with every name below a part of a template, in the order of the fields. */
export function forNames(part: unknown, visit: (name: Named) => void): void {
  if (typeof part !== "object" || part === null) return;
  if (Array.isArray(part)) return part.forEach((item) => forNames(item, visit));
  const { kind } = part as { kind?: string };
  if (kind === "name" || kind === "nsref") return visit(part as Named);
  for (const value of Object.values(part)) forNames(value, visit);
}

/** Which of `names` a body reads before it sets them. */
export function undeclared(body: Body, names: readonly string[]): Set<string> {
  const open = new Set(names);
  const found = new Set<string>();
  forNames(body, (node) => {
    if (node.kind === "nsref") return;
    if (node.use === "load" && open.has(node.name)) found.add(node.name);
    else open.delete(node.name);
  });
  return found;
}

/** The names of the three blocks of a loop. */
export function loopSymbols(node: For, parent: Symbols): { body: Symbols; otherwise: Symbols; test: Symbols } {
  const [body, otherwise, test] = [new Symbols(parent), new Symbols(parent), new Symbols(parent)];
  if (node.isRecursive || undeclared(node.body, ["loop"]).size) body.declare("loop");
  visitExpr(body, node.target, true);
  visitBody(body, node.body);
  visitBody(otherwise, node.otherwise);
  visitExpr(test, node.target, true);
  if (node.test) visitExpr(test, node.test);
  return { body, otherwise, test };
}
