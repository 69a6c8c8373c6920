/** The Llama family on the bundled checkpoint: names, sites, precision, both executors. */
import { afterAll, describe, expect, it } from "vitest";
import { ints, type NdArray } from "../../../src/base/array.ts";
import { defaultContext } from "../../../src/base/context.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { traced } from "../../../src/model/forward.ts";
import { resolveModel } from "../../../src/hub/hub.ts";
import { llama } from "../../../src/model/arch/llama.ts";
import { load } from "../../../src/model/load.ts";
import { feedsOf, type Model } from "../../../src/model/model.ts";
import { type ActivationName, SITES, siteName } from "../../../src/model/names.ts";
import { program } from "../../../src/onnx/program.ts";
import { trace } from "../../../src/tensor/graph.ts";

const ids = [5, 9, 20, 31, 7];

async function logits(
  model: Model,
  dtype: "float32" | "float64",
  executor: "graph" | "blocks",
  rewrite?: ActivationName,
): Promise<NdArray> {
  const graph = trace((t) => {
    const lm = traced(model, t, dtype);
    const taps = rewrite ? { [rewrite]: (h: Parameters<typeof lm.normed>[0]) => h.add(0.5) } : {};
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]), taps });
    return { logits: lm.logits(lm.normed(hidden)) };
  });
  const feeds = {
    tokens: ints(ids, [1, ids.length]),
    positions: ints(
      ids.map((_, i) => i),
      [1, ids.length],
    ),
  };
  return (await program(model.sessions, graph, { executor }).run(feedsOf(model, feeds)))["logits"]!;
}

const apart = (a: NdArray, b: NdArray): number =>
  Math.max(...Array.from(a.data as Float32Array, (x, i) => Math.abs(x - Number(b.data[i]))));

describe("llama", () => {
  const model = load("bundled", defaultContext());
  afterAll(async () => (await model).release());

  it("claims every tensor of the checkpoint exactly once", async () => {
    const m = await model;
    const theirs = Object.entries(llama.weights(m.config)).flatMap(([ours, stored]) =>
      Array.from({ length: ours.includes("{i}") ? m.config.layers : 1 }, (_, i) => stored.name.replace("{i}", `${i}`)),
    );
    const checkpoint = openCheckpoint(await resolveModel("bundled", defaultContext()));
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...theirs].sort());
    checkpoint.close();
  });

  it("computes the same in both executors and both precisions", async () => {
    const m = await model;
    const reference = await logits(m, "float64", "graph");
    expect(apart(await logits(m, "float64", "blocks"), reference)).toBeLessThan(1e-10);
    expect(apart(await logits(m, "float32", "graph"), reference)).toBeLessThan(1e-3);
    expect(apart(await logits(m, "float32", "blocks"), reference)).toBeLessThan(1e-3);
  });

  it("can be read and rewritten at every site", async () => {
    const m = await model;
    const plain = await logits(m, "float32", "graph");
    for (const site of SITES) expect(apart(await logits(m, "float32", "graph", siteName(1, site)), plain), site).toBeGreaterThan(1e-3);
  });
});
