/** A trace: the growing list of nodes behind traced tensors, one node per distinct computation. */
import type { Dtype } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Dim, Shape } from "./dim.ts";
import type { OpName } from "./ops/names.ts";
import { ops } from "./ops/table.ts";
import { type Attrs, type Node, type Recorder, type Role, Tensor } from "./tensor.ts";

/** Records what is computed; equal computations are recorded once. */
export class Trace implements Recorder {
  private readonly known = new Map<string, Node>();
  private count = 0;

  input(name: string, dtype: Dtype, shape: Shape, role: Role = "input"): Tensor {
    const tensor = this.node("input", [], { name, dtype, shape, role }, () => [{ dtype, shape }])[0]!;
    return tensor;
  }

  constant(value: number, dtype: Dtype): Tensor {
    return this.apply("constant", [], { value: Object.is(value, -0) ? 0 : value, dtype })[0]!;
  }

  sizeOf(dim: Dim, dtype: Dtype): Tensor {
    return typeof dim === "number" ? this.constant(dim, dtype) : this.apply("size", [], { dim, dtype })[0]!;
  }

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
