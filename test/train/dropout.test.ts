/** Dropout from two short vectors: its masks have the share, the independence and the repeatability that they promise. */
import { afterAll, describe, expect, test } from "vitest";
import { floats, type NdArray } from "../../src/base/array.ts";
import { program } from "../../src/onnx/program.ts";
import { Sessions } from "../../src/onnx/session.ts";
import { inputOf, trace } from "../../src/tensor/graph.ts";
import { dropout, dropoutFeeds, type PassAt } from "../../src/train/dropout.ts";

const sessions = new Sessions(1);
afterAll(() => sessions.release());

const graphOf = (rate: number, dtype: "float32" | "float64" = "float32") =>
  trace((t) => ({ y: dropout(t.input("x", dtype, ["B", "T", 40]), rate, "m") }));

/** What is left of ones. */
async function maskOf(rate: number, at: PassAt, [B, T]: readonly [number, number], dtype: "float32" | "float64" = "float32") {
  const graph = graphOf(rate, dtype);
  const x = floats(new Float64Array(B * T * 40).fill(1), [B, T, 40], dtype);
  const out = await program(sessions, graph).run(
    new Map<string, NdArray>([["x", x], ...Object.entries(dropoutFeeds(graph, at, { B, T }))]),
  );
  return Uint8Array.from(out["y"]!.data as Float32Array);
}

describe("the mask", () => {
  test.each([0.05, 0.5, 0.9])("drops a share of %s, and elements are independent in pairs", async (rate) => {
    // statistics of one place over many passes, and of places beside, below and across from it
    const [passes, T, D] = [4000, 2, 40];
    const graph = graphOf(rate);
    const vectors = Array.from({ length: passes }, (_, pass) =>
      Object.values(dropoutFeeds(graph, { seed: 3, step: 1, pass }, { B: 1, T })),
    );
    const least = Math.round(rate * 2 ** 32) - 2 ** 31;
    const kept = vectors.map(
      ([a, b]) =>
        (t: number, d: number): number =>
          Number(((Number(a!.data[t]) + Number(b!.data[d])) | 0) >= least),
    );
    const mean = (of: (k: (typeof kept)[number]) => number): number => kept.reduce((sum, k) => sum + of(k), 0) / passes;
    const within = 5 * Math.sqrt((rate * (1 - rate)) / passes);
    for (const [t, d] of [
      [0, 0],
      [1, 7],
      [1, D - 1],
    ] as const)
      expect(Math.abs(mean((k) => k(t, d)) - (1 - rate))).toBeLessThan(within);
    for (const [t, d] of [
      [0, 1],
      [1, 0],
      [1, 1],
    ] as const)
      expect(Math.abs(mean((k) => k(0, 0) * k(t, d)) - (1 - rate) ** 2), `(0, 0) and (${t}, ${d})`).toBeLessThan(within);
  });

  test("is what the vectors say, in both precisions, and has its share", async () => {
    const at = { seed: "s", step: 5, pass: 0 };
    const [B, T, D, rate] = [3, 50, 40, 0.1];
    const graph = graphOf(rate);
    const [a, b] = Object.values(dropoutFeeds(graph, at, { B, T })).map(({ data }) =>
      Array.from(data as Int32Array, (x) => x / 2 ** 32 + 0.5),
    );
    const frac = (x: number): number => x - Math.floor(x);
    // fractions begin at −½ as int32, so a sum of two begins at −1: the same circle
    const wanted = a!.flatMap((x) => b!.map((y) => Number(frac(x + y - 0.5) >= rate)));
    const mask = await maskOf(rate, at, [B, T]);
    expect([...mask]).toEqual(wanted);
    expect(await maskOf(rate, at, [B, T], "float64")).toEqual(mask);
    const share = 1 - mask.reduce((sum, m) => sum + m, 0) / (B * T * D);
    expect(Math.abs(share - rate)).toBeLessThan(5 * Math.sqrt((rate * (1 - rate)) / (B * T * D)));
  });

  test("is a function of seed, step and pass, and another for every one of them", async () => {
    const at = { seed: 1, step: 2, pass: 3 };
    const mask = await maskOf(0.3, at, [2, 9]);
    expect(await maskOf(0.3, { ...at }, [2, 9])).toEqual(mask);
    for (const other of [{ seed: 2 }, { step: 3 }, { pass: 2 }]) expect(await maskOf(0.3, { ...at, ...other }, [2, 9])).not.toEqual(mask);
  });

  test("one name at two shapes is two masks, each fed its rows and columns", () => {
    const graph = trace((t) => ({
      y: dropout(t.input("x", "float32", ["B", "T", 8]), 0.1, "m")
        .sum()
        .add(dropout(t.input("z", "float32", ["B", "2*T", 8]), 0.1, "m").sum()),
    }));
    const feeds = dropoutFeeds(graph, { seed: 0, step: 0, pass: 0 }, { B: 2, T: 3 });
    expect(Object.values(feeds).map((f) => f.shape)).toEqual([[2, 3], [8], [2, 6]]);
  });

  test("a rate of 0 builds nothing, 1 is refused", () => {
    const graph = graphOf(0);
    expect(graph.nodes.map((n) => n.op)).toEqual(["input"]);
    expect(inputOf(graph.inputs[0]!).name).toBe("x");
    expect(dropoutFeeds(graph, { seed: 0, step: 0, pass: 0 }, { B: 1, T: 1 })).toEqual({});
    expect(() => graphOf(1)).toThrow(/dropout: a rate of 1; wanted/);
  });
});
