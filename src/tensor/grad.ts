/** Reverse-mode gradients: the backward pass is added as nodes of the same trace. */
import { fail } from "../base/fail.ts";
import { ops } from "./ops/table.ts";
import type { Node, Tensor } from "./tensor.ts";
import { Graph } from "./graph.ts";

/**
 * Pulls cotangents back: for each of `wrt`, the sum over `outputs` of cotangentᵀ · ∂output/∂wrt, in its shape.
 * One of `wrt` may depend on another. A tensor that no output depends on gives zeros. Fails where the way leads through an operation
 * without a gradient.
 */
export function vjp(outputs: readonly Tensor[], cotangents: readonly Tensor[], wrt: readonly Tensor[]): Tensor[] {
  const { nodes } = new Graph(outputs.map((t, i) => [`${i}`, t] as const));
  const wanted = new Set(wrt);
  const above = new Set<Node>(); // what depends on one of them
  for (const node of nodes) if (node.inputs.some((t) => wanted.has(t) || above.has(t.node))) above.add(node);
  const isOnTheWay = (t: Tensor): boolean => wanted.has(t) || above.has(t.node);
  const grads = new Map<Tensor, Tensor>();
  const give = (t: Tensor, g: Tensor): void => {
    const old = grads.get(t);
    grads.set(t, old ? sum(old, g) : g);
  };
  outputs.forEach((t, i) => {
    if (isOnTheWay(t)) give(t, cotangents[i]!);
  });
  for (const node of [...nodes].reverse()) {
    const arriving = node.outputs.map((t) => grads.get(t));
    if (node.op === "input" || node.op === "detach" || !above.has(node) || arriving.every((g) => !g)) continue;
    const rule = ops[node.op].vjp;
    if (!rule) {
      if (node.inputs.every((t) => !t.dtype.startsWith("float"))) continue;
      fail("grad", `operation "${node.op}"`, "operations with a gradient", "Detach its input, or use a differentiable one.", "internal");
    }
    const flowing = rule(arriving, node);
    node.inputs.forEach((t, i) => {
      const g = flowing[i];
      if (g && isOnTheWay(t)) give(t, g);
    });
  }
  return wrt.map((t) => grads.get(t) ?? t.trace.zeros(t.shape, t.dtype));
}

/** a + b. If one has only some non-zero rows, as the gradient of an embedding does, only these rows are added. */
function sum(a: Tensor, b: Tensor): Tensor {
  const [rows, other] = isRows(b) ? [b, a] : [a, b];
  const [, indices, updates] = rows.node.inputs;
  return isRows(rows) ? other.addRows(indices!, updates!) : a.add(b);
}

function isRows({ node }: Tensor): boolean {
  const base = node.op === "addRows" ? node.inputs[0]!.node : undefined;
  const value = base?.op === "expand" ? base.inputs[0]!.node : undefined;
  return value?.op === "constant" && value.attrs["value"] === 0;
}

/** Gradients of a scalar. */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.rank !== 0) fail("grad", `a loss of shape [${loss.shape.join(", ")}]`, "a scalar", "Sum or average it first.", "internal");
  return vjp([loss], [loss.trace.constant(1, loss.dtype)], wrt);
}

/** Nodes whose value depends on one of the tensors. */
export function dependents(nodes: readonly Node[], on: readonly Tensor[]): Set<Node> {
  const roots = new Set(on.map((t) => t.node));
  const out = new Set<Node>();
  for (const node of nodes) if (roots.has(node) || node.inputs.some((t) => out.has(t.node))) out.add(node);
  return out;
}
