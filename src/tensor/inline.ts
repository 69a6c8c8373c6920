/** A graph as a part of another: computed in another trace, or written as plain data and read back. */
import type { Dtype } from "../base/array.ts";
import { fail, LetheError } from "../base/fail.ts";
import { type Dim, formatShape, isSymbol, type Shape, substitute } from "./dim.ts";
import { Graph, inputOf } from "./graph.ts";
import type { Attrs, Role, Tensor } from "./tensor.ts";
import { Trace } from "./trace.ts";
import { Bounds, COMPUTED, isKnown, refuseNode, symbolsOf } from "./untrusted.ts";

/** Attributes that contain sizes or positions; no other attribute contains symbols. */
const SIZES: ReadonlySet<string> = new Set(["shape", "start", "end", "size", "dim"]);

/**
 * Computes a graph's outputs in the trace of `inputs`, which replace the graph's inputs by name and are cast to their dtypes. The graph's
 * symbols get the sizes of these inputs. Fails if an input is missing or a shape does not fit.
 */
export function inline(graph: Graph, into: Trace, inputs: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>> {
  const symbols: Record<string, Dim> = {};
  const moved = new Map<Tensor, Tensor>();
  for (const t of graph.inputs) {
    const { name } = inputOf(t);
    const given =
      inputs[name] ?? fail("graph", `input "${name}" is missing`, `one of ${Object.keys(inputs).join(", ")}`, "", "unavailable");
    bindDims(name, t.shape, given.shape, symbols);
    if (given.dtype !== t.dtype && !COMPUTED.includes(t.dtype))
      fail("graph", `"${name}" of ${given.dtype}`, t.dtype, "It was made for another model.", "unavailable"); // nothing is stored anew in such a type
    moved.set(t, given.cast(t.dtype));
  }
  for (const node of graph.nodes) {
    if (node.op === "input") continue;
    const inner = node.inputs.map((t) => moved.get(t)!);
    const outs = into.apply(node.op, inner, sized(node.attrs, symbols));
    node.outputs.forEach((t, i) => moved.set(t, outs[i]!));
  }
  return Object.fromEntries([...graph.outputs].map(([name, t]) => [name, moved.get(t)!]));
}

function bindDims(name: string, declared: Shape, given: Shape, symbols: Record<string, Dim>): void {
  const fits =
    declared.length === given.length &&
    declared.every((d, i) => {
      if (isSymbol(d) && symbols[d] === undefined) symbols[d] = given[i]!;
      return substitute(d, symbols) === given[i];
    });
  if (!fits)
    fail("graph", `"${name}" of shape ${formatShape(given)}`, formatShape(declared), "It was made for another model.", "unavailable");
}

function sized(attrs: Attrs, symbols: Readonly<Record<string, Dim>>): Attrs {
  const put = (value: unknown): unknown => (Array.isArray(value) ? value.map(put) : substitute(value as Dim, symbols));
  return Object.fromEntries(Object.entries(attrs).map(([key, value]) => [key, SIZES.has(key) ? put(value) : value]));
}

/** A node as data: operation, inputs ([node, output], by position in the list), attributes. */
export type NodeData = readonly [op: string, inputs: readonly (readonly [number, number])[], attrs: Attrs];
export interface GraphData {
  readonly nodes: readonly NodeData[];
  readonly outputs: Readonly<Record<string, readonly [node: number, output: number]>>;
}

/** A graph as plain data. */
export function graphData(graph: Graph): GraphData {
  const index = new Map(graph.nodes.map((node, i) => [node, i] as const));
  const place = (t: Tensor): [number, number] => [index.get(t.node)!, t.index];
  return {
    nodes: graph.nodes.map((node) => [node.op, node.inputs.map(place), node.attrs]),
    outputs: Object.fromEntries([...graph.outputs].map(([name, t]) => [name, place(t)])),
  };
}

/**
 * The graph that data describes, from a file that anybody may have written. Every operation is applied again, so shapes are checked. Refuses,
 * with the node, what is inconsistent or would cost more than the arrays that the graph works on: `shapeOf` gives the shapes of those in the file.
 */
export function graphOf(data: GraphData, shapeOf: (name: string) => readonly number[] | undefined = () => undefined): Graph {
  Bounds.checkLength(data.nodes.length);
  const declared = data.nodes.flatMap(([op, , attrs]) => (op === "input" ? [attrs] : []));
  const bounds = new Bounds(symbolsOf(declared, shapeOf));
  const into = new Trace();
  const made: (readonly Tensor[])[] = [];
  const at = (index: number, op: string, [node, output]: readonly [number, number]): Tensor =>
    made[node]?.[output] ?? refuseNode(index, op, `it uses node ${node}.${output}`, `one of ${made.length} nodes before it`);
  for (const [index, [op, uses, attrs]] of data.nodes.entries()) {
    if (op === "input") {
      bounds.input(index, attrs);
      const { name, dtype, shape, role } = attrs as { name: string; dtype: Dtype; shape: Shape; role: Role };
      made.push([into.input(name, dtype, shape, role)]);
      continue;
    }
    if (!isKnown(op)) return refuseNode(index, op, "an operation that this version does not read", "one that it knows");
    const inputs = uses.map((place) => at(index, op, place));
    bounds.before(index, op, inputs, attrs);
    try {
      made.push(into.apply(op, inputs, attrs));
    } catch (error) {
      if (!(error instanceof LetheError)) throw error;
      refuseNode(index, op, error.got, error.wanted);
    }
    bounds.after(index, op, inputs, made[index]!, attrs);
  }
  return new Graph(Object.entries(data.outputs).map(([name, place]) => [name, at(made.length, `output ${name}`, place)] as const));
}
