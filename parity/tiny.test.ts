/** Tiny checkpoints of each architecture: logits, residual streams, loss and gradients, in both precisions and both executors. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ints, type NdArray } from "../src/base/array.ts";
import { type Executor, program } from "../src/onnx/program.ts";
import { traced } from "../src/model/forward.ts";
import { storedWeights } from "../src/model/arch/arch.ts";
import { loadFrom } from "../src/model/load.ts";
import type { Tokenizer } from "../src/text/tokenizer.ts";
import { defaultContext } from "../src/base/context.ts";
import { feedsOf, type Model, type Precision } from "../src/model/model.ts";
import { rankN } from "../src/methods/rome/rank-n.ts";
import { atLayer, type BlockSite, siteName } from "../src/model/names.ts";
import { runTraced } from "../src/model/run-traced.ts";
import { gemmOn, type Matrix, matrix } from "../src/onnx/linalg.ts";
import { trace } from "../src/tensor/graph.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { readSafetensors } from "../src/base/store.ts";
import { absent, largest, residualTaps, shared } from "./shared.ts";

const OWN = new URL("fixtures/tiny/", import.meta.url).pathname;
const MADE = readdirSync(OWN).sort();
/** These checkpoints come without one; ids are given. */
const NO_TOKENIZER = { size: 1, hash: "none", pad: 0 } as Tokenizer;
const FOLDERS = [
  "llama",
  "llama3_rope",
  "mistral",
  "llama_sharded_bf16",
  "qwen2",
  "qwen3",
  "smollm3",
  "gemma3_text",
  "phi3",
  "gpt2",
  "gpt_neox",
  "opt",
];

/** Logits, residual streams, mean loss, and gradients of the stored weights named. */
async function run(
  model: Model,
  ids: NdArray,
  dtype: Precision,
  executor: Executor,
  wrt: readonly string[],
): Promise<Record<string, NdArray>> {
  const [B, T] = ids.shape as [number, number];
  const wide = new Map(wrt.map((name) => [`w:${name}`, widen(model.weights.get(name)!, dtype)]));
  const graph = trace((t) => {
    const lm = traced(
      model,
      t,
      dtype,
      Object.fromEntries(wrt.map((name) => [name, t.input(`w:${name}`, dtype, model.weights.get(name)!.shape)])),
    );
    const { taps, resid } = residualTaps(model.config.layers);
    const positions = t.input("positions", "int64", ["B", "T"]);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions, taps });
    const normed = lm.normed(hidden);
    const labels = t.input("labels", "int64", ["M"]);
    const loss = lm
      .logProbs(lm.normed(hidden, t.input("rows", "int64", ["M"])), labels)
      .picked.mean()
      .neg();
    return { logits: lm.logits(normed), loss, ...Object.fromEntries([...resid, hidden].map((h, i) => [`resid${i}`, h])) };
  });
  const at = Array.from({ length: B * T }, (_, i) => i).filter((i) => i % T < T - 1);
  const feeds = feedsOf(
    model,
    new Map([
      ...wide,
      ["tokens", { dtype: "int64", shape: [B, T], data: BigInt64Array.from(ids.data, BigInt) } as NdArray],
      [
        "positions",
        ints(
          Array.from({ length: B * T }, (_, i) => i % T),
          [B, T],
        ),
      ],
      ["rows", ints(at)],
      ["labels", ints(at.map((i) => Number(ids.data[i + 1])))],
    ]),
  );
  return program(model.sessions, graph, { executor, grad: { of: "loss", wrt: [...wide.keys()] } }).run(feeds);
}

const widen = (a: NdArray, dtype: Precision): NdArray => ({
  dtype,
  shape: a.shape,
  data: dtype === "float64" ? Float64Array.from(a.data as Float32Array) : Float32Array.from(a.data as Float32Array),
});

/** Two sites at the last of these tokens, in float64, with weights in the place of the model's own. */
async function atLastToken(
  model: Model,
  ids: readonly number[],
  [key, value]: readonly [BlockSite, BlockSite],
  weights: ReadonlyMap<string, NdArray>,
): Promise<Record<"key" | "value", NdArray>> {
  const graph = trace((t) => {
    const given = Object.fromEntries([...weights].map(([name, a]) => [name, t.input(`w:${name}`, "float64", a.shape)]));
    const lm = traced(model, t, "float64", given);
    const seen: Record<string, Tensor> = {};
    const note = (name: string) => (h: Tensor) => (seen[name] = h);
    const taps = { [key]: note("key"), [value]: note("value") };
    lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]), taps });
    const last = (h: Tensor): Tensor => h.slice(1, "T-1", "T");
    return { key: last(seen["key"]!), value: last(seen["value"]!) };
  });
  const at = [1, ids.length];
  const feeds = new Map<string, NdArray>([...weights].map(([name, a]) => [`w:${name}`, a]));
  feeds.set("tokens", ints(ids, at)).set("positions", ints([...ids.keys()], at));
  return (await program(model.sessions, graph).run(feedsOf(model, feeds))) as Record<"key" | "value", NdArray>;
}

/** Whole numbers [rows, columns] as lists. */
function rowsOf({ data, shape }: NdArray): number[][] {
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => Number(data[i * columns + j])));
}

const column = (a: NdArray): Matrix => matrix(a.data.length, 1, Float64Array.from(a.data as Float64Array));

const FOUND = [
  ...FOLDERS.map((name) => ({ name, at: shared(`golden/tiny/${name}`), absent })),
  ...MADE.map((name) => ({ name, at: join(OWN, name), absent: "" })),
];

