/** Operations that move elements without changing them. */
import { ints } from "../../base/array.ts";
import { addDim, type Dim, productDim, type Shape, subDim } from "../dim.ts";
import type { Tensor } from "../tensor.ts";
import { misfit } from "../misfit.ts";
import { broadcast, type Emit, first, type Op, oneDtype, unbroadcast } from "./op.ts";

/** Reshape's target: 0 copies a size, one unknown size may be −1, the others are fed. */
function target(emit: Emit, from: Shape, to: Shape): string {
  const sizes = to.map((d, i) => (typeof d === "number" ? d : d === from[i] && to.slice(0, i).every((x, j) => x === from[j]) ? 0 : d));
  const open = sizes.filter((d) => typeof d === "string");
  if (open.length > 1) return emit.dims(to);
  return emit.constant(ints(sizes.map((d) => (typeof d === "string" ? -1 : d))));
}

export const shape = {
  reshape: {
    infer: (inputs, attrs) => {
      const [x] = inputs as [Tensor];
      const to = attrs["shape"] as Shape;
      if (productDim(x.shape) !== productDim(to)) misfit("reshape", inputs, `as many elements as [${to.join(", ")}]`);
      return [{ dtype: x.dtype, shape: to }];
    },
    vjp: (grads, { inputs: [x] }) => [first(grads).reshape(x!.shape)],
    onnx: (emit, inputs, { inputs: [x], attrs }) => emit.node("Reshape", [inputs[0]!, target(emit, x!.shape, attrs["shape"] as Shape)]),
  },
  transpose: {
    infer: (inputs, attrs) => {
      const [x] = inputs as [Tensor];
      const perm = attrs["perm"] as number[];
      if (perm.length !== x.rank || new Set(perm).size !== x.rank)
        misfit("transpose", inputs, `a permutation of ${x.rank} axes, got [${perm.join(", ")}]`);
      return [{ dtype: x.dtype, shape: perm.map((p) => x.dim(p)) }];
    },
    vjp: (grads, { attrs }) => {
      const perm = attrs["perm"] as number[];
      return [first(grads).transpose(...perm.map((_, i) => perm.indexOf(i)))];
    },
    onnx: (emit, inputs, { attrs }) => emit.node("Transpose", inputs, { perm: attrs["perm"] as number[] }),
  },
  expand: {
    infer: (inputs, attrs) => {
      const [x] = inputs as [Tensor];
      const to = attrs["shape"] as Shape;
      const reached = broadcast(x.shape, to);
      if (!reached || reached.length !== to.length || reached.some((d, i) => d !== to[i]))
        misfit("expand", inputs, `a shape that repeats to [${to.join(", ")}]`);
      return [{ dtype: x.dtype, shape: to }];
    },
    vjp: (grads, { inputs: [x] }) => [unbroadcast(first(grads), x!.shape)],
    onnx: (emit, inputs, { attrs }) => emit.node("Expand", [inputs[0]!, emit.dims(attrs["shape"] as Dim[])]),
  },
  slice: {
    infer: (inputs, attrs) => {
      const [x] = inputs as [Tensor];
      const axis = attrs["axis"] as number;
      const size = subDim(attrs["end"] as Dim, attrs["start"] as Dim);
      const whole = x.dim(axis);
      if (typeof size === "number" && typeof whole === "number" && (size < 0 || (attrs["end"] as number) > whole))
        misfit("slice", inputs, `a range within axis ${axis}, got ${attrs["start"] as Dim}…${attrs["end"] as Dim}`);
      return [{ dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? size : d)) }];
    },
    vjp: (grads, { inputs: [x], attrs }) => {
      const [axis, start, end] = [attrs["axis"] as number, attrs["start"] as Dim, attrs["end"] as Dim];
      const g = first(grads);
      const zeros = (size: Dim): Tensor[] =>
        size === 0
          ? []
          : [
              g.trace.zeros(
                g.shape.map((d, i) => (i === axis ? size : d)),
                g.dtype,
              ),
            ];
      const parts = [...zeros(start), g, ...zeros(subDim(x!.dim(axis), end))];
      return [parts.length === 1 ? g : parts[0]!.concat(parts.slice(1), axis)];
    },
    onnx: (emit, inputs, { attrs }) =>
      emit.node("Slice", [
        inputs[0]!,
        emit.dims([attrs["start"] as Dim]),
        emit.dims([attrs["end"] as Dim]),
        emit.constant(ints([attrs["axis"] as number])),
      ]),
  },
  concat: {
    infer: (inputs, attrs) => {
      const axis = attrs["axis"] as number;
      const dtype = oneDtype("concat", inputs);
      const head = inputs[0]!;
      for (const t of inputs)
        if (t.rank !== head.rank || t.shape.some((d, i) => i !== axis && d !== head.shape[i]))
          misfit("concat", inputs, `equal shapes except on axis ${axis}`);
      const total = inputs.map((t) => t.dim(axis)).reduce(addDim);
      return [{ dtype, shape: head.shape.map((d, i) => (i === axis ? total : d)) }];
    },
    vjp: (grads, { inputs, attrs }) => {
      const axis = attrs["axis"] as number;
      let at: Dim = 0;
      return inputs.map((t) => {
        const end = addDim(at, t.dim(axis));
        const part = first(grads).slice(axis, at, end);
        at = end;
        return part;
      });
    },
    onnx: (emit, inputs, { attrs }) => emit.node("Concat", inputs, { axis: attrs["axis"] as number }),
  },
  rows: {
    // (table [N, ...rest], indices [...I]) → [...I, ...rest]
    infer: (inputs) => {
      const [table, indices] = inputs as [Tensor, Tensor];
      if (indices.dtype !== "int64" || table.rank < 1) misfit("rows", inputs, "a table and int64 indices");
      return [{ dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] }];
    },
    vjp: (grads, { inputs: [table, indices] }) => {
      const count = productDim(indices!.shape);
      const flat = first(grads).reshape([count, ...table!.shape.slice(1)]);
      return [table!.trace.zeros(table!.shape, table!.dtype).addRows(indices!.reshape([count]), flat), undefined];
    },
    onnx: (emit, inputs) => emit.node("Gather", inputs, { axis: 0 }),
  },
  addRows: {
    // (base [N, ...rest], indices [M], updates [M, ...rest]) → base with updates added
    infer: (inputs) => {
      const [base, indices, updates] = inputs as [Tensor, Tensor, Tensor];
      const fits =
        indices.dtype === "int64" &&
        indices.rank === 1 &&
        updates.rank === base.rank &&
        updates.dim(0) === indices.dim(0) &&
        base.shape.every((d, i) => i === 0 || d === updates.shape[i]);
      if (!fits) misfit("addRows", inputs, "[N, ...], int64 [M] and [M, ...]");
      return [{ dtype: oneDtype("addRows", [base, updates]), shape: base.shape }];
    },
    vjp: (grads, { inputs: [, indices] }) => [first(grads), undefined, first(grads).rows(indices!)],
    onnx: (emit, inputs, { inputs: [, , updates] }) => {
      // not ScatterND: its threads add to the same row at the same time, and additions are lost
      const axes = emit.constant(ints(updates!.shape.slice(1).map((_, i) => i + 1)));
      const each = emit.node("Expand", [emit.node("Unsqueeze", [inputs[1]!, axes])[0]!, emit.dims(updates!.shape)])[0]!;
      return emit.node("ScatterElements", [inputs[0]!, each, inputs[2]!], { axis: 0, reduction: "add" });
    },
  },
  pick: {
    // (x [..., V], indices [...]) → [...]
    infer: (inputs) => {
      const [x, indices] = inputs as [Tensor, Tensor];
      if (indices.dtype !== "int64" || indices.rank !== x.rank - 1) misfit("pick", inputs, "[..., V] and int64 [...]");
      return [{ dtype: x.dtype, shape: indices.shape }];
    },
    vjp: (grads, { inputs: [x, indices] }) => [first(grads).place(indices!, x!.dim(-1)), undefined],
    onnx: (emit, inputs) => {
      const last = emit.constant(ints([-1]));
      const picked = emit.node("GatherElements", [inputs[0]!, emit.node("Unsqueeze", [inputs[1]!, last])[0]!], { axis: -1 })[0]!;
      return emit.node("Squeeze", [picked, last]);
    },
  },
  place: {
    // (values [...], indices [...]) → zeros [..., size] with the values at the indices
    infer: ([values], attrs) => [{ dtype: values!.dtype, shape: [...values!.shape, attrs["size"] as Dim] }],
    vjp: (grads, { inputs: [, indices] }) => [first(grads).pick(indices!), undefined],
    onnx: (emit, inputs, { inputs: [values], attrs }) => {
      const last = emit.constant(ints([-1]));
      const zero = emit.constant({
        dtype: values!.dtype,
        shape: [],
        data: values!.dtype === "float64" ? new Float64Array(1) : new Float32Array(1),
      });
      const base = emit.node("Expand", [zero, emit.dims([...values!.shape, attrs["size"] as Dim])])[0]!;
      const [at, what] = [inputs[1]!, inputs[0]!].map((name) => emit.node("Unsqueeze", [name, last])[0]!);
      return emit.node("ScatterElements", [base, at!, what!], { axis: -1 });
    },
  },
} satisfies Record<string, Op>;
