/** Matrix products, rotary positions and the language-model head. */
import { ints } from "../../base/array.ts";
import { productDim, type Shape } from "../dim.ts";
import type { Node, Tensor } from "../tensor.ts";
import { misfit } from "../misfit.ts";
import { broadcast, type Emit, first, type Op, oneDtype, unbroadcast } from "./op.ts";

const swapped = (shape: Shape, swap: boolean): Shape => (swap ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape);

/** One matrix for a batch: in double precision a Gemm over flattened rows avoids transposing the weight. */
function onnxMatmul(emit: Emit, inputs: readonly string[], { inputs: [a, b], outputs: [y], attrs }: Node): string[] {
  const { transA, transB } = attrs as { transA: boolean; transB: boolean };
  if (!transA && !transB) return emit.node("MatMul", inputs);
  if (a!.dtype === "float32")
    return emit.node("FusedMatMul", inputs, { transA: transA ? 1 : 0, transB: transB ? 1 : 0 }, 1, "com.microsoft");
  if (b!.rank === 2 && (a!.rank === 2 || !transA)) {
    const k = a!.dim(-1);
    const flat = a!.rank === 2 ? inputs[0]! : emit.node("Reshape", [inputs[0]!, emit.dims([productDim(a!.shape.slice(0, -1)), k])])[0]!;
    const product = emit.node("Gemm", [flat, inputs[1]!], { transA: transA ? 1 : 0, transB: transB ? 1 : 0 });
    return a!.rank === 2 ? product : emit.node("Reshape", [product[0]!, emit.dims(y!.shape)]);
  }
  const turn = (name: string, t: Tensor, swap: boolean): string =>
    swap ? emit.node("Transpose", [name], { perm: swapped([...t.shape.keys()], true) as number[] })[0]! : name;
  return emit.node("MatMul", [turn(inputs[0]!, a!, transA), turn(inputs[1]!, b!, transB)]);
}

/** Half-split rotation from plain ONNX operations; x [B, H, T, d], tables [P, d/2], positions [B, T]. */
function plainRope(emit: Emit, [x, positions, cos, sin]: readonly string[], { inputs }: Node): string[] {
  const half = (inputs[0]!.dim(-1) as number) / 2;
  const one = emit.constant(ints([1]));
  const table = (name: string): string => emit.node("Unsqueeze", [emit.node("Gather", [name, positions!], { axis: 0 })[0]!, one])[0]!; // [B, 1, T, d/2]
  const c = table(cos!);
  const s = table(sin!);
  const part = (from: number, to: number): string =>
    emit.node("Slice", [x!, emit.constant(ints([from])), emit.constant(ints([to])), emit.constant(ints([3]))])[0]!;
  const [a, b] = [part(0, half), part(half, 2 * half)];
  const mul = (p: string, q: string): string => emit.node("Mul", [p, q])[0]!;
  const left = emit.node("Sub", [mul(a, c), mul(b, s)])[0]!;
  const right = emit.node("Add", [mul(b, c), mul(a, s)])[0]!;
  return emit.node("Concat", [left, right], { axis: -1 });
}

