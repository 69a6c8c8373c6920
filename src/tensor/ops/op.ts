/** What an operation is: its shapes, its gradient, its ONNX nodes; one entry of the table declares all three. */
import type { Dtype, NdArray } from "../../base/array.ts";
import { type Dim, sameShape, type Shape } from "../dim.ts";
import type { Attrs, Node, Tensor } from "../tensor.ts";
import { misfit } from "../misfit.ts";

/** The emitter's interface for entries; names are ONNX value names. */
export interface Emit {
  /** Adds ONNX nodes; an empty input name omits an optional input. */
  node(
    op: string,
    inputs: readonly string[],
    attrs?: Readonly<Record<string, number | string | readonly number[]>>,
    outputs?: number,
    domain?: string,
  ): string[];
  constant(array: NdArray): string;
  /** A 1-D int64 value with these dimensions: a constant if all are numbers, else fed at run time. */
  dims(dims: readonly Dim[]): string;
  /** Requires at least this ONNX opset. */
  needs(opset: number): void;
}

export interface Op {
  /** Output dtypes and shapes; fails through `misfit` when the inputs do not fit. */
  infer(inputs: readonly Tensor[], attrs: Attrs): readonly { dtype: Dtype; shape: Shape }[];
  /** Gradients of the inputs, from those of the outputs (undefined for an output without one). Absent: no gradient. */
  vjp?(grads: readonly (Tensor | undefined)[], node: Node): readonly (Tensor | undefined)[];
  onnx(emit: Emit, inputs: readonly string[], node: Node): readonly string[];
}

/** The shape two operands broadcast to, or undefined. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const out: Dim[] = [];
  for (let i = Math.max(a.length, b.length) - 1, j = 1; i >= 0; i--, j++) {
    const x = a[a.length - j] ?? 1;
    const y = b[b.length - j] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.unshift(x === 1 ? y : x);
  }
  return out;
}

/** Sums a gradient over the axes along which its operand was repeated. */
export function unbroadcast(grad: Tensor, shape: Shape): Tensor {
  if (sameShape(grad.shape, shape)) return grad;
  const extra = grad.rank - shape.length;
  const axes = grad.shape.flatMap((d, i) => (i < extra || (shape[i - extra] === 1 && d !== 1) ? [i] : []));
  return grad.sum(axes, true).reshape(shape);
}

/** The first input's dtype and shape. */
export const likeFirst: Op["infer"] = ([x]) => [{ dtype: x!.dtype, shape: x!.shape }];

/** Refuses inputs of more than one dtype. */
export function oneDtype(op: string, inputs: readonly Tensor[]): Dtype {
  const dtype = inputs[0]!.dtype;
  if (inputs.some((t) => t.dtype !== dtype)) misfit(op, inputs, "one dtype; cast first");
  return dtype;
}

/** A gradient entry that is known to be there. */
export const first = (grads: readonly (Tensor | undefined)[]): Tensor => grads[0]!;
