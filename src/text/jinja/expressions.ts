/** Parses expressions by Jinja's grammar, from the loosest operator to the tightest. */
import type { Arguments, Call, Expr, Filter, Items } from "./ast.ts";
import { describe, type Stream } from "./stream.ts";

const COMPARES = ["==", "!=", "<", "<=", ">", ">="];

export function parseExpression(s: Stream, withCondition = true): Expr {
  return s.nested(() => (withCondition ? parseCondition(s) : parseOr(s)));
}

function parseCondition(s: Stream): Expr {
  let { line } = s.current;
  let expr1 = parseOr(s);
  for (let links = 1; s.skipName("if"); s.link(links++)) {
    const test = parseOr(s);
    const expr2 = s.skipName("else") ? s.nested(() => parseCondition(s)) : undefined;
    expr1 = { kind: "cond", test, expr1, expr2, line };
    line = s.current.line;
  }
  return expr1;
}

function parseOr(s: Stream): Expr {
  const { line } = s.current;
  let left = parseAnd(s);
  for (let links = 1; s.skipName("or"); s.link(links++)) left = { kind: "or", left, right: parseAnd(s), line };
  return left;
}

function parseAnd(s: Stream): Expr {
  const { line } = s.current;
  let left = parseNot(s);
  for (let links = 1; s.skipName("and"); s.link(links++)) left = { kind: "and", left, right: parseNot(s), line };
  return left;
}

function parseNot(s: Stream): Expr {
  const { line } = s.current;
  return s.skipName("not") ? { kind: "not", node: s.nested(() => parseNot(s)), line } : parseCompare(s);
}

function parseCompare(s: Stream): Expr {
  const { line } = s.current;
  const expr = parseSum(s);
  const ops: { op: string; expr: Expr }[] = [];
  for (;;) {
    if (s.isOp(...COMPARES)) ops.push({ op: s.take().type, expr: parseSum(s) });
    else if (s.skipName("in")) ops.push({ op: "in", expr: parseSum(s) });
    else if (s.isName("not") && s.next.type === "name" && s.next.value === "in") {
      s.take();
      s.take();
      ops.push({ op: "not in", expr: parseSum(s) });
    } else break;
  }
  return ops.length ? { kind: "compare", expr, ops, line } : expr;
}

/** A chain of operators of one strength, from the left. */
function parseChain(s: Stream, operators: readonly string[], parse: (s: Stream) => Expr): Expr {
  const { line } = s.current;
  let left = parse(s);
  for (let links = 1; s.isOp(...operators); s.link(links++))
    left = { kind: "binary", operator: s.take().type, left, right: parse(s), line };
  return left;
}

const parseSum = (s: Stream): Expr => parseChain(s, ["+", "-"], parseConcat);

function parseConcat(s: Stream): Expr {
  const { line } = s.current;
  const nodes = [parseProduct(s)];
  while (s.skipOp("~")) nodes.push(parseProduct(s));
  return nodes.length === 1 ? nodes[0]! : { kind: "concat", nodes, line };
}

const parseProduct = (s: Stream): Expr => parseChain(s, ["*", "/", "//", "%"], parsePower);
const parsePower = (s: Stream): Expr => parseChain(s, ["**"], parseUnary);

function parseUnary(s: Stream, withFilter = true): Expr {
  const { line } = s.current;
  const node: Expr = s.skipOp("-")
    ? { kind: "neg", node: s.nested(() => parseUnary(s, false)), line }
    : s.skipOp("+")
      ? { kind: "pos", node: s.nested(() => parseUnary(s, false)), line }
      : parsePrimary(s);
  const whole = parsePostfix(s, node);
  return withFilter ? parseFilters(s, whole) : whole;
}

