/** Traced tensors: symbols that record how they are computed. */
import type { Dtype } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import { type Dim, formatShape, type Shape } from "./dim.ts";
import type { OpName } from "./ops/names.ts";

export type Attrs = Readonly<Record<string, unknown>>;

/** A computation of a trace, or one of its inputs. */
export interface Node {
  readonly id: number;
  readonly op: OpName | "input";
  readonly inputs: readonly Tensor[];
  readonly attrs: Attrs;
  readonly outputs: readonly Tensor[];
}

/** "weight" inputs belong to the model and may be frozen into a session; "input" change from run to run. */
export type Role = "input" | "weight";

/** What records computations: a trace, as its tensors see it. */
export interface Recorder {
  /** A named input of the program; asking twice for one name gives the same tensor. */
  input(name: string, dtype: Dtype, shape: Shape, role?: Role): Tensor;
  /** A scalar constant. */
  constant(value: number, dtype: Dtype): Tensor;
  /** The size of a dimension as a scalar of `dtype`, known when the program runs. */
  sizeOf(dim: Dim, dtype: Dtype): Tensor;
  /** Zeros of a shape. */
  zeros(shape: Shape, dtype: Dtype): Tensor;
  /** Applies an operation of the table; fails naming it and the shapes when they do not fit. */
  apply(op: OpName, inputs: readonly Tensor[], attrs?: Attrs): readonly Tensor[];
}

/** One value of a traced program: [shape] of dtype, computed by `node`. */
export class Tensor {
  readonly trace: Recorder;
  readonly node: Node;
  readonly index: number;
  readonly dtype: Dtype;
  readonly shape: Shape;

