/** Graph → ONNX bytes: each node asks its entry of the table what to write. */
import { type NdArray, type Dtype, ints } from "../base/array.ts";
import { canonical } from "../base/hash.ts";
import type { Dim, Shape } from "../tensor/dim.ts";
import { type Graph, inputOf } from "../tensor/graph.ts";
import type { Emit } from "../tensor/ops/op.ts";
import { ops } from "../tensor/ops/table.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { encode, external, type Message, model, node as nodeMessage, tensor, value } from "./proto.ts";

/** What one session needs to be created and fed. */
export interface Emitted {
  readonly bytes: Uint8Array;
  readonly inputs: readonly { name: string; dtype: Dtype; shape: Shape }[];
  /** Inputs that hold dimensions, computed from the symbols of each run. */
  readonly dims: readonly { name: string; dims: readonly Dim[] }[];
  readonly outputs: readonly string[];
  /** Weights that live in the session: handed over by name at creation. */
  readonly frozen: readonly { path: string; data: Uint8Array }[];
}

/** Writes a graph; weights that `frozen` knows become initializers, the others inputs. */
export function emit(graph: Graph, frozen: ReadonlyMap<string, NdArray> = new Map()): Emitted {
  const { emitter, nodes, made, initializers, dims, opset } = begin();
  const names = new Map<Tensor, string>();
  const inputs: Emitted["inputs"][number][] = [];
  const given: Emitted["frozen"][number][] = [];
  // with their shapes known, ONNX Runtime finds buffers to use again at once; its search among unknown ones takes seconds for a model
  const between = new Map<string, Message>();
  for (const n of graph.nodes) {
    if (n.op !== "input") {
      const outs = ops[n.op].onnx(
        emitter,
        n.inputs.map((t) => names.get(t)!),
        n,
      );
      for (const [i, t] of n.outputs.entries()) {
        names.set(t, outs[i]!);
        if (made.has(outs[i]!)) between.set(outs[i]!, value(outs[i]!, t.dtype, t.shape));
      }
      continue;
    }
    const { name, dtype, shape } = inputOf(n.outputs[0]!);
    names.set(n.outputs[0]!, name);
    const weight = frozen.get(name);
    if (weight && weight.data.byteLength > 0) {
      initializers.push(external(name, weight));
      given.push({ path: name, data: new Uint8Array(weight.data.buffer as ArrayBuffer, weight.data.byteOffset, weight.data.byteLength) });
    } else inputs.push({ name, dtype, shape });
  }
  const outputs = [...graph.outputs].map(([name, t]) => {
    nodes.push(nodeMessage("Identity", "", [names.get(t)!], [`out:${name}`], {}));
    return { name: `out:${name}`, dtype: t.dtype, shape: t.shape };
  });
  const parts = {
    nodes,
    initializers,
    between: [...between.values()],
    inputs: [
      ...inputs.map((i) => value(i.name, i.dtype, i.shape)),
      ...[...dims.values()].map((d) => value(d.name, "int64", [d.dims.length])),
    ],
    outputs: outputs.map((o) => value(o.name, o.dtype, o.shape)),
  };
  return { bytes: encode(model(parts, opset())), inputs, dims: [...dims.values()], outputs: [...graph.outputs.keys()], frozen: given };
}

/** What nodes write into, and what they have written. */
interface Writing {
  readonly emitter: Emit;
  readonly nodes: Message[];
  /** Names of what the nodes put out. */
  readonly made: ReadonlySet<string>;
  readonly initializers: Message[];
  readonly dims: ReadonlyMap<string, Emitted["dims"][number]>;
  /** The lowest opset that has every operator. */
  readonly opset: () => number;
}

function begin(): Writing {
  const nodes: Message[] = [];
  const made = new Set<string>();
  const initializers: Message[] = [];
  const constants = new Map<string, string>();
  const dims = new Map<string, Emitted["dims"][number]>();
  let count = 0;
  let opset = 21;
  const emitter: Emit = {
    node(op, inputs, attrs = {}, outputs = 1, domain = "") {
      const outs = Array.from({ length: outputs }, () => `v${count++}`);
      // com.microsoft's norm stands in ONNX's own domain; its unused middle output (the mean) is left out
      const written = op === "SimplifiedLayerNormalization" ? [outs[0]!, outs[1]!] : outs;
      nodes.push(nodeMessage(op, domain, inputs, written, attrs));
      for (const out of outs) made.add(out);
      return outs;
    },
    constant(array) {
      const key = `${array.dtype}[${array.shape.join()}]${array.data.join()}`;
      let name = constants.get(key);
      if (!name) {
        constants.set(key, (name = `c${constants.size}`));
        initializers.push(tensor(name, array));
      }
      return name;
    },
    dims(wanted) {
      if (wanted.every((d) => typeof d === "number")) return emitter.constant(ints(wanted as number[]));
      const key = canonical(wanted);
      let entry = dims.get(key);
      if (!entry) dims.set(key, (entry = { name: `dims${dims.size}`, dims: wanted }));
      return entry.name;
    },
    needs(wanted) {
      opset = Math.max(opset, wanted);
    },
  };
  return { emitter, nodes, made, initializers, dims, opset: () => opset };
}
