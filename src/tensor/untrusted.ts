/** Graphs from files: what each operation takes, and bounds on what a graph costs, checked node by node before anything is computed. */
import type { Dtype } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Dim, evaluate, formatShape, isSymbol, type Shape } from "./dim.ts";
import type { OpName } from "./ops/names.ts";
import type { Attrs, Tensor } from "./tensor.ts";

/** What an attribute may hold, given the first input. */
type Kind = "shape" | "dim" | "axis" | "axes" | "flag" | "dtype" | "number" | "text";

interface Form {
  /** How many inputs; absent: one or more. */
  readonly inputs?: number;
  /** The dtypes of the inputs: of all of them, or of each in turn. A kernel outside these is missing, or ends the process. */
  readonly takes: readonly (readonly Dtype[])[];
  readonly attrs: Readonly<Record<string, Kind>>;
}

const FLOATS: readonly Dtype[] = ["float32", "float64"];
const WHOLE: readonly Dtype[] = ["int64", "int32"];
const NUMBERS: readonly Dtype[] = [...FLOATS, ...WHOLE];
/** What values are computed in; other dtypes are only stored. */
export const COMPUTED: readonly Dtype[] = [...NUMBERS, "bool"];
const STORED: readonly Dtype[] = [...COMPUTED, "float16", "bfloat16", "uint8"];
const INDICES: readonly Dtype[] = ["int64"];
const BOOL: readonly Dtype[] = ["bool"];

const form = (inputs: number | undefined, takes: Form["takes"], attrs: Form["attrs"] = {}): Form => ({
  ...(inputs !== undefined && { inputs }),
  takes,
  attrs,
});
const fold = form(1, [FLOATS], { axes: "axes", keep: "flag" });

/**
 * A division of whole numbers by zero, and a rotation to a position that its tables lack, would end the process: neither is taken. Nor is erf,
 * which takes forty times the memory of its input in double precision.
 */
export const FORMS: Readonly<Record<Exclude<OpName, "rope" | "erf">, Form>> = {
  add: form(2, [NUMBERS]),
  sub: form(2, [NUMBERS]),
  mul: form(2, [NUMBERS]),
  div: form(2, [FLOATS]),
  maximum: form(2, [NUMBERS]),
  less: form(2, [NUMBERS]),
  lessOrEqual: form(2, [NUMBERS]),
  equal: form(2, [COMPUTED]),
  and: form(2, [BOOL]),
  neg: form(1, [NUMBERS]),
  exp: form(1, [FLOATS]),
  log: form(1, [FLOATS]),
  sqrt: form(1, [FLOATS]),
  sigmoid: form(1, [FLOATS]),
  tanh: form(1, [FLOATS]),
  relu: form(1, [FLOATS]),
  silu: form(1, [FLOATS]),
  where: form(3, [BOOL, NUMBERS, NUMBERS]),
  cast: form(1, [STORED], { to: "dtype" }),
  constant: form(0, [], { value: "number", dtype: "dtype" }),
  size: form(0, [], { dim: "dim", dtype: "dtype" }),
  detach: form(1, [COMPUTED]),
  boundary: form(1, [COMPUTED], { name: "text" }),
  sum: form(1, [NUMBERS], { axes: "axes", keep: "flag" }),
  mean: fold,
  max: fold,
  argmax: form(1, [FLOATS]),
  softmax: form(1, [FLOATS]),
  logSoftmax: form(1, [FLOATS]),
  rmsNorm: form(2, [FLOATS], { eps: "number" }),
  reshape: form(1, [COMPUTED], { shape: "shape" }),
  transpose: form(1, [COMPUTED], { perm: "axes" }),
  expand: form(1, [COMPUTED], { shape: "shape" }),
  slice: form(1, [COMPUTED], { axis: "axis", start: "dim", end: "dim" }),
  concat: form(undefined, [COMPUTED], { axis: "axis" }),
  rows: form(2, [STORED, INDICES]),
  addRows: form(3, [FLOATS, INDICES, FLOATS]),
  pick: form(2, [COMPUTED, INDICES]),
  place: form(2, [FLOATS, INDICES], { size: "dim" }),
  matmul: form(2, [FLOATS], { transA: "flag", transB: "flag" }),
  labelLogProbs: form(3, [FLOATS, FLOATS, INDICES]),
};

