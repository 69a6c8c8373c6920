/** The real model against recorded outputs: residual streams, logits, log-probabilities, generations alone and in a batch. */
import { afterAll, describe, expect, it } from "vitest";
import { ints, type NdArray } from "../src/base/array.ts";
import { traced } from "../src/model/forward.ts";
import { generate } from "../src/model/decode/generate.ts";
import { loadFrom } from "../src/model/load.ts";
import { feedsOf, type Model } from "../src/model/model.ts";
import { promptOf, stopsOf } from "../src/model/prompt.ts";
import { score } from "../src/model/decode/score.ts";
import { type Executor, program } from "../src/onnx/program.ts";
import { trace } from "../src/tensor/graph.ts";
import { absent, largest, readJson, readTensors, residualTaps, shared } from "./shared.ts";

const FOLDER = "models/smollm2-135m-instruct";
const TEXTS = ["plain_1", "plain_2", "chat_1", "chat_2", "unicode", "wikitext_300"];

async function read(model: Model, ids: readonly number[], executor: Executor): Promise<Record<string, NdArray>> {
  const graph = trace((t) => {
    const lm = traced(model, t);
    const { taps, resid } = residualTaps(model.config.layers);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]), taps });
    const logits = lm.logits(lm.normed(hidden));
    return { logits, ...Object.fromEntries([...resid, hidden].map((h, i) => [`norm${i}`, h.square().sum(-1).sqrt()])) };
  });
  const feeds = {
    tokens: ints(ids, [1, ids.length]),
    positions: ints(
      ids.map((_, i) => i),
      [1, ids.length],
    ),
  };
  return program(model.sessions, graph, { executor }).run(feedsOf(model, feeds));
}

describe.skipIf(absent)(`SmolLM2-135M-Instruct${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared(FOLDER));
  const golden = absent ? undefined! : readTensors("golden/smollm2/texts.safetensors");
  afterAll(() => model?.release());
  const idsOf = (name: string): number[] => Array.from(golden.get(`${name}.ids`)!.data, Number);

  it.each(TEXTS)("%s: residual norms, logits, argmax, log-probabilities", async (name) => {
    const ids = idsOf(name);
    for (const executor of name === "plain_1" ? (["graph", "blocks"] as const) : (["graph"] as const)) {
      const out = await read(model, ids, executor);
      const V = model.config.vocab;
      const logits = out["logits"]!.data as Float32Array;
      expect(largest(logits.subarray((ids.length - 4) * V), golden.get(`${name}.logits_last4`)!)).toBeLessThan(2e-4);
      const argmax = ids.map((_, t) => {
        const row = logits.subarray(t * V, (t + 1) * V);
        return row.indexOf(Math.max(...row));
      });
      expect(argmax).toEqual(Array.from(golden.get(`${name}.argmax`)!.data, Number));
      const norms = golden.get(`${name}.resid_norm`)!.data as Float64Array;
      for (let i = 0; i <= model.config.layers; i++)
        for (let t = 0; t < ids.length; t++) {
          const reference = norms[i * ids.length + t]!;
          expect(Math.abs(Number(out[`norm${i}`]!.data[t]) - reference) / reference).toBeLessThan(1e-5);
        }
    }
    const [logprobs] = await score(model, [{ ids, from: 1 }]);
    expect(largest(logprobs!, golden.get(`${name}.logprobs`)!)).toBeLessThan(1e-4);
  });

  it("goes red when the rotary base is off by a hundredth", async () => {
    const config = { ...model.config, rope: { ...model.config.rope!, theta: model.config.rope!.theta * 1.01 } };
    const other = loadFrom(shared(FOLDER));
    const constants = new Map<string, NdArray>();
    const { ropeTables } = await import("../src/model/rope.ts");
    const { cos, sin } = ropeTables(config.rope, config.context, "float32");
    constants.set("rope.cos.float32", cos).set("rope.sin.float32", sin);
    const [logprobs] = await score({ ...other, constant: (name) => constants.get(name) ?? other.constant(name) }, [
      { ids: idsOf("plain_2"), from: 1 },
    ]);
    await other.release();
    expect(largest(logprobs!, golden.get("plain_2.logprobs")!)).toBeGreaterThan(1e-4);
  });

  const { rows } = absent
    ? { rows: [] }
    : readJson<{ rows: { prompt_ids: number[]; generated_ids: number[] }[] }>("golden/smollm2/generate.json");

  it("greedy generations alone and in one left-padded batch", async () => {
    const options = { maxTokens: 32, stopIds: new Set([2]) };
    const batch = await generate(
      model,
      rows.map((r) => r.prompt_ids),
      options,
    );
    expect(batch.map((g) => g.ids)).toEqual(rows.map((r) => r.generated_ids));
    for (const [i, row] of rows.entries())
      expect((await generate(model, [row.prompt_ids], options))[0]!.ids, `row ${i}`).toEqual(row.generated_ids);
  });

  it("greedy generations with the weights held in the session", async () => {
    const batch = await generate(
      model,
      rows.map((r) => r.prompt_ids),
      { maxTokens: 32, stopIds: new Set([2]), freeze: true },
    );
    expect(batch.map((g) => g.ids)).toEqual(rows.map((r) => r.generated_ids));
  });

  it("the folder and the bare file are one model", async () => {
    const bare = loadFrom(shared(`${FOLDER}/model.gguf`));
    expect(bare.id).toBe(model.id);
    const question = "What is the capital of Australia?";
    const facts = readJson<{ rows: { id: number; generated_ids: number[] }[] }>("golden/facts/facts.json").rows.find((r) => r.id === 102);
    for (const m of [model, bare]) {
      const [answer] = await generate(m, [(await promptOf(m, question)).ids], { maxTokens: 24, stopIds: stopsOf(m) });
      expect(answer!.ids).toEqual(facts!.generated_ids);
      expect(answer!.text).toBe("The capital of Australia is Canberra.");
    }
    await bare.release();
  });
});
