/** Parses the statements of a template. */
import type { Body, CallBlock, Expr, FilterBlock, For, Generation, If, Macro, Name, Signature, Statement, With } from "./ast.ts";
import { parseExpression, parseFilter, parseTuple } from "./expressions.ts";
import { tokenize } from "./lexer.ts";
import { Stream } from "./stream.ts";
import { raise } from "./trouble.ts";

/** The statements of a template's text. */
export function parse(template: string): Statement[] {
  return parseBody(new Stream(tokenize(template)), []);
}

/** Tags of Jinja that need other templates or make HTML. */
const REFUSED = ["include", "import", "from", "extends", "block", "autoescape"];

/** Statements up to a tag of `ends`, at whose name the stream then stands. */
function parseBody(s: Stream, ends: readonly string[]): Statement[] {
  const body: Statement[] = [];
  for (;;) {
    const token = s.current;
    if (token.type === "eof") {
      if (ends.length) s.fail(`Unexpected end of template. Jinja was looking for the following tags: '${ends.join("' or '")}'.`);
      return body;
    }
    s.take();
    if (token.type === "data") body.push({ kind: "data", text: token.value, line: token.line });
    else if (token.type === "{{") {
      body.push({ kind: "output", nodes: [parseTuple(s)], line: token.line });
      s.expect("}}");
    } else {
      if (s.isName(...ends)) return body;
      body.push(s.nested(() => parseStatement(s)));
      s.expect("%}");
    }
  }
}

/** The body behind the end of a tag, and the name of the tag that ends it. */
function parseBlock(s: Stream, ...ends: readonly string[]): { body: Statement[]; end: string } {
  s.skipOp(":");
  s.expect("%}");
  const body = parseBody(s, ends);
  return { body, end: s.take().value };
}

function parseStatement(s: Stream): Statement {
  const { type, value, line } = s.current;
  if (type !== "name") s.fail("tag name expected");
  if (REFUSED.includes(value)) raise("Unsupported", `the tag {% ${value} %}`, line);
  const parser = Object.hasOwn(STATEMENTS, value) ? STATEMENTS[value] : undefined;
  if (!parser) return s.fail(`Encountered unknown tag '${value.slice(0, 100)}'.`);
  s.take();
  return parser(s, line);
}

const STATEMENTS: Readonly<Record<string, (s: Stream, line: number) => Statement>> = {
  for: parseFor,
  if: parseIf,
  set: parseSet,
  with: parseWith,
  macro: parseMacro,
  call: parseCallBlock,
  filter: parseFilterBlock,
  generation: (s, line): Generation => ({
    kind: "generation",
    args: [],
    defaults: [],
    body: parseBlock(s, "endgeneration").body,
    line,
  }),
  break: (_, line) => ({ kind: "break", line }),
  continue: (_, line) => ({ kind: "continue", line }),
  print: parsePrint,
};

function parseFor(s: Stream, line: number): For {
  const target = asTarget(s, parseTuple(s, { simple: "names", end: "in" }));
  s.expectName("in");
  const iter = parseTuple(s, { withCondition: false, end: "recursive" });
  const test = s.skipName("if") ? parseExpression(s) : undefined;
  const isRecursive = s.skipName("recursive");
  const { body, end } = parseBlock(s, "endfor", "else");
  const otherwise = end === "else" ? parseBlock(s, "endfor").body : [];
  return { kind: "for", target, iter, body, otherwise, test, isRecursive, line };
}

function parseIf(s: Stream, line: number): If {
  const test = parseTuple(s, { withCondition: false });
  const elifs: If[] = [];
  let otherwise: Body = [];
  const first = parseBlock(s, "elif", "else", "endif");
  let { end } = first;
  while (end === "elif") {
    const at = s.current.line;
    const condition = parseTuple(s, { withCondition: false });
    const branch = parseBlock(s, "elif", "else", "endif");
    elifs.push({ kind: "if", test: condition, body: branch.body, elifs: [], otherwise: [], line: at });
    ({ end } = branch);
  }
  if (end === "else") otherwise = parseBlock(s, "endif").body;
  return { kind: "if", test, body: first.body, elifs, otherwise, line };
}

function parseSet(s: Stream, line: number): Statement {
  const target = asTarget(s, parseTuple(s, { simple: "attributes" }));
  if (s.skipOp("=")) return { kind: "assign", target, node: parseTuple(s), line };
  const filter = parseFilter(s, undefined);
  return { kind: "assignblock", target, filter, body: parseBlock(s, "endset").body, line };
}

function parseWith(s: Stream, line: number): With {
  const targets: Expr[] = [];
  const values: Expr[] = [];
  while (!s.isOp("%}")) {
    if (targets.length) s.expect(",");
    targets.push(asTarget(s, parseTuple(s, { simple: "names" }), "param"));
    s.expect("=");
    values.push(parseExpression(s));
  }
  return { kind: "with", targets, values, body: parseBlock(s, "endwith").body, line };
}

function parseSignature(s: Stream): Signature {
  const args: Name[] = [];
  const defaults: Expr[] = [];
  s.expect("(");
  while (!s.isOp(")")) {
    if (args.length) s.expect(",");
    const arg = parseName(s, "param");
    if (args.some(({ name }) => name === arg.name)) s.fail(`duplicate argument '${arg.name}' in a macro`);
    if (s.skipOp("=")) defaults.push(parseExpression(s));
    else if (defaults.length) s.fail("non-default argument follows default argument");
    args.push(arg);
  }
  s.expect(")");
  return { args, defaults };
}

function parseMacro(s: Stream, line: number): Macro {
  const { name } = parseName(s, "store");
  return { kind: "macro", name, ...parseSignature(s), body: parseBlock(s, "endmacro").body, line };
}

function parseCallBlock(s: Stream, line: number): CallBlock {
  const signature = s.isOp("(") ? parseSignature(s) : { args: [], defaults: [] };
  const call = parseExpression(s);
  if (call.kind !== "call") return s.fail("expected call", line);
  return { kind: "callblock", call, ...signature, body: parseBlock(s, "endcall").body, line };
}

function parseFilterBlock(s: Stream, line: number): FilterBlock {
  const filter = parseFilter(s, undefined, true)!;
  return { kind: "filterblock", body: parseBlock(s, "endfilter").body, filter, line };
}

function parsePrint(s: Stream, line: number): Statement {
  const nodes: Expr[] = [];
  while (!s.isOp("%}")) {
    if (nodes.length) s.expect(",");
    nodes.push(parseExpression(s));
  }
  return { kind: "output", nodes, line };
}

function parseName(s: Stream, use: Name["use"]): Name {
  const { value, line } = s.expect("name");
  return asTarget(s, { kind: "name", name: value, use, line }, use) as Name;
}

const CONSTANTS = ["true", "false", "none", "True", "False", "None"];

/** The names of a target, as names that are set; refuses what nothing can be assigned to. */
function asTarget(s: Stream, node: Expr, use: Name["use"] = "store"): Expr {
  if (node.kind === "nsref") return node;
  if (node.kind === "name" && !CONSTANTS.includes(node.name)) return { ...node, use };
  if (node.kind === "tuple") return { ...node, items: node.items.map((item) => asTarget(s, item, use)) };
  return s.fail(`can't assign to '${node.kind}'`, node.line);
}
