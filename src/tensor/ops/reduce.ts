/** Operations that reduce axes: sums, means, maxima, softmax and the norm that transformers use. */
import { ints } from "../../base/array.ts";
import { type Dim, productDim } from "../dim.ts";
import type { Attrs, Node, Tensor } from "../tensor.ts";
import { misfit } from "../misfit.ts";
import { type Emit, first, likeFirst, type Op, oneDtype } from "./op.ts";

const keptShape = (x: Tensor, attrs: Attrs): Dim[] => x.shape.map((d, i) => ((attrs["axes"] as number[]).includes(i) ? 1 : d));

/** A reduction from its ONNX name and its gradient (g and y arrive with the axes kept). */
const fold = (onnx: string, grad: (g: Tensor, x: Tensor, y: Tensor, count: Tensor) => Tensor): Op => ({
  infer: ([x], attrs) => {
    const kept = keptShape(x!, attrs);
    return [{ dtype: x!.dtype, shape: attrs["keep"] ? kept : kept.filter((_, i) => !(attrs["axes"] as number[]).includes(i)) }];
  },
  vjp: (grads, { inputs: [x], outputs: [y], attrs }) => {
    const kept = keptShape(x!, attrs);
    const count = x!.trace.sizeOf(productDim((attrs["axes"] as number[]).map((i) => x!.shape[i]!)), x!.dtype);
    return [grad(first(grads).reshape(kept), x!, y!.reshape(kept), count)];
  },
  onnx: (emit, inputs, { attrs }) =>
    emit.node(onnx, [inputs[0]!, emit.constant(ints(attrs["axes"] as number[]))], {
      keepdims: attrs["keep"] ? 1 : 0,
      noop_with_empty_axes: 1,
    }),
});

/** RMSNorm over the last axis in plain ONNX operations: y = x · r · w, r = (mean(x²) + eps)^−½. */
function plainRmsNorm(emit: Emit, [x, w]: readonly string[], { inputs, attrs }: Node): string[] {
  const dtype = inputs[0]!.dtype;
  const scalar = (value: number): string =>
    emit.constant({ dtype, shape: [], data: dtype === "float64" ? Float64Array.of(value) : Float32Array.of(value) });
  const mean = emit.node("ReduceMean", [emit.node("Mul", [x!, x!])[0]!, emit.constant(ints([-1]))], { keepdims: 1 })[0]!;
  const r = emit.node("Div", [scalar(1), emit.node("Sqrt", [emit.node("Add", [mean, scalar(attrs["eps"] as number)])[0]!])[0]!])[0]!;
  return [emit.node("Mul", [emit.node("Mul", [x!, r])[0]!, w!])[0]!, r];
}

export const reduce = {
  sum: fold("ReduceSum", (g, x) => g.expand(x.shape)),
  mean: fold("ReduceMean", (g, x, _y, count) => g.div(count).expand(x.shape)),
  max: fold("ReduceMax", (g, x, y) => {
    const here = x.equal(y).cast(x.dtype);
    return here.mul(g).div(
      here.sum(
        [...x.shape.keys()].filter((i) => y.shape[i] === 1 && x.shape[i] !== 1),
        true,
      ),
    ); // ties share
  }),
  argmax: {
    infer: ([x]) => [{ dtype: "int64", shape: x!.shape.slice(0, -1) }],
    onnx: (emit, inputs) => emit.node("ArgMax", inputs, { axis: -1, keepdims: 0 }),
  },
  softmax: {
    infer: likeFirst,
    vjp: (grads, { outputs: [y] }) => {
      const gy = first(grads).mul(y!);
      return [gy.sub(y!.mul(gy.sum(-1, true)))];
    },
    onnx: (emit, inputs) => emit.node("Softmax", inputs, { axis: -1 }),
  },
  logSoftmax: {
    infer: likeFirst,
    vjp: (grads, { outputs: [y] }) => {
      const g = first(grads);
      return [g.sub(y!.exp().mul(g.sum(-1, true)))];
    },
    onnx: (emit, inputs) => emit.node("LogSoftmax", inputs, { axis: -1 }),
  },
  rmsNorm: {
    // (x [..., D], w [D]) → (y [..., D], r [..., 1])
    infer: (inputs) => {
      const [x, w] = inputs as [Tensor, Tensor];
      oneDtype("rmsNorm", inputs);
      if (w.rank !== 1 || w.dim(0) !== x.dim(-1)) misfit("rmsNorm", inputs, "[..., D] and [D]");
      return [
        { dtype: x.dtype, shape: x.shape },
        { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] },
      ];
    },
    vjp: (grads, { inputs: [x, w], outputs: [, r] }) => {
      const g = first(grads);
      const unit = x!.mul(r!);
      const gw = g.mul(w!);
      const dx = gw.sub(unit.mul(gw.mul(unit).mean(-1, true))).mul(r!);
      return [dx, g.mul(unit).sum([...x!.shape.keys()].slice(0, -1))];
    },
    onnx: (emit, inputs, node) =>
      node.inputs[0]!.dtype === "float32"
        ? emit.node("SimplifiedLayerNormalization", inputs, { axis: -1, epsilon: node.attrs["eps"] as number, stash_type: 1 }, 2)
        : plainRmsNorm(emit, inputs, node),
  },
} satisfies Record<string, Op>;