/** Whether a graph from a file may have an operation. */
export const isKnown = (op: string): op is keyof typeof FORMS => Object.hasOwn(FORMS, op);

/** Bounds on one graph. A router of a hundred matrices has 1,300 nodes; the engine takes a second to compile 1,500. */
const MOST = { nodes: 1_500, uses: 10_000, rank: 8, size: 2 ** 31, symbols: 16, terms: 4, carried: 2 ** 17, degree: 3 } as const;
/** The value that open sizes (rows, tokens) are given to tell what a graph costs. */
const [LEAST, USUAL] = [1, 32];
/** Elements and multiplications that any graph may take, and how many times its inputs' elements it may take beyond that. */
const FREE = { elements: 2 ** 26, products: 2 ** 32 };
const TIMES = { elements: 64, products: 16 * USUAL * USUAL };

const SYMBOL = /^[A-Za-z]\w{0,15}$/;
const DIM = /^-?F(?:\*F){0,3}(?:[+-]F(?:\*F){0,3}){0,3}$/;
const FACTOR = /[A-Za-z]\w{0,15}|\d{1,9}/g;

/** A refusal that names the node. */
export const refuseNode = (index: number, op: string, got: string, wanted: string): never =>
  fail("graph", `node ${index} (${op.slice(0, 40)}): ${got}`, wanted, "The edit file is damaged, or made to do harm: do not use it.");

/** What a graph has cost so far; every node is checked before its shapes are inferred and behind that. */
export class Bounds {
  /** Sizes by symbol where arrays that stand in the file determine them. */
  private readonly known: Readonly<Record<string, number>>;
  private readonly open = new Set<string>();
  private readonly spent = { uses: 0, given: 0, elements: 0, products: 0 };

  constructor(known: Readonly<Record<string, number>> = {}) {
    this.known = known;
  }

  /** Refuses a list of nodes that is too long to be looked at. */
  static checkLength(count: number): void {
    if (count > MOST.nodes) refuseNode(MOST.nodes, "the first too many", `${count} nodes`, `${MOST.nodes} at most`);
  }

  /** Refuses an input whose declaration is none, or that is too large. */
  input(index: number, attrs: Attrs): void {
    const { name, dtype, shape, role } = attrs;
    const refuse = (got: string, wanted: string): never => refuseNode(index, "input", got, wanted);
    if (typeof name !== "string" || !/^[\w./-]{1,200}$/.test(name)) refuse("a name that is none", "letters, digits, dots");
    if (!STORED.includes(dtype as Dtype)) refuse(`the dtype ${shown(dtype)}`, STORED.join(", "));
    if (role !== "input" && role !== "weight") refuse(`the role ${shown(role)}`, "input or weight");
    if (!Array.isArray(shape) || shape.length > MOST.rank || !shape.every((d) => (typeof d === "string" ? SYMBOL.test(d) : isSize(d))))
      refuse(`the shape ${shown(shape)}`, `at most ${MOST.rank} sizes or symbols`);
    const own = shape as Shape;
    for (const d of own) if (isSymbol(d) && this.known[d] === undefined) this.open.add(d);
    if (this.open.size > MOST.symbols) refuse(`${this.open.size} symbols`, `${MOST.symbols} at most`);
    const fixed = own.reduce<number>((n, d) => n * (typeof d === "number" ? d : (this.known[d] ?? 1)), 1);
    const isOpen = own.some((d) => isSymbol(d) && this.open.has(d));
    if (isOpen && fixed > MOST.carried) refuse(`${fixed} numbers for each row or token`, `${MOST.carried} at most`);
    this.spent.given += this.elements(index, "input", own);
  }

