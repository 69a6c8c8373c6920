/** A trace: the growing list of nodes behind traced tensors, one node per distinct computation. */
import type { Dtype } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Dim, Shape } from "./dim.ts";
import { type OpName, ops } from "./ops/table.ts";
import { Tensor } from "./tensor.ts";

export type Attrs = Readonly<Record<string, unknown>>;
/** "weight" inputs belong to the model and may be frozen into a session; "input" change from run to run. */
export type Role = "input" | "weight";

export interface Node {
  readonly id: number;
  readonly op: OpName | "input";
  readonly inputs: readonly Tensor[];
  readonly attrs: Attrs;
  readonly outputs: readonly Tensor[];
}

/** Records computations; equal computations are recorded once. */
export class Trace {
  private readonly known = new Map<string, Node>();
  private count = 0;

  /** A named input of the program; the same name gives the same tensor. */
  input(name: string, dtype: Dtype, shape: Shape, role: Role = "input"): Tensor {
    const tensor = this.node("input", [], { name, dtype, shape, role }, () => [{ dtype, shape }])[0]!;
    return tensor;
  }

  /** A scalar constant. */
  constant(value: number, dtype: Dtype): Tensor {
    return this.apply("constant", [], { value: Object.is(value, -0) ? 0 : value, dtype })[0]!;
  }

  /** The size of a dimension as a scalar of `dtype`, known when the program runs. */
  sizeOf(dim: Dim, dtype: Dtype): Tensor {
    return typeof dim === "number" ? this.constant(dim, dtype) : this.apply("size", [], { dim, dtype })[0]!;
  }

  /** Zeros of a shape. */
  zeros(shape: Shape, dtype: Dtype): Tensor {
    return this.constant(0, dtype).expand(shape);
  }

  /** Applies an operation of the table; if shapes do not fit, it fails and names the operation and the shapes. */
  apply(op: OpName, inputs: readonly Tensor[], attrs: Attrs = {}): readonly Tensor[] {
    for (const input of inputs) if (input.trace !== this) fail(op, "a tensor of another trace", "tensors of one trace", "", "internal");
    return this.node(op, inputs, attrs, () => ops[op].infer(inputs, attrs));
  }

  private node(
    op: Node["op"],
    inputs: readonly Tensor[],
    attrs: Attrs,
    infer: () => readonly { dtype: Dtype; shape: Shape }[],
  ): readonly Tensor[] {
    const key = `${op}(${inputs.map((t) => `${t.node.id}.${t.index}`).join(",")})${JSON.stringify(attrs)}`;
    const seen = this.known.get(key);
    if (seen) return seen.outputs;
    const outputs: Tensor[] = [];
    const node: Node = { id: this.count++, op, inputs, attrs, outputs };
    for (const [index, { dtype, shape }] of infer().entries()) outputs.push(new Tensor(this, node, index, dtype, shape));
    this.known.set(key, node);
    return outputs;
  }
}
