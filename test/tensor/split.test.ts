/** Cutting: equal blocks are equal graphs, whatever layer they stand for, and so share one session. */
import { expect, test } from "vitest";
import { traced } from "../../src/model/forward.ts";
import { trace } from "../../src/tensor/graph.ts";
import { cut } from "../../src/tensor/split.ts";
import { nll } from "../../src/train/objective.ts";
import { tinyModel } from "../train/tiny.ts";

test("the blocks of a model cut to one graph between the embedding's and the head's", async () => {
  const model = tinyModel(0, { num_hidden_layers: 5 });
  const segments = cut(
    trace((t) => {
      const lm = traced(model, t);
      return nll.build(lm, () => lm).outputs;
    }),
  ).map((s) => s.graph.hash);
  expect(segments).toHaveLength(7);
  expect(new Set(segments.slice(1, 6)).size).toBe(1);
  expect(new Set(segments).size).toBe(3);
  await model.release();
});

test("what differs in a block makes another graph", () => {
  const graph = trace((t) => {
    let x = t.input("x", "float32", ["B", 3]).exp();
    for (const [i, size] of [2, 2, 3].entries())
      x = x
        .boundary(`step ${i}`)
        .mul(t.input(`w${i}`, "float32", [3], "weight"))
        .mul(size);
    return { x };
  });
  const [first, second, third] = cut(graph)
    .map((s) => s.graph.hash)
    .slice(-3);
  expect(first).toBe(second);
  expect(third).not.toBe(first);
});
