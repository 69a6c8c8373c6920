/** Operations that act on each element, with broadcasting. */
import { type Dtype, ints, ndarray } from "../../base/array.ts";
import type { Tensor } from "../tensor.ts";
import { misfit } from "../misfit.ts";
import { broadcast, type Emit, first, likeFirst, oneDtype, type Op, unbroadcast } from "./op.ts";

type Grad2 = (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor, Tensor];

/** A binary operation from its ONNX name and its two partial gradients before unbroadcasting. */
const binary = (name: string, onnx: string, grad?: Grad2, to?: Dtype): Op => ({
  infer: (inputs) => {
    const dtype = oneDtype(name, inputs);
    const shape = broadcast(inputs[0]!.shape, inputs[1]!.shape) ?? misfit(name, inputs, "shapes that broadcast");
    return [{ dtype: to ?? dtype, shape }];
  },
  ...(grad && {
    vjp: (grads, { inputs: [a, b], outputs: [y] }) => {
      const [da, db] = grad(first(grads), a!, b!, y!);
      return [unbroadcast(da, a!.shape), unbroadcast(db, b!.shape)];
    },
  }),
  onnx: (emit, inputs) => emit.node(onnx, inputs),
});

/** A unary operation from its ONNX name and its gradient. */
const unary = (onnx: string, grad: (g: Tensor, x: Tensor, y: Tensor) => Tensor): Op => ({
  infer: likeFirst,
  vjp: (grads, { inputs: [x], outputs: [y] }) => [grad(first(grads), x!, y!)],
  onnx: (emit, inputs) => emit.node(onnx, inputs),
});

const ONNX_TYPE: Record<Dtype, number> = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10, float64: 11, bfloat16: 16 };

/** The ONNX element type of a dtype (TensorProto.DataType). */
export const onnxType = (dtype: Dtype): number => ONNX_TYPE[dtype];

/** erf has no kernel in double precision: 2x/√π · ∫ exp(−x²u²) du from 0 to 1, by Gauss-Legendre; beyond ±6, erf is ±1 to the last digit. */
function erfByQuadrature(emit: Emit, x: string): readonly string[] {
  const { nodes, weights } = gaussLegendre(40);
  const double = (shape: readonly number[], values: readonly number[]): string =>
    emit.constant(ndarray("float64", shape, Float64Array.from(values)));
  const within = emit.node("Min", [emit.node("Max", [x, double([], [-6])])[0]!, double([], [6])]);
  const last = emit.constant(ints([-1]));
  const xu = emit.node("Mul", [emit.node("Unsqueeze", [within[0]!, last])[0]!, double([nodes.length], nodes)])[0]!;
  const heights = emit.node("Exp", emit.node("Neg", emit.node("Mul", [xu, xu])));
  const area = emit.node("ReduceSum", [emit.node("Mul", [heights[0]!, double([weights.length], weights)])[0]!, last], { keepdims: 0 });
  return emit.node("Mul", [emit.node("Mul", [within[0]!, area[0]!])[0]!, double([], [2 / Math.sqrt(Math.PI)])]);
}

/** Nodes and weights of Gauss-Legendre quadrature with n points on [0, 1]: Newton's method on the Legendre polynomial. */
function gaussLegendre(n: number): { readonly nodes: readonly number[]; readonly weights: readonly number[] } {
  const points = Array.from({ length: n }, (_, i) => {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 0;
    for (let turn = 0; turn < 100; turn++) {
      let [before, here] = [1, x];
      for (let k = 2; k <= n; k++) [before, here] = [here, ((2 * k - 1) * x * here - (k - 1) * before) / k];
      slope = (n * (x * here - before)) / (x * x - 1);
      const step = here / slope;
      x -= step;
      if (Math.abs(step) < 1e-16) break;
    }
    return { node: (1 + x) / 2, weight: 1 / ((1 - x * x) * slope ** 2) };
  });
  return { nodes: points.map(({ node }) => node), weights: points.map(({ weight }) => weight) };
}