export const linear = {
  matmul: {
    infer: (inputs, attrs) => {
      const [a, b] = inputs as [Tensor, Tensor];
      const dtype = oneDtype("matmul", inputs);
      const [sa, sb] = [swapped(a.shape, attrs["transA"] as boolean), swapped(b.shape, attrs["transB"] as boolean)];
      const batch = a.rank >= 2 && b.rank >= 2 && sa.at(-1) === sb.at(-2) ? broadcast(sa.slice(0, -2), sb.slice(0, -2)) : undefined;
      if (!batch)
        misfit(
          "matmul",
          inputs,
          `[..., M, K] and [..., K, N]${attrs["transA"] ? ", first transposed" : ""}${attrs["transB"] ? ", second transposed" : ""}`,
        );
      return [{ dtype, shape: [...batch, sa.at(-2)!, sb.at(-1)!] }];
    },
    vjp: (grads, { inputs: [a, b], attrs }) => {
      const g = first(grads);
      const { transA, transB } = attrs as { transA: boolean; transB: boolean };
      const da = transA ? b!.matmul(g, { transA: transB, transB: true }) : g.matmul(b!, { transB: !transB });
      let [left, grad] = [a!, g];
      if (b!.rank === 2 && a!.rank > 2 && !transA) {
        const count = productDim(a!.shape.slice(0, -1));
        [left, grad] = [a!.reshape([count, a!.dim(-1)]), g.reshape([count, g.dim(-1)])];
      }
      const db = transB ? grad.matmul(left, { transA: true, transB: transA }) : left.matmul(grad, { transA: !transA });
      return [unbroadcast(da, a!.shape), unbroadcast(db, b!.shape)];
    },
    onnx: onnxMatmul,
  },
  rope: {
    // (x [B, H, T, d], positions int64 [B, T], cos [P, d/2], sin [P, d/2]) → [B, H, T, d]
    infer: (inputs) => {
      const [x, positions, cos, sin] = inputs as [Tensor, Tensor, Tensor, Tensor];
      oneDtype("rope", [x, cos, sin]);
      const fits =
        x.rank === 4 &&
        positions.dtype === "int64" &&
        positions.rank === 2 &&
        cos.rank === 2 &&
        (x.dim(-1) as number) === 2 * (cos.dim(-1) as number);
      if (!fits) misfit("rope", inputs, "[B, H, T, d], int64 [B, T], [P, d/2] twice");
      return [{ dtype: x.dtype, shape: x.shape }];
    },
    vjp: (grads, { inputs: [, positions, cos, sin] }) => [first(grads).rope(positions!, cos!, sin!.neg()), undefined, undefined, undefined],
    onnx: (emit, inputs, node) =>
      node.inputs[0]!.dtype === "float32" ? emit.node("RotaryEmbedding", inputs, {}, 1, "com.microsoft") : plainRope(emit, inputs, node),
  },
  labelLogProbs: {
    // (h [M, D], head [V, D], labels int64 [M]) → (log p(label) [M], log-softmax [M, V]); the second carries no gradient
    infer: (inputs) => {
      const [h, head, labels] = inputs as [Tensor, Tensor, Tensor];
      const fits = h.rank === 2 && head.rank === 2 && h.dim(1) === head.dim(1) && labels.rank === 1 && labels.dim(0) === h.dim(0);
      if (!fits || labels.dtype !== "int64") misfit("labelLogProbs", inputs, "[M, D], [V, D] and int64 [M]");
      const dtype = oneDtype("labelLogProbs", [h, head]);
      return [
        { dtype, shape: labels.shape },
        { dtype, shape: [h.dim(0), head.dim(0)] },
      ];
    },
    vjp: (grads, { inputs: [h, head, labels], outputs: [, logs] }) => {
      const g = first(grads).unsqueeze(1); // [M, 1]
      const p = logs!.exp();
      const pg = p.mul(g.neg());
      const dh = g.mul(head!.rows(labels!).sub(p.matmul(head!))); // scatter-free: Gather(head) − softmax · head
      return [dh, pg.matmul(h!, { transA: true }).addRows(labels!, h!.mul(g)), undefined];
    },
    onnx: (emit, inputs, node) => {
      const last = emit.constant(ints([-1]));
      const logits =
        node.inputs[0]!.dtype === "float32"
          ? emit.node("FusedMatMul", inputs.slice(0, 2), { transB: 1 }, 1, "com.microsoft")[0]!
          : emit.node("Gemm", inputs.slice(0, 2), { transB: 1 })[0]!;
      const logs = emit.node("LogSoftmax", [logits], { axis: -1 })[0]!;
      const picked = emit.node("GatherElements", [logs, emit.node("Unsqueeze", [inputs[2]!, last])[0]!], { axis: -1 })[0]!;
      return [emit.node("Squeeze", [picked, last])[0]!, logs];
    },
  },
} satisfies Record<string, Op>;