/** A literal, a name or a bracket. `withAttribute` allows `ns.attr`, which is a target of `set`. */
function parsePrimary(s: Stream, withAttribute = false): Expr {
  const token = s.current;
  const { line } = token;
  if (token.type === "name") {
    s.take();
    if (/^(?:true|false|True|False)$/.test(token.value)) return { kind: "const", value: token.value.toLowerCase() === "true", line };
    if (token.value === "none" || token.value === "None") return { kind: "const", value: null, line };
    if (withAttribute && s.skipOp(".")) return { kind: "nsref", name: token.value, attr: s.expect("name").value, line };
    return { kind: "name", name: token.value, use: "load", line };
  }
  if (token.type === "string") {
    let value = "";
    while (s.isOp("string")) value += s.take().value;
    return { kind: "const", value, line };
  }
  if (token.type === "integer") return { kind: "const", value: BigInt(s.take().value), line };
  if (token.type === "float") return { kind: "const", value: Number(s.take().value), line };
  if (s.skipOp("(")) {
    const node = parseTuple(s, { isBracketed: true });
    s.expect(")");
    return node;
  }
  if (token.type === "[") return parseList(s);
  if (token.type === "{") return parseDict(s);
  return s.fail(`unexpected '${describe(token).slice(0, 100)}'`);
}

interface TupleRules {
  /** Only names and brackets, as in a target. */
  simple?: "names" | "attributes";
  withCondition?: boolean;
  /** The word behind which the tuple ends. */
  end?: string;
  isBracketed?: boolean;
}

/** One expression, or several between commas. */
export function parseTuple(s: Stream, { simple, withCondition = true, end, isBracketed = false }: TupleRules = {}): Expr {
  const { line } = s.current;
  const items: Expr[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length) s.expect(",");
    if (s.isOp("}}", "%}", ")") || (end !== undefined && s.isName(end))) break;
    items.push(simple ? s.nested(() => parsePrimary(s, simple === "attributes")) : parseExpression(s, withCondition));
    if (!s.isOp(",")) break;
    isTuple = true;
  }
  if (!isTuple) {
    if (items[0]) return items[0];
    if (!isBracketed) s.fail(`Expected an expression, got '${describe(s.current).slice(0, 100)}'`);
  }
  return { kind: "tuple", items, line };
}

function parseList(s: Stream): Items {
  const { line } = s.expect("[");
  const items: Expr[] = [];
  while (!s.isOp("]")) {
    if (items.length) s.expect(",");
    if (s.isOp("]")) break;
    items.push(parseExpression(s));
  }
  s.expect("]");
  return { kind: "list", items, line };
}

function parseDict(s: Stream): Expr {
  const { line } = s.expect("{");
  const items: { key: Expr; value: Expr }[] = [];
  while (!s.isOp("}")) {
    if (items.length) s.expect(",");
    if (s.isOp("}")) break;
    const key = parseExpression(s);
    s.expect(":");
    items.push({ key, value: parseExpression(s) });
  }
  s.expect("}");
  return { kind: "dict", items, line };
}

function parsePostfix(s: Stream, start: Expr): Expr {
  let node = start;
  for (let links = 1; ; s.link(links++)) {
    if (s.isOp(".")) node = parseDot(s, node);
    else if (s.isOp("[")) node = parseSubscript(s, node);
    else if (s.isOp("(")) node = parseCall(s, node);
    else return node;
  }
}

function parseDot(s: Stream, node: Expr): Expr {
  const { line } = s.expect(".");
  const token = s.take();
  if (token.type === "name") return { kind: "getattr", node, attr: token.value, line };
  if (token.type !== "integer") s.fail("expected name or number", token.line);
  return { kind: "getitem", node, arg: { kind: "const", value: BigInt(token.value), line }, line };
}

function parseSubscript(s: Stream, node: Expr): Expr {
  const { line } = s.expect("[");
  const args: Expr[] = [];
  while (!s.isOp("]")) {
    if (args.length) s.expect(",");
    args.push(parseSubscribed(s));
  }
  s.expect("]");
  return { kind: "getitem", node, arg: args.length === 1 ? args[0]! : { kind: "tuple", items: args, line }, line };
}

