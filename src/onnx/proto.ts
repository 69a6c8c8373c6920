/** The part of ONNX's protobuf schema that we write: messages as functions, field numbers from onnx.proto3. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { NdArray } from "../base/array.ts";
import { toBytes } from "../base/array.ts";
import type { Dim } from "../tensor/dim.ts";
import { onnxType } from "../tensor/ops/elementwise.ts";
import type { Dtype } from "../base/array.ts";

export type Message = (w: BinaryWriter) => void;
export type Attributes = Readonly<Record<string, number | string | readonly number[]>>;

const LENGTH = WireType.LengthDelimited;

/** The bytes of a message. */
export function encode(message: Message): Uint8Array {
  const w = new BinaryWriter();
  message(w);
  return w.finish();
}

const child = (w: BinaryWriter, field: number, message: Message): void => {
  w.tag(field, LENGTH).fork();
  message(w);
  w.join();
};
const text = (w: BinaryWriter, field: number, value: string): void => {
  w.tag(field, LENGTH).string(value);
};
const int = (w: BinaryWriter, field: number, value: number): void => {
  w.tag(field, WireType.Varint).int64(value);
};

/** ONNX says whether a number is a float by its attribute's type; these are the float ones. */
const FLOATS = new Set(["alpha", "beta", "epsilon", "scale"]);

const attribute =
  (name: string, value: number | string | readonly number[]): Message =>
  (w) => {
    text(w, 1, name);
    if (typeof value === "string") {
      text(w, 4, value);
      int(w, 20, 3);
    } else if (typeof value !== "number") {
      for (const v of value) int(w, 8, v);
      int(w, 20, 7);
    } else if (FLOATS.has(name)) {
      w.tag(2, WireType.Bit32).float(value);
      int(w, 20, 1);
    } else {
      int(w, 3, value);
      int(w, 20, 2);
    }
  };

/** NodeProto. */
export const node =
  (op: string, domain: string, inputs: readonly string[], outputs: readonly string[], attrs: Attributes): Message =>
  (w) => {
    for (const input of inputs) text(w, 1, input);
    for (const output of outputs) text(w, 2, output);
    text(w, 4, op);
    for (const [name, value] of Object.entries(attrs)) child(w, 5, attribute(name, value));
    if (domain) text(w, 7, domain);
  };

/** TensorProto with its data inside. */
export const tensor =
  (name: string, array: NdArray): Message =>
  (w) => {
    for (const d of array.shape) int(w, 1, d);
    int(w, 2, onnxType(array.dtype));
    text(w, 8, name);
    w.tag(9, LENGTH).bytes(toBytes(array));
  };

/** TensorProto whose data is handed over beside the model under its own name. */
export const external =
  (name: string, array: NdArray): Message =>
  (w) => {
    for (const d of array.shape) int(w, 1, d);
    int(w, 2, onnxType(array.dtype));
    text(w, 8, name);
    for (const [key, value] of [
      ["location", name],
      ["offset", "0"],
      ["length", String(array.data.byteLength)],
    ] as const)
      child(w, 13, (e) => {
        text(e, 1, key);
        text(e, 2, value);
      });
    int(w, 14, 1);
  };

/** ValueInfoProto; bfloat16 arrives as uint16, for which the binding has arrays. */
export const value =
  (name: string, dtype: Dtype, shape: readonly Dim[]): Message =>
  (w) => {
    text(w, 1, name);
    child(w, 2, (type) =>
      child(type, 1, (t) => {
        int(t, 1, dtype === "bfloat16" ? 4 : onnxType(dtype));
        child(t, 2, (s) => {
          for (const d of shape)
            child(s, 1, (dim) => {
              if (typeof d === "number") int(dim, 1, d);
              else text(dim, 2, d);
            });
        });
      }),
    );
  };

export interface GraphParts {
  nodes: readonly Message[];
  initializers: readonly Message[];
  inputs: readonly Message[];
  outputs: readonly Message[];
  /** Types and shapes of what nodes hand on. */
  between?: readonly Message[];
}

/** ModelProto. */
export const model =
  (graph: GraphParts, opset: number): Message =>
  (w) => {
    int(w, 1, opset > 21 ? 13 : 10);
    text(w, 2, "lethe");
    child(w, 7, (g) => {
      for (const n of graph.nodes) child(g, 1, n);
      text(g, 2, "program");
      for (const t of graph.initializers) child(g, 5, t);
      for (const i of graph.inputs) child(g, 11, i);
      for (const o of graph.outputs) child(g, 12, o);
      for (const v of graph.between ?? []) child(g, 13, v);
    });
    for (const [domain, version] of [
      ["", opset],
      ["com.microsoft", 1],
    ] as const)
      child(w, 8, (o) => {
        text(o, 1, domain);
        int(o, 2, version);
      });
  };
