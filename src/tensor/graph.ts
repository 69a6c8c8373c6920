/** A finished program as a value: its inputs, its outputs and the nodes between them; it prints as text. */
import type { Dtype } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { hash, type Hash } from "../base/hash.ts";
import { formatShape, type Shape } from "./dim.ts";
import type { Node, Role, Tensor } from "./tensor.ts";
import { Trace } from "./trace.ts";

/** An input node's name, dtype, shape and role. */
export interface Input {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
  readonly role: Role;
}

export class Graph {
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** Reachable nodes; each comes after the nodes that it uses. */
  readonly nodes: readonly Node[];
  readonly inputs: readonly Tensor[];

  constructor(outputs: Iterable<readonly [string, Tensor]>) {
    this.outputs = new Map(outputs);
    this.nodes = reachable([...this.outputs.values()]);
    this.inputs = this.nodes.filter((n) => n.op === "input").map((n) => n.outputs[0]!);
  }

  /** The input tensor with a name; fails with the known names. */
  input(name: string): Tensor {
    return (
      this.inputs.find((t) => inputOf(t).name === name) ??
      fail("graph", `no input "${name}"`, `one of ${this.inputs.map((t) => inputOf(t).name).join(", ")}`, "", "internal")
    );
  }

  output(name: string): Tensor {
    return this.outputs.get(name) ?? fail("graph", `no output "${name}"`, `one of ${[...this.outputs.keys()].join(", ")}`, "", "internal");
  }

  /** The input or else the output of a name; fails with the names there are. */
  value(name: string): Tensor {
    return this.outputs.has(name) && !this.inputs.some((t) => inputOf(t).name === name) ? this.output(name) : this.input(name);
  }

  /** Readable and stable: one line a node, numbered in order of use. */
  toString(): string {
    const names = new Map<Tensor, string>();
    const lines: string[] = [];
    let count = 0;
    for (const node of this.nodes) {
      const types = node.outputs.map((t) => `${t.dtype} ${formatShape(t.shape)}`).join(", ");
      if (node.op === "input") {
        const { name, role } = inputOf(node.outputs[0]!);
        names.set(node.outputs[0]!, name);
        lines.push(`${role} ${name}: ${types}`);
        continue;
      }
      const outs = node.outputs.map((t) => {
        const name = `%${count++}`;
        names.set(t, name);
        return name;
      });
      const attrs = Object.entries(node.attrs)
        .filter(([, v]) => v !== false && v !== undefined)
        .map(([k, v]) => `${k}=${JSON.stringify(v)}`);
      lines.push(`${outs.join(", ")} = ${node.op}(${[...node.inputs.map((t) => names.get(t)), ...attrs].join(", ")}): ${types}`);
    }
    lines.push(`return ${[...this.outputs].map(([name, t]) => `${name}=${names.get(t)}`).join(", ")}`);
    return lines.join("\n");
  }

  private text?: Hash;
  /** The hash of the printed text: equal programs have equal hashes. */
  get hash(): Hash {
    return (this.text ??= hash(this.toString()));
  }
}

/** What an input node declares. */
export const inputOf = (t: Tensor): Input => t.node.attrs as unknown as Input;

/** Traces a function into a graph. */
export function trace(build: (t: Trace) => Readonly<Record<string, Tensor>>): Graph {
  return new Graph(Object.entries(build(new Trace())));
}

/** Records nodes again in another trace; `moved` maps old values to new ones, is extended by these nodes, and is returned. */
export function replay(nodes: readonly Node[], into: Trace, moved: Map<Tensor, Tensor> = new Map()): Map<Tensor, Tensor> {
  for (const node of nodes) {
    if (node.outputs.every((t) => moved.has(t))) continue;
    const outs =
      node.op === "input"
        ? [
            into.input(
              inputOf(node.outputs[0]!).name,
              inputOf(node.outputs[0]!).dtype,
              inputOf(node.outputs[0]!).shape,
              inputOf(node.outputs[0]!).role,
            ),
          ]
        : into.apply(
            node.op,
            node.inputs.map((t) => moved.get(t)!),
            node.attrs,
          );
    node.outputs.forEach((t, i) => {
      if (!moved.has(t)) moved.set(t, outs[i]!);
    });
  }
  return moved;
}

function reachable(ends: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const order: Node[] = [];
  const stack: { node: Node; next: number }[] = [];
  for (const end of ends) {
    if (!seen.has(end.node)) {
      seen.add(end.node);
      stack.push({ node: end.node, next: 0 });
    }
    while (stack.length) {
      const top = stack.at(-1)!;
      const input = top.node.inputs[top.next++];
      if (!input) {
        order.push(top.node);
        stack.pop();
      } else if (!seen.has(input.node)) {
        seen.add(input.node);
        stack.push({ node: input.node, next: 0 });
      }
    }
  }
  return order;
}