/** What stands between the brackets: an expression or a slice. */
function parseSubscribed(s: Stream): Expr {
  const { line } = s.current;
  const part = (...ends: readonly string[]): Expr | undefined => (s.isOp(...ends) ? undefined : parseExpression(s));
  let start: Expr | undefined;
  if (!s.skipOp(":")) {
    start = parseExpression(s);
    if (!s.skipOp(":")) return start;
  }
  const stop = part(":", "]", ",");
  const step = s.skipOp(":") ? part("]", ",") : undefined;
  return { kind: "slice", start, stop, step, line };
}

function parseArguments(s: Stream): Arguments {
  const { line } = s.expect("(");
  const args: Expr[] = [];
  const kwargs: { key: string; value: Expr }[] = [];
  let dynArgs: Expr | undefined;
  let dynKwargs: Expr | undefined;
  const ensure = (isRight: boolean): unknown => isRight || s.fail("invalid syntax for function call expression", line);
  for (let isFirst = true; !s.isOp(")"); isFirst = false) {
    if (!isFirst) s.expect(",");
    if (!isFirst && s.isOp(")")) break;
    if (s.isOp("*")) {
      ensure(!dynArgs && !dynKwargs);
      s.take();
      dynArgs = parseExpression(s);
    } else if (s.isOp("**")) {
      ensure(!dynKwargs);
      s.take();
      dynKwargs = parseExpression(s);
    } else if (s.isOp("name") && s.next.type === "=") {
      ensure(!dynKwargs);
      const key = s.take().value;
      if (kwargs.some((other) => other.key === key)) s.fail(`keyword argument repeated: ${key}`);
      s.take();
      kwargs.push({ key, value: parseExpression(s) });
    } else {
      ensure(!dynArgs && !dynKwargs && !kwargs.length);
      args.push(parseExpression(s));
    }
  }
  s.expect(")");
  return { args, kwargs, dynArgs, dynKwargs };
}

const NONE: Arguments = { args: [], kwargs: [], dynArgs: undefined, dynKwargs: undefined };

function parseCall(s: Stream, node: Expr): Call {
  const { line } = s.current;
  return { kind: "call", node, ...parseArguments(s), line };
}

const parseDotted = (s: Stream): string => {
  let name = s.expect("name").value;
  while (s.skipOp(".")) name += `.${s.expect("name").value}`;
  return name;
};

function parseFilters(s: Stream, start: Expr): Expr {
  let node = start;
  for (let links = 1; ; s.link(links++)) {
    if (s.isOp("|")) node = parseFilter(s, node)!;
    else if (s.isName("is")) node = parseTest(s, node);
    else if (s.isOp("(")) node = parseCall(s, node);
    else return node;
  }
}

/** The filters behind `node`; `isInline` when the first one stands without a bar. */
export function parseFilter(s: Stream, start: Expr | undefined, isInline = false): Filter | undefined {
  let node = start;
  let links = 0;
  for (let inline = isInline; inline || s.isOp("|"); inline = false) {
    s.link(links++);
    if (!inline) s.take();
    const { line } = s.current;
    const name = parseDotted(s);
    const given: Arguments = s.isOp("(") ? parseArguments(s) : NONE;
    node = { kind: "filter", node, name, ...given, line };
  }
  return node as Filter | undefined;
}

function parseTest(s: Stream, node: Expr): Expr {
  const { line } = s.take();
  const isNegated = s.skipName("not");
  const name = parseDotted(s);
  let given: Arguments = NONE;
  if (s.isOp("(")) given = parseArguments(s);
  else if (s.isOp("name", "string", "integer", "float", "[", "{") && !s.isName("else", "or", "and")) {
    if (s.isName("is")) s.fail("You cannot chain multiple tests with is");
    given = { ...NONE, args: [parsePostfix(s, parsePrimary(s))] };
  }
  const test: Expr = { kind: "test", node, name, ...given, line };
  return isNegated ? { kind: "not", node: test, line } : test;
}
