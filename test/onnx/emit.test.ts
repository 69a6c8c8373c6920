/** Written programs say the shape of every value, and ONNX Runtime takes no shape that is not so. */
import { describe, expect, test } from "vitest";
import { floats } from "../../src/base/array.ts";
import { emit } from "../../src/onnx/emit.ts";
import { Session } from "../../src/onnx/session.ts";
import { trace } from "../../src/tensor/graph.ts";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

describe("shapes of values between nodes", () => {
  test("a flattened dimension is written where it arises, not only where a program ends", () => {
    const graph = trace((t) => ({ y: t.input("x", "float32", ["B", "S", 4]).reshape(["B*S", 4]).mul(2).sum() }));
    expect(text(emit(graph).bytes)).toContain("B*S");
  });

  test("an input that an operation hands on as it is keeps its own name and shape", async () => {
    const graph = trace((t) => {
      const x = t.input("x", "float32", ["N"]);
      return { same: x.reshape(["N"]), twice: x.reshape(["N"]).mul(2) };
    });
    const session = await Session.create(graph, 1);
    const out = await session.run(new Map([["x", floats([1, 2, 3])]]));
    expect([...(out["same"]!.data as Float32Array)]).toEqual([1, 2, 3]);
    expect([...(out["twice"]!.data as Float32Array)]).toEqual([2, 4, 6]);
    await session.release();
  });

  test("one session takes runs of any size, larger after smaller and smaller after larger", async () => {
    const graph = trace((t) => {
      const x = t.input("x", "float32", ["B", "S"]);
      const [a, b] = [x.mul(2), x.add(1)];
      return {
        y: a
          .mul(b)
          .reshape(["B*S"])
          .add(x.reshape(["B*S"]))
          .sum(),
      };
    });
    const session = await Session.create(graph, 1);
    const sums: number[] = [];
    for (const [B, S] of [
      [1, 2],
      [3, 5],
      [2, 1],
      [4, 4],
    ] as const) {
      const x = floats(
        Float32Array.from({ length: B * S }, (_, i) => i),
        [B, S],
      );
      sums.push(Number((await session.run(new Map([["x", x]])))["y"]!.data[0]));
    }
    const wanted = [2, 15, 2, 16].map((n) => Array.from({ length: n }, (_, i) => 2 * i * (i + 1) + i).reduce((p, q) => p + q, 0));
    expect(sums).toEqual(wanted);
    await session.release();
  });
});