for (const { name: folder, at, absent } of FOUND)
  describe.skipIf(absent)(`tiny checkpoint ${folder}${absent && ` (skipped: ${absent})`}`, () => {
    {
      const model = absent ? undefined! : loadFrom(at, defaultContext(), { tokenizer: NO_TOKENIZER });
      const golden = absent ? undefined! : readSafetensors(join(at, "golden.safetensors")).tensors;
      const names = absent ? new Map<string, string>() : theirNames(model);
      const wrt = [...names].filter(([, theirs]) => golden.has(`grad.${theirs}`)).map(([ours]) => ours);
      afterAll(() => model?.release());

      const worst = async (
        dtype: Precision,
        executor: Executor,
      ): Promise<{ logits: number; resid: number; loss: number; grad: number }> => {
        const out = await run(model, golden.get("input_ids")!, dtype, executor, wrt);
        const resid = golden.get("resid")!;
        const size = resid.data.length / resid.shape[0]!;
        return {
          logits: largest(out["logits"]!, golden.get("logits")!),
          resid: Math.max(
            ...Array.from({ length: resid.shape[0]! }, (_, i) =>
              largest(out[`resid${i}`]!, (resid.data as Float64Array).subarray(i * size, (i + 1) * size)),
            ),
          ),
          loss: Math.abs(Number(out["loss"]!.data[0]) - Number(golden.get("loss")!.data[0])),
          grad: Math.max(
            ...wrt.map((name) => {
              const reference = golden.get(`grad.${names.get(name)}`)!;
              const ours = out[`grad:w:${name}`]!;
              const isStoredTransposed = storedWeights(model).get(name)!.transposed ?? false;
              return (
                largest(isStoredTransposed ? turned(ours) : ours, reference) /
                Math.max(...Array.from(reference.data as Float64Array, Math.abs))
              );
            }),
          ),
        };
      };

      for (const executor of ["graph", "blocks"] as const) {
        it(`float64, ${executor}`, async () => {
          const off = await worst("float64", executor);
          expect(off.logits).toBeLessThan(1e-10);
          expect(off.resid).toBeLessThan(1e-10);
          expect(off.loss).toBeLessThan(1e-10);
          expect(off.grad).toBeLessThan(1e-9);
        });
        it(`float32, ${executor}`, async () => {
          const off = await worst("float32", executor);
          expect(off.logits).toBeLessThan(5e-5);
          expect(off.grad).toBeLessThan(2e-5);
        });
      }
      it("says the recorded tokens, greedily", async () => {
        const told = rowsOf(golden.get("continuation")!);
        const rows = rowsOf(golden.get("input_ids")!);
        const T = rows[0]!.length;
        for (let i = 0; i < told[0]!.length; i++) {
          const { likeliest } = await runTraced(model, rows, (lm, tokens, given) => ({
            likeliest: lm.logits(lm.normed(lm.forward(tokens, given).hidden)).argmax(),
          }));
          rows.forEach((row, b) => row.push(Number(likeliest.data[(b + 1) * (T + i) - 1])));
        }
        expect(rows.map((row) => row.slice(T))).toEqual(told);
      });
      it("takes an association into its memory, as ROME inserts it", async () => {
        const { key, value } = model.arch.memory;
        const name = atLayer(model.arch.memory.weight, 1);
        const ids = rowsOf(golden.get("input_ids")!)[0]!.slice(0, 8);
        const read = (given: Map<string, NdArray>): Promise<Record<"key" | "value", NdArray>> =>
          atLastToken(model, ids, [siteName(1, key), siteName(1, value)], given);
        const [width, out] = [model.config.width, model.weights.get(name)!];
        const before = await read(new Map([[name, widen(out, "float64")]]));
        const wanted = Float64Array.from({ length: width }, (_, i) => Math.sin(i + 1));
        const k = column(before.key);
        const [left, right] = await rankN(
          { keys: k, directions: k, values: matrix(width, 1, wanted), outputs: column(before.value) },
          gemmOn(model.sessions),
        );
        const edited = widen(out, "float64");
        const m = right.shape[1]!;
        const w = edited.data as Float64Array;
        for (let i = 0; i < width; i++) for (let j = 0; j < m; j++) w[i * m + j]! += left.data[i]! * right.data[j]!;
        const after = await read(new Map([[name, edited]]));
        expect(largest(after.key, before.key)).toBeLessThan(1e-12);
        expect(largest(after.value, wanted)).toBeLessThan(1e-9);
      });
      const none = existsSync(join(at, "config.legacy.json")) ? "" : " (skipped: this checkpoint has none)";
      it.skipIf(none)(`reads the config of older checkpoints as the same${none}`, () => {
        const config = (file: string): object => model.arch.config(JSON.parse(readFileSync(join(at, file), "utf8")));
        expect(config("config.legacy.json")).toEqual(config("config.json"));
      });
      it("goes red when a norm's epsilon is off by a thousandth", async () => {
        const config = { ...model.config, normEps: model.config.normEps * 1.001 };
        const out = await run({ ...model, config }, golden.get("input_ids")!, "float64", "graph", wrt);
        expect(largest(out["logits"]!, golden.get("logits")!)).toBeGreaterThan(1e-10);
      });
    }
  });

function turned(a: NdArray): NdArray {
  const [rows, columns] = a.shape as [number, number];
  const data = Float64Array.from({ length: rows * columns }, (_, at) => Number(a.data[(at % rows) * columns + Math.floor(at / rows)]));
  return { dtype: "float64", shape: [columns, rows], data };
}

/** Ours → the checkpoint's. */
function theirNames(model: Model): Map<string, string> {
  return new Map(
    Object.entries(model.arch.weights(model.config)).flatMap(([ours, stored]) =>
      Array.from({ length: model.config.layers }, (_, i) => [ours.replace("{i}", `${i}`), stored.name.replace("{i}", `${i}`)] as const),
    ),
  );
}