  constructor(trace: Recorder, node: Node, index: number, dtype: Dtype, shape: Shape) {
    this.trace = trace;
    this.node = node;
    this.index = index;
    this.dtype = dtype;
    this.shape = shape;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The size of an axis; negative counts from the end. */
  dim(axis: number): Dim {
    const at = axis < 0 ? axis + this.rank : axis;
    return (
      this.shape[at] ?? fail("tensor", `axis ${axis} of shape ${formatShape(this.shape)}`, `an axis below ${this.rank}`, "", "internal")
    );
  }

  private op(name: OpName, inputs: readonly Tensor[], attrs: Attrs = {}): Tensor {
    return this.trace.apply(name, inputs, attrs)[0]!;
  }

  private with(other: Tensor | number): Tensor {
    return typeof other === "number" ? this.trace.constant(other, this.dtype) : other;
  }

  add(other: Tensor | number): Tensor {
    return this.op("add", [this, this.with(other)]);
  }
  sub(other: Tensor | number): Tensor {
    return this.op("sub", [this, this.with(other)]);
  }
  mul(other: Tensor | number): Tensor {
    return this.op("mul", [this, this.with(other)]);
  }
  div(other: Tensor | number): Tensor {
    return this.op("div", [this, this.with(other)]);
  }
  /** The larger of two, elementwise. */
  maximum(other: Tensor | number): Tensor {
    return this.op("maximum", [this, this.with(other)]);
  }
  neg(): Tensor {
    return this.op("neg", [this]);
  }
  exp(): Tensor {
    return this.op("exp", [this]);
  }
  log(): Tensor {
    return this.op("log", [this]);
  }
  sqrt(): Tensor {
    return this.op("sqrt", [this]);
  }
  sigmoid(): Tensor {
    return this.op("sigmoid", [this]);
  }
  tanh(): Tensor {
    return this.op("tanh", [this]);
  }
  /** The error function: 2/√π times the integral of exp(−t²) from 0 to x. */
  erf(): Tensor {
    return this.op("erf", [this]);
  }
  relu(): Tensor {
    return this.op("relu", [this]);
  }
  /** x · sigmoid(x). */
  silu(): Tensor {
    return this.op("silu", [this]);
  }
  square(): Tensor {
    return this.mul(this);
  }
  less(other: Tensor | number): Tensor {
    return this.op("less", [this, this.with(other)]);
  }
  lessOrEqual(other: Tensor | number): Tensor {
    return this.op("lessOrEqual", [this, this.with(other)]);
  }
  equal(other: Tensor | number): Tensor {
    return this.op("equal", [this, this.with(other)]);
  }
  and(other: Tensor): Tensor {
    return this.op("and", [this, other]);
  }
  /** Chooses elementwise: this must be bool. */
  where(yes: Tensor, no: Tensor): Tensor {
    return this.op("where", [this, yes, no]);
  }
  /** The same values as another dtype; itself if the dtype is equal. */
  cast(dtype: Dtype): Tensor {
    return dtype === this.dtype ? this : this.op("cast", [this], { to: dtype });
  }

  sum(axes?: number | readonly number[], keep = false): Tensor {
    return this.op("sum", [this], { axes: this.axes(axes), keep });
  }
  mean(axes?: number | readonly number[], keep = false): Tensor {
    return this.op("mean", [this], { axes: this.axes(axes), keep });
  }
  max(axes?: number | readonly number[], keep = false): Tensor {
    return this.op("max", [this], { axes: this.axes(axes), keep });
  }
  /** The index of the largest value along the last axis (the first of equals); no gradient. */
  argmax(): Tensor {
    return this.op("argmax", [this]);
  }
  /** Over the last axis. */
  softmax(): Tensor {
    return this.op("softmax", [this]);
  }
  /** Over the last axis. */
  logSoftmax(): Tensor {
    return this.op("logSoftmax", [this]);
  }

  reshape(shape: Shape): Tensor {
    return this.op("reshape", [this], { shape });
  }
  transpose(...perm: number[]): Tensor {
    return this.op("transpose", [this], { perm });
  }
  /** Repeats along axes of size 1 (and new leading axes) to `shape`. */
  expand(shape: Shape): Tensor {
    return this.op("expand", [this], { shape });
  }
  /** Elements start … end−1 of an axis. */
  slice(axis: number, start: Dim, end: Dim): Tensor {
    return this.op("slice", [this], { axis: axis < 0 ? axis + this.rank : axis, start, end });
  }
  concat(others: readonly Tensor[], axis: number): Tensor {
    return this.op("concat", [this, ...others], { axis: axis < 0 ? axis + this.rank : axis });
  }
  unsqueeze(axis: number): Tensor {
    return this.reshape([...this.shape.slice(0, axis), 1, ...this.shape.slice(axis)]);
  }

  /** this · other over the last two axes; earlier axes broadcast, or `other` is one matrix for all. */
  matmul(other: Tensor, { transA = false, transB = false } = {}): Tensor {
    return this.op("matmul", [this, other], { transA, transB });
  }
  /** Rows (axis 0) of this at integer `indices`: [...indices.shape, ...this.shape[1:]]. */
  rows(indices: Tensor): Tensor {
    const [stored] = this.node.op === "cast" ? this.node.inputs : [];
    return stored ? stored.rows(indices).cast(this.dtype) : this.op("rows", [this, indices]); // gathers before it casts
  }
  /** This [N, ...] with `updates` [M, ...] added at rows `indices` [M]; repeats add up. */
  addRows(indices: Tensor, updates: Tensor): Tensor {
    return this.op("addRows", [this, indices, updates]);
  }
  /** The element of each last axis at `indices` (shape without that axis). */
  pick(indices: Tensor): Tensor {
    return this.op("pick", [this, indices]);
  }
  /** Zeros [..., size] with these values [...] at `indices` [...] of a new last axis. */
  place(indices: Tensor, size: Dim): Tensor {
    return this.op("place", [this, indices], { size });
  }
  /** Rotary positions on [B, H, T, d]: positions int64 [B, T], tables [P, d/2]. */
  rope(positions: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return this.op("rope", [this, positions, cos, sin]);
  }
  /** RMSNorm over the last axis with weight [D]. */
  rmsNorm(weight: Tensor, eps: number): Tensor {
    return this.op("rmsNorm", [this, weight], { eps });
  }
  /** Log-probabilities under softmax(this [M, D] · headᵀ): at `labels` [M] → [M], and of every token [M, V] (no gradient through the second). */
  labelLogProbs(head: Tensor, labels: Tensor): { picked: Tensor; all: Tensor } {
    const [picked, all] = this.trace.apply("labelLogProbs", [this, head, labels]);
    return { picked: picked!, all: all! };
  }

  /** The value itself; marks a place where the block executor may cut, with a name for messages. */
  boundary(name: string): Tensor {
    return this.op("boundary", [this], { name });
  }
  /** The value, without a gradient. */
  detach(): Tensor {
    return this.op("detach", [this]);
  }

  private axes(axes?: number | readonly number[]): readonly number[] {
    const all = axes === undefined ? this.shape.map((_, i) => i) : typeof axes === "number" ? [axes] : axes;
    return all.map((a) => (a < 0 ? a + this.rank : a));
  }
}
