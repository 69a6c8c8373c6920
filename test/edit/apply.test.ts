/** Applying, stacking and undoing: what is taken away leaves no trace. */
import { afterAll, describe, expect, it } from "vitest";
import { floats, ints, type NdArray } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { apply, applyAll } from "../../src/edit/apply.ts";
import { type Edit, sign } from "../../src/edit/edit.ts";
import { traced } from "../../src/model/forward.ts";
import { load } from "../../src/model/load.ts";
import { feedsOf, type Model } from "../../src/model/model.ts";
import { program } from "../../src/onnx/program.ts";
import { trace } from "../../src/tensor/graph.ts";

const WEIGHT = "blocks.1.mlp.out";

async function logits(model: Model): Promise<NdArray> {
  const graph = trace((t) => {
    const lm = traced(model, t, "float32");
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]) });
    return { logits: lm.logits(lm.normed(hidden)) };
  });
  const feeds = feedsOf(model, { tokens: ints([5, 9, 3, 7], [1, 4]), positions: ints([0, 1, 2, 3], [1, 4]) });
  return (await program(model.sessions, graph).run(feeds))["logits"]!;
}

describe("edits", () => {
  const model = load("bundled");
  afterAll(async () => (await model).release());
  const random = rng("apply");
  const drawn = (...shape: number[]): NdArray =>
    floats(
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() / 10),
      shape,
    );
  const edit = (m: Model, on: readonly Edit[]): Edit => {
    const [rows, columns] = m.weights.get(WEIGHT)!.shape as [number, number];
    const by = { method: "x", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" };
    const outer = [drawn(rows, 1), drawn(1, columns)] as const;
    return sign(
      { change: { kind: "delta", weights: { [WEIGHT]: { outer } } } },
      { base: m.id, on: on.map((e) => e.id), format: "chat", by },
    );
  };

  it("stack, and undone leave the base's logits, bit for bit", async () => {
    const m = await model;
    const base = await logits(m);
    const first = edit(m, []);
    const second = edit(m, [first]);
    const [one, two] = [await logits(apply(m, first)), await logits(applyAll(m, [first, second]))];
    expect(one.data).not.toEqual(base.data);
    expect(two.data).not.toEqual(one.data);
    expect((await logits(applyAll(m, [first]))).data).toEqual(one.data); // the second undone
    expect((await logits(applyAll(m, []))).data).toEqual(base.data); // both undone
    expect((await logits(m)).data).toEqual(base.data);
  });

  it("say when the stack under them is another", async () => {
    const m = await model;
    const first = edit(m, []);
    const said: string[] = [];
    applyAll(m, [edit(m, [first])], { warn: (text) => said.push(text) });
    expect(said.join()).toMatch(/was made upon .* and lies upon the unedited model/);
  });
});