  /** Refuses a node whose inputs or attributes do not belong to its operation. */
  before(index: number, op: keyof typeof FORMS, inputs: readonly Tensor[], attrs: Attrs): void {
    const { inputs: count, takes, attrs: kinds } = FORMS[op];
    const refuse = (got: string, wanted: string): never => refuseNode(index, op, got, wanted);
    if (count === undefined ? inputs.length === 0 : inputs.length !== count)
      refuse(`${inputs.length} inputs`, count === undefined ? "one or more" : `${count}`);
    if ((this.spent.uses += inputs.length) > MOST.uses) refuse(`${this.spent.uses} uses of values`, `${MOST.uses} at most`);
    inputs.forEach(({ dtype }, i) => {
      const allowed = takes.length === 1 ? takes[0]! : takes[i]!;
      if (!allowed.includes(dtype)) refuse(`${dtype} for input ${i}`, allowed.join(", "));
    });
    for (const key of Object.keys(attrs)) if (!Object.hasOwn(kinds, key)) refuse(`the attribute ${shown(key)}`, "no other attribute");
    for (const [key, kind] of Object.entries(kinds)) {
      const isRight = this.fits(kind, attrs[key], inputs[0]?.rank ?? 0);
      if (!isRight) refuse(`${key} ${shown(attrs[key])}`, WANTED[kind]);
    }
    if (op === "constant" && WHOLE.includes(attrs["dtype"] as Dtype) && !Number.isSafeInteger(attrs["value"]))
      refuse(`the value ${shown(attrs["value"])}`, `a whole number for ${String(attrs["dtype"])}`);
    if (op === "slice") this.checkRange(index, inputs[0]!, attrs);
    if (op === "reshape" || op === "expand" || op === "place") this.checkTarget(index, op, attrs);
    this.checkKept(index, op, inputs, attrs);
  }

  /** Refuses a node whose values are too large, or whose work is too much; of a node that was there already nothing is counted twice. */
  after(index: number, op: keyof typeof FORMS, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: Attrs): void {
    for (const { shape } of outputs) this.spent.elements += this.elements(index, op, shape);
    if (op === "matmul" || op === "labelLogProbs") {
      const [a] = inputs as [Tensor];
      const inner = a.dim(attrs["transA"] ? -2 : -1);
      this.spent.products += this.elements(index, op, outputs.at(-1)!.shape) * this.value(inner, USUAL);
    }
    for (const what of ["elements", "products"] as const) {
      const most = FREE[what] + TIMES[what] * this.spent.given;
      if (!(this.spent[what] <= most))
        refuseNode(index, op, `${brief(this.spent[what])} ${what} for ${USUAL} rows of ${USUAL} tokens`, `${brief(most)} at most`);
    }
  }

  private fits(kind: Kind, value: unknown, rank: number): boolean {
    const isAxis = (axis: unknown): boolean => Number.isInteger(axis) && (axis as number) >= 0 && (axis as number) < rank;
    switch (kind) {
      case "shape":
        return Array.isArray(value) && value.length <= MOST.rank && value.every((d) => this.isDim(d));
      case "dim":
        return this.isDim(value);
      case "axis":
        return isAxis(value);
      case "axes":
        return Array.isArray(value) && value.length <= rank && new Set(value).size === value.length && value.every(isAxis);
      case "flag":
        return typeof value === "boolean";
      case "dtype":
        return COMPUTED.includes(value as Dtype);
      case "number":
        return typeof value === "number" && Number.isFinite(value);
      case "text":
        return typeof value === "string" && /^[\w.]{0,100}$/.test(value);
    }
  }

  /** Whether a value is a size: a number, or few terms in symbols that inputs bring. */
  private isDim(value: unknown): boolean {
    if (typeof value !== "string") return isSize(value);
    if (value.length > 100 || !DIM.test(value.replace(FACTOR, "F"))) return false;
    return (value.match(/[A-Za-z]\w*/g) ?? []).every((symbol) => this.open.has(symbol) || this.known[symbol] !== undefined);
  }

  private checkRange(index: number, x: Tensor, { axis, start, end }: Attrs): void {
    for (const open of [LEAST, USUAL]) {
      const [from, to, size] = [start as Dim, end as Dim, x.dim(axis as number)].map((d) => this.value(d, open)) as [
        number,
        number,
        number,
      ];
      if (!(from >= 0 && from <= to && to <= size))
        refuseNode(index, "slice", `${shown(start)} to ${shown(end)} of ${x.dim(axis as number)}`, "a range within the axis");
    }
  }

