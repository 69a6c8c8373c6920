/** Splits a graph without changing its result: constant parts from varying ones, and one block from the next. */
import { Graph, inputOf, replay } from "./graph.ts";
import { dependents } from "./grad.ts";
import type { Node, Tensor } from "./tensor.ts";
import { Trace } from "./trace.ts";

/**
 * Nodes computed only from weights and constants (mostly casts): it is cheaper to repeat them than to pass their results.
 */
function floating(nodes: readonly Node[]): Set<Node> {
  const out = new Set<Node>();
  for (const node of nodes) {
    const isRoot = node.op === "input" ? inputOf(node.outputs[0]!).role === "weight" : node.inputs.length === 0;
    if (isRoot || (node.inputs.length > 0 && node.inputs.every((t) => out.has(t.node)))) out.add(node);
  }
  return out;
}

/**
 * Separates the part of a graph that does not depend on the `varying` inputs.
 * `constant` computes it: it has outputs "hoisted.k", which are inputs of `rest`, and the graph's own outputs that do not vary.
 */
export function hoist(graph: Graph, varying: readonly string[]): { constant: Graph; rest: Graph } {
  const moving = dependents(
    graph.nodes,
    graph.inputs.filter((t) => varying.includes(inputOf(t).name)),
  );
  const free = floating(graph.nodes);
  const carried = new Map<Tensor, string>();
  const carry = (t: Tensor): void => {
    if (t.node.op !== "input" && !moving.has(t.node) && !free.has(t.node) && !carried.has(t)) carried.set(t, `hoisted.${carried.size}`);
  };
  for (const node of graph.nodes) if (moving.has(node)) node.inputs.forEach(carry);
  const still = [...graph.outputs].filter(([, t]) => !moving.has(t.node));
  const into = new Trace();
  const given = new Map([...carried].map(([t, name]) => [t, into.input(name, t.dtype, t.shape)] as const));
  const kept = graph.nodes.filter((n) => moving.has(n) || free.has(n) || n.op === "input");
  const moved = replay(kept, into, given);
  return {
    constant: new Graph([...[...carried].map(([t, name]) => [name, t] as const), ...still]),
    rest: new Graph([...graph.outputs].filter(([, t]) => moving.has(t.node)).map(([name, t]) => [name, moved.get(t)!] as const)),
  };
}

/** One segment of a cut graph; the segments of equal layers have equal graphs. */
export interface Segment {
  readonly graph: Graph;
  /** The segment's input names → the values of the whole graph. */
  readonly takes: ReadonlyMap<string, Tensor>;
  /** The segment's output names → the values of the whole graph. */
  readonly gives: ReadonlyMap<string, Tensor>;
}

/**
 * Cuts at the `boundary` operations. Segment inputs are named by order of use ("x0" for values of earlier segments, "w0" for weights);
 * other inputs keep their names. So all blocks of a model give the same graph.
 */
export function cut(graph: Graph): Segment[] {
  const free = floating(graph.nodes);
  const level = new Map<Node, number>();
  for (const node of graph.nodes) {
    if (free.has(node) || node.op === "input") continue;
    const before = Math.max(0, ...node.inputs.map((t) => level.get(t.node) ?? 0));
    level.set(node, before + (node.op === "boundary" ? 1 : 0));
  }
  const last = Math.max(0, ...level.values());
  const leaving: Tensor[][] = Array.from({ length: last + 1 }, () => []);
  const leave = (t: Tensor): void => {
    const at = level.get(t.node);
    if (at !== undefined && !leaving[at]!.includes(t)) leaving[at]!.push(t);
  };
  for (const node of graph.nodes) for (const t of node.inputs) if (level.has(node) && level.get(t.node) !== level.get(node)) leave(t);
  for (const t of graph.outputs.values()) leave(t);
  return leaving.map((gives, at) => segment(graph, gives, (n) => level.get(n) === at, free));
}

function segment(graph: Graph, leaving: readonly Tensor[], here: (n: Node) => boolean, free: ReadonlySet<Node>): Segment {
  const into = new Trace();
  const takes = new Map<string, Tensor>();
  const given = new Map<Tensor, Tensor>();
  const needed = new Set(new Graph(leaving.map((t, i) => [`${i}`, t] as const)).nodes);
  const move = (t: Tensor): void => {
    if (given.has(t)) return;
    if (t.node.op === "input") {
      const { name, role } = inputOf(t);
      const local = role === "weight" ? `w${[...takes.keys()].filter((k) => k.startsWith("w")).length}` : name;
      takes.set(local, t);
      given.set(t, into.input(local, t.dtype, t.shape, role));
    } else if (free.has(t.node)) {
      t.node.inputs.forEach(move);
      replay([t.node], into, given);
    } else {
      const local = `x${[...takes.keys()].filter((k) => k.startsWith("x")).length}`;
      takes.set(local, t);
      given.set(t, into.input(local, t.dtype, t.shape));
    }
  };
  for (const node of graph.nodes) {
    if (!here(node) || !needed.has(node)) continue;
    node.inputs.forEach(move);
    if (node.op === "boundary") given.set(node.outputs[0]!, given.get(node.inputs[0]!)!.boundary("start")); // its own name would tell the blocks apart
    else replay([node], into, given);
  }
  const gives = new Map(leaving.map((t, i) => [`y${i}`, t] as const));
  return { graph: new Graph([...gives].map(([name, t]) => [name, given.get(t)!] as const)), takes, gives };
}
