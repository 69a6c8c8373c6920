/** Where the reference's tensors lie, and how far ours are from them. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ints, type NdArray } from "../src/base/array.ts";
import { type Taps, traced } from "../src/model/forward.ts";
import { feedsOf, type Model } from "../src/model/model.ts";
import { program } from "../src/onnx/program.ts";
import { trace } from "../src/tensor/graph.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { readSafetensors } from "../src/base/store.ts";

const root = new URL("../../shared/", import.meta.url);

/** A path inside the folder of reference material. */
export const shared = (path: string): string => fileURLToPath(new URL(path, root));
/** Why a test is skipped where the reference material is absent. */
export const absent = existsSync(root) ? "" : "the folder ../shared with the reference's tensors is absent";
/** Whether every case is to run, or one of each quantity. */
export const all = process.env["PARITY_ALL"] === "1";

export const readJson = <T>(path: string): T => JSON.parse(readFileSync(shared(path), "utf8")) as T;

/** Every tensor of a file, read. */
export const readTensors = (path: string): Map<string, NdArray> => readSafetensors(shared(path)).tensors;

/** Relative L2 distance to a reference. */
export function relative(ours: NdArray | ArrayLike<number>, reference: NdArray | ArrayLike<number>): number {
  const [a, b] = [numbers(ours), numbers(reference)];
  if (a.length !== b.length) return Infinity;
  let [off, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    off += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(off / Math.max(norm, Number.MIN_VALUE));
}

/** The largest absolute difference. */
export function largest(ours: NdArray | ArrayLike<number>, reference: NdArray | ArrayLike<number>): number {
  const [a, b] = [numbers(ours), numbers(reference)];
  if (a.length !== b.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < b.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

const numbers = (x: NdArray | ArrayLike<number>): ArrayLike<number> => ("data" in x ? Array.from(x.data as ArrayLike<number>, Number) : x);

/** Taps that collect the residual stream entering each block, in order, as the forward pass is traced. */
export function residualTaps(layers: number): { taps: Taps; resid: readonly Tensor[] } {
  const resid: Tensor[] = [];
  const collect = (h: Tensor): Tensor => {
    resid.push(h);
    return h;
  };
  return { taps: Object.fromEntries(Array.from({ length: layers }, (_, i) => [`blocks.${i}.resid_pre`, collect])), resid };
}

/** Logits behind a prompt's last token. */
export async function lastLogits(model: Model, ids: readonly number[], dtype: "float32" | "float64"): Promise<NdArray> {
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const positions = t.input("positions", "int64", ["B", "T"]);
    const pass = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions });
    return { logits: lm.logits(lm.normed(pass.hidden.slice(1, "T-1", "T"))) };
  });
  const feeds = feedsOf(model, { tokens: ints(ids, [1, ids.length]), positions: ints([...ids.keys()], [1, ids.length]) });
  return (await program(model.sessions, graph, { executor: "graph" }).run(feeds))["logits"]!;
}