export const elementwise = {
  add: binary("add", "Add", (g) => [g, g]),
  sub: binary("sub", "Sub", (g) => [g, g.neg()]),
  mul: binary("mul", "Mul", (g, a, b) => [g.mul(b), g.mul(a)]),
  div: binary("div", "Div", (g, _a, b, y) => [g.div(b), g.mul(y).div(b).neg()]),
  maximum: binary("maximum", "Max", (g, a, b) => {
    const left = b.lessOrEqual(a).cast(g.dtype); // a tie goes to the first
    return [g.mul(left), g.sub(g.mul(left))];
  }),
  less: binary("less", "Less", undefined, "bool"),
  lessOrEqual: binary("lessOrEqual", "LessOrEqual", undefined, "bool"),
  equal: binary("equal", "Equal", undefined, "bool"),
  and: binary("and", "And", undefined, "bool"),

  neg: unary("Neg", (g) => g.neg()),
  exp: unary("Exp", (g, _x, y) => g.mul(y)),
  log: unary("Log", (g, x) => g.div(x)),
  sqrt: unary("Sqrt", (g, _x, y) => g.div(y.mul(2))),
  sigmoid: unary("Sigmoid", (g, _x, y) => g.mul(y.sub(y.mul(y)))),
  tanh: unary("Tanh", (g, _x, y) => g.sub(g.mul(y).mul(y))),
  erf: {
    infer: likeFirst,
    vjp: (grads, { inputs: [x] }) => [
      first(grads).mul(
        x!
          .square()
          .neg()
          .exp()
          .mul(2 / Math.sqrt(Math.PI)),
      ),
    ],
    onnx: (emit, inputs, node) => (node.outputs[0]!.dtype === "float32" ? emit.node("Erf", inputs) : erfByQuadrature(emit, inputs[0]!)),
  },
  relu: unary("Relu", (g, x) => g.mul(x.trace.constant(0, x.dtype).less(x).cast(g.dtype))),
  silu: {
    infer: likeFirst,
    vjp: (grads, { inputs: [x], outputs: [y] }) => {
      const s = x!.sigmoid();
      return [first(grads).mul(y!.add(s.sub(s.mul(y!))))]; // y' = y + s(1 − y)
    },
    onnx: (emit, inputs, node) =>
      node.outputs[0]!.dtype === "float32"
        ? emit.node("QuickGelu", inputs, { alpha: 1 }, 1, "com.microsoft")
        : emit.node("Mul", [inputs[0]!, emit.node("Sigmoid", inputs)[0]!]), // double precision has no fused kernel
  },
  where: {
    infer: (inputs) => {
      const [c, a, b] = inputs as [Tensor, Tensor, Tensor];
      const pair = broadcast(a.shape, b.shape);
      const shape = (pair && broadcast(c.shape, pair)) ?? misfit("where", inputs, "shapes that broadcast");
      return [{ dtype: oneDtype("where", [a, b]), shape }];
    },
    vjp: (grads, { inputs: [c, a, b] }) => {
      const zero = c!.trace.constant(0, a!.dtype);
      const g = first(grads);
      return [undefined, unbroadcast(c!.where(g, zero), a!.shape), unbroadcast(c!.where(zero, g), b!.shape)];
    },
    onnx: (emit, inputs) => emit.node("Where", inputs),
  },
  cast: {
    infer: ([x], attrs) => [{ dtype: attrs["to"] as Dtype, shape: x!.shape }],
    vjp: (grads, { inputs: [x] }) => [x!.dtype.startsWith("float") ? first(grads).cast(x!.dtype) : undefined],
    onnx: (emit, inputs, { inputs: [x], attrs }) => {
      let source = inputs[0]!;
      if (x!.dtype === "bfloat16") {
        emit.needs(26); // the binding has no bfloat16 arrays: they arrive as uint16 bits
        source = emit.node("BitCast", [source], { to: onnxType("bfloat16") })[0]!;
      }
      return emit.node("Cast", [source], { to: onnxType(attrs["to"] as Dtype) });
    },
  },
  constant: {
    infer: (_inputs, attrs) => [{ dtype: attrs["dtype"] as Dtype, shape: [] }],
    onnx: (emit, _inputs, { attrs }) => {
      const [value, dtype] = [attrs["value"] as number, attrs["dtype"] as Dtype];
      const data =
        dtype === "float64"
          ? Float64Array.of(value)
          : dtype === "int64"
            ? BigInt64Array.of(BigInt(value))
            : dtype === "int32"
              ? Int32Array.of(value)
              : dtype === "bool"
                ? Uint8Array.of(value)
                : Float32Array.of(value);
      return [emit.constant(ndarray(dtype, [], data))];
    },
  },
  size: {
    infer: (_inputs, attrs) => [{ dtype: attrs["dtype"] as Dtype, shape: [] }],
    onnx: (emit, _inputs, { attrs }) => {
      const scalar = emit.node("Squeeze", [emit.dims([attrs["dim"] as string])])[0]!;
      return emit.node("Cast", [scalar], { to: onnxType(attrs["dtype"] as Dtype) });
    },
  },
  detach: {
    infer: likeFirst,
    onnx: (emit, inputs) => emit.node("Identity", inputs),
  },
  boundary: {
    infer: likeFirst,
    vjp: (grads) => [first(grads)],
    onnx: (_emit, inputs) => [inputs[0]!],
  },
} satisfies Record<string, Op>;
