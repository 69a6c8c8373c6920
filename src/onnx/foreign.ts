/** Models of others as they come: an ONNX file opened on ONNX Runtime, with the inputs and outputs that it names itself. */
import * as ort from "onnxruntime-node";
import type { Dtype, NdArray } from "../base/array.ts";
import { fail } from "../base/fail.ts";
import type { Results } from "./feeds.ts";

/** An ONNX model that was made elsewhere. */
export interface Foreign {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Runs once; every input must be fed. Outputs are copies. */
  run(feeds: Readonly<Record<string, NdArray>>): Promise<Results>;
  /** Frees the native memory; a later run fails. */
  release(): Promise<void>;
}

/** Opens the bytes of an ONNX file; refuses what ONNX Runtime cannot make runnable, naming `path`. */
export async function openForeign(bytes: Uint8Array, path: string, threads: number): Promise<Foreign> {
  const native = await ort.InferenceSession.create(bytes, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  }).catch((e: unknown) =>
    fail(
      "onnx",
      `${path} is no model that ONNX Runtime opens (${String(e).slice(0, 300)})`,
      "an ONNX file",
      "It may be damaged: fetch it again.",
      "unavailable",
    ),
  );
  let live = true;
  return {
    inputs: native.inputNames,
    outputs: native.outputNames,
    run: async (feeds) => {
      if (!live) fail("onnx", "a model that was released", "one in use", "Open it again.", "internal");
      const given = Object.fromEntries(
        Object.entries(feeds).map(([name, a]) => [name, new ort.Tensor(a.dtype as "float32", a.data as never, a.shape)]),
      );
      const out = await native
        .run(given)
        .catch((e: unknown) => fail("onnx", `${path} stopped (${String(e).slice(0, 300)})`, "a run to its end", "", "execution"));
      return Object.fromEntries(
        native.outputNames.map((name) => {
          const t = out[name]!;
          return [name, { dtype: t.type as Dtype, shape: t.dims, data: t.data as NdArray["data"] }];
        }),
      );
    },
    release: async () => {
      live = false;
      await native.release();
    },
  };
}