  /** Refuses sizes that multiply to more terms than can be compared at once. */
  private checkTarget(index: number, op: string, attrs: Attrs): void {
    const shape = (attrs["shape"] ?? [attrs["size"]]) as Shape;
    for (const d of shape)
      if (!(this.value(d, LEAST) >= 0 && this.value(d, USUAL) >= 0)) refuseNode(index, op, `the size ${d}`, "sizes of at least 0");
    this.elements(index, op, shape);
  }

  /** Refuses a largest element of nothing, and a batch of terms that would multiply. */
  private checkKept(index: number, op: string, inputs: readonly Tensor[], attrs: Attrs): void {
    const [x] = inputs;
    const axes = op === "max" ? (attrs["axes"] as number[]) : op === "argmax" ? [(x?.rank ?? 0) - 1] : [];
    if (op === "argmax" || op === "softmax" || op === "logSoftmax" || op === "rmsNorm" || op === "pick")
      if ((x?.rank ?? 0) < 1) refuseNode(index, op, "a single number", "at least one axis");
    for (const axis of axes)
      if (!(this.value(x!.dim(axis), LEAST) >= 1))
        refuseNode(index, op, `axis ${axis} of ${formatShape(x!.shape)}`, "an axis that is never empty");
  }

  /** Elements of a shape at usual sizes; refuses one of too many terms, of too high a degree, or of negative sizes. */
  private elements(index: number, op: string, shape: Shape): number {
    const refuse = (wanted: string): never => refuseNode(index, op, `the shape ${shown(shape)}`, wanted);
    if (shape.length > MOST.rank) refuse(`at most ${MOST.rank} axes`);
    const terms = shape.map((d) => (typeof d === "number" ? 1 : d.split(/(?!^)[+-]/).length));
    if (terms.some((n) => n > MOST.terms) || terms.reduce((a, b) => a * b, 1) > 16 * MOST.terms) refuse("sizes of few terms");
    const sizes = [LEAST, USUAL, 4 * USUAL].map((open) => shape.map((d) => this.value(d, open)));
    if (!sizes.flat().every((n) => n >= 0 && n <= MOST.size)) refuse(`sizes from 0 to ${MOST.size}`);
    const [, usual, large] = sizes.map((own) => own.reduce((a, b) => a * b, 1)) as [number, number, number];
    if (large > 2 * 4 ** MOST.degree * Math.max(usual, 1)) refuse(`sizes that multiply rows and tokens at most ${MOST.degree} times`);
    return usual;
  }

  private value(dim: Dim, open: number): number {
    return evaluate(dim, { ...Object.fromEntries([...this.open].map((symbol) => [symbol, open])), ...this.known });
  }
}

const WANTED: Readonly<Record<Kind, string>> = {
  shape: `a list of at most ${MOST.rank} sizes in the inputs' symbols`,
  dim: "a size in the inputs' symbols",
  axis: "an axis of the first input",
  axes: "different axes of the first input",
  flag: "true or false",
  dtype: COMPUTED.join(", "),
  number: "a finite number",
  text: "a short name",
};

const isSize = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MOST.size;
const brief = (n: number): string => n.toExponential(1);

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** The symbols that arrays of a state determine, by the shapes under which a graph's inputs declare them; what does not fit is found later. */
export function symbolsOf(declared: readonly unknown[], shapeOf: (name: string) => readonly number[] | undefined): Record<string, number> {
  const out: Record<string, number> = {};
  for (const attrs of declared) {
    const { name, shape } = attrs as { name?: unknown; shape?: unknown };
    const own = typeof name === "string" ? shapeOf(name) : undefined;
    if (!own || !Array.isArray(shape)) continue;
    shape.forEach((d: unknown, i) => {
      if (typeof d === "string" && SYMBOL.test(d) && own[i] !== undefined) out[d] ??= own[i];
    });
  }
  return out;
}
