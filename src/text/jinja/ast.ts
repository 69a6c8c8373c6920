/** The parts of a parsed template. Fields stand in the order in which Jinja visits them, since names are declared in that order. */

interface Node {
  readonly line: number;
}

export interface Name extends Node {
  readonly kind: "name";
  readonly name: string;
  /** Whether the name is read, set, or declared by what surrounds it. */
  readonly use: "load" | "store" | "param";
}
export interface Const extends Node {
  readonly kind: "const";
  readonly value: null | boolean | bigint | number | string;
}
/** `ns.attr` as a target. */
export interface Attribute extends Node {
  readonly kind: "nsref";
  readonly name: string;
  readonly attr: string;
}
export interface Items extends Node {
  readonly kind: "tuple" | "list";
  readonly items: readonly Expr[];
}
export interface DictNode extends Node {
  readonly kind: "dict";
  readonly items: readonly { readonly key: Expr; readonly value: Expr }[];
}
export interface Binary extends Node {
  readonly kind: "binary";
  readonly operator: string;
  readonly left: Expr;
  readonly right: Expr;
}
export interface Logic extends Node {
  readonly kind: "and" | "or";
  readonly left: Expr;
  readonly right: Expr;
}
export interface Unary extends Node {
  readonly kind: "not" | "neg" | "pos";
  readonly node: Expr;
}
export interface Compare extends Node {
  readonly kind: "compare";
  readonly expr: Expr;
  readonly ops: readonly { readonly op: string; readonly expr: Expr }[];
}
export interface Concat extends Node {
  readonly kind: "concat";
  readonly nodes: readonly Expr[];
}
export interface Cond extends Node {
  readonly kind: "cond";
  readonly test: Expr;
  readonly expr1: Expr;
  readonly expr2: Expr | undefined;
}
export interface Getattr extends Node {
  readonly kind: "getattr";
  readonly node: Expr;
  readonly attr: string;
}
export interface Getitem extends Node {
  readonly kind: "getitem";
  readonly node: Expr;
  readonly arg: Expr;
}
export interface Slice extends Node {
  readonly kind: "slice";
  readonly start: Expr | undefined;
  readonly stop: Expr | undefined;
  readonly step: Expr | undefined;
}
/** Arguments of a call, a filter or a test. */
export interface Arguments {
  readonly args: readonly Expr[];
  readonly kwargs: readonly { readonly key: string; readonly value: Expr }[];
  readonly dynArgs: Expr | undefined;
  readonly dynKwargs: Expr | undefined;
}
export interface Call extends Node, Arguments {
  readonly kind: "call";
  readonly node: Expr;
}
/** Without a node, a filter works on the output of its block. */
export interface Filter extends Node, Arguments {
  readonly kind: "filter";
  readonly node: Expr | undefined;
  readonly name: string;
}
export interface Test extends Node, Arguments {
  readonly kind: "test";
  readonly node: Expr;
  readonly name: string;
}

export type Expr =
  | Name
  | Const
  | Attribute
  | Items
  | DictNode
  | Binary
  | Logic
  | Unary
  | Compare
  | Concat
  | Cond
  | Getattr
  | Getitem
  | Slice
  | Call
  | Filter
  | Test;

/** What a block does with a name before its body runs: see `scopes.ts`. */
export interface Load {
  readonly name: string;
  readonly how: "param" | "resolve" | "alias" | "undefined";
}
export type Loads = readonly Load[];

export interface Data extends Node {
  readonly kind: "data";
  readonly text: string;
}
export interface Output extends Node {
  readonly kind: "output";
  readonly nodes: readonly Expr[];
}
export interface If extends Node {
  readonly kind: "if";
  readonly test: Expr;
  readonly body: Body;
  readonly elifs: readonly If[];
  readonly otherwise: Body;
}
export interface For extends Node {
  readonly kind: "for";
  readonly target: Expr;
  readonly iter: Expr;
  readonly body: Body;
  readonly otherwise: Body;
  readonly test: Expr | undefined;
  readonly isRecursive: boolean;
  frames?: { readonly body: Loads; readonly otherwise: Loads; readonly test: Loads };
}
export interface Signature {
  readonly args: readonly Name[];
  readonly defaults: readonly Expr[];
}
interface MacroParts extends Node, Signature {
  readonly body: Body;
  frame?: Loads;
  /** Which of `caller`, `kwargs` and `varargs` the body reads. */
  special?: ReadonlySet<string>;
}
export interface Macro extends MacroParts {
  readonly kind: "macro";
  readonly name: string;
}
export interface CallBlock extends MacroParts {
  readonly kind: "callblock";
  readonly call: Call;
}
/** Marks what the assistant says; it is rendered like any other text. */
export interface Generation extends MacroParts {
  readonly kind: "generation";
}
export interface Assign extends Node {
  readonly kind: "assign";
  readonly target: Expr;
  readonly node: Expr;
}
export interface AssignBlock extends Node {
  readonly kind: "assignblock";
  readonly target: Expr;
  readonly filter: Filter | undefined;
  readonly body: Body;
  frame?: Loads;
}
export interface FilterBlock extends Node {
  readonly kind: "filterblock";
  readonly body: Body;
  readonly filter: Filter;
  frame?: Loads;
}
export interface With extends Node {
  readonly kind: "with";
  readonly targets: readonly Expr[];
  readonly values: readonly Expr[];
  readonly body: Body;
  frame?: Loads;
}
export interface Jump extends Node {
  readonly kind: "break" | "continue";
}

export type Statement = Data | Output | If | For | Macro | CallBlock | Generation | Assign | AssignBlock | FilterBlock | With | Jump;
export type Body = readonly Statement[];

/** A template that is ready to be rendered. */
export interface Template {
  readonly body: Body;
  readonly frame: Loads;
}
