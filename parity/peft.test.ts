/** LoRA against PEFT: its adapters as edits and beside the weights give its logits, and its gradients of the factors. */
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { asFloats, ints, type NdArray } from "../src/base/array.ts";
import { defaultContext } from "../src/base/context.ts";
import { readSafetensors } from "../src/base/store.ts";
import { apply } from "../src/edit/apply.ts";
import { loadLora } from "../src/edit/lora.ts";
import { storedWeights } from "../src/model/arch/arch.ts";
import { traced } from "../src/model/forward.ts";
import { loadFrom } from "../src/model/load.ts";
import { feedsOf, type Model, type Precision, withWeights } from "../src/model/model.ts";
import type { Tokenizer } from "../src/text/tokenizer.ts";
import { type Executor, program } from "../src/onnx/program.ts";
import { trace } from "../src/tensor/graph.ts";
import { factorName, type Lora, loraOf } from "../src/train/lora.ts";
import { absent, largest, shared } from "./shared.ts";

const NO_TOKENIZER = { size: 1, hash: "none" } as Tokenizer;
const folder = (name: string): string => fileURLToPath(new URL(`fixtures/peft/${name}`, import.meta.url));
const EXECUTORS: readonly Executor[] = ["graph", "blocks"];

/** Logits [1, T, V], and the gradients of the mean loss of the next token with respect to the factors. */
async function run(
  model: Model,
  ids: NdArray,
  dtype: Precision,
  executor: Executor,
  beside?: { readonly lora: Lora; readonly factors: ReadonlyMap<string, NdArray> },
): Promise<Record<string, NdArray>> {
  const T = ids.data.length;
  const graph = trace((t) => {
    const lm = traced(model, t, dtype, {}, beside?.lora.added(t, { training: false, dtype }) ?? {});
    const { hidden } = lm.forward(t.input("tokens", "int64", [1, T]), { positions: t.input("positions", "int64", [1, T]) });
    const picked = lm
      .normed(hidden, t.input("rows", "int64", [T - 1]))
      .labelLogProbs(lm.head(), t.input("labels", "int64", [T - 1])).picked;
    return { logits: lm.logits(lm.normed(hidden)), loss: picked.mean().neg() };
  });
  const list = Array.from(ids.data as BigInt64Array, Number);
  const steps = list.map((_, i) => i);
  const feeds = {
    tokens: ints(list, [1, T]),
    positions: ints(steps, [1, T]),
    rows: ints(steps.slice(1).map((i) => i - 1)),
    labels: ints(list.slice(1)),
  };
  const wrt = [...(beside?.factors.keys() ?? [])];
  return program(model.sessions, graph, { executor, ...(beside && { grad: { of: "loss", wrt } }) }).run(
    feedsOf(model, new Map([...Object.entries(feeds), ...(beside?.factors ?? [])])),
  );
}

describe.skipIf(absent)(`PEFT's adapters${absent && ` (skipped: ${absent})`}`, () => {
  const stored = absent ? undefined! : loadFrom(shared("golden/tiny/llama"), defaultContext(), { tokenizer: NO_TOKENIZER });
  // wide weights, so that what an edit adds is not rounded to single precision
  const model = absent ? undefined! : withWeights(stored, new Map([...stored.weights].map(([name, a]) => [name, asFloats(a, "float64")])));
  afterAll(() => stored?.release());

  describe.each(["plain", "patterns"])("%s", (name) => {
    const golden = readSafetensors(`${folder(name)}/golden.safetensors`).tensors;
    const ids = golden.get("input_ids")!;

    test.each(EXECUTORS)("as an edit has PEFT's logits (%s)", async (executor) => {
      const edited = apply(model, loadLora(folder(name), model));
      expect(largest((await run(edited, ids, "float64", executor))["logits"]!, golden.get("logits")!)).toBeLessThan(1e-10);
      const single = apply(stored, loadLora(folder(name), stored));
      expect(largest((await run(single, ids, "float32", executor))["logits"]!, golden.get("logits")!)).toBeLessThan(5e-5);
    });

    test("goes red without the adapter, and with it twice", async () => {
      const off = async (m: Model): Promise<number> => largest((await run(m, ids, "float64", "graph"))["logits"]!, golden.get("logits")!);
      expect(await off(model)).toBeGreaterThan(1e-2);
      const twice = loadLora(folder(name), model);
      expect(await off(apply(apply(model, twice), twice))).toBeGreaterThan(1e-2);
    });
  });

  test.each(EXECUTORS)("beside the weights have PEFT's logits, and its gradients (%s)", async (executor) => {
    const lora = loraOf(model, { rank: 2, alpha: 4, dropout: 0.1, targets: [] });
    const [golden, adapter] = ["golden", "adapter_model"].map((file) => readSafetensors(`${folder("plain")}/${file}.safetensors`).tensors);
    const names = storedWeights(model);
    const theirs = (weight: string, factor: "a" | "b"): string =>
      `base_model.model.${names.get(weight)!.name.replace(/weight$/, `lora_${factor.toUpperCase()}.weight`)}`;
    const places = [...lora.maps.keys()].flatMap((weight) =>
      (["a", "b"] as const).map((factor) => [factorName(weight, factor), theirs(weight, factor)]),
    );
    for (const [dtype, logits, gradients] of [
      ["float64", 1e-10, 1e-9],
      ["float32", 5e-5, 2e-5],
    ] as const) {
      const factors = new Map(places.map(([ours, name]) => [ours!, asFloats(adapter!.get(name!)!, dtype)]));
      const out = await run(stored, golden!.get("input_ids")!, dtype, executor, { lora, factors });
      expect(largest(out["logits"]!, golden!.get("logits")!)).toBeLessThan(logits);
      for (const [ours, name] of places) {
        const wanted = golden!.get(`grad.${name}`)!;
        expect(largest(out[`grad:${ours}`]!, wanted) / Math.max(...Array.from(wanted.data as Float64Array, Math.abs)), ours).toBeLessThan(
          gradients,
        );
      }
    }
  });
});
