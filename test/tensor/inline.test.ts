/** Graphs inside graphs, and graphs as data. */
import { describe, expect, it } from "vitest";
import { floats } from "../../src/base/array.ts";
import { program } from "../../src/onnx/program.ts";
import { Sessions } from "../../src/onnx/session.ts";
import { substitute } from "../../src/tensor/dim.ts";
import { trace } from "../../src/tensor/graph.ts";
import { type GraphData, graphData, graphOf, inline } from "../../src/tensor/inline.ts";

const twice = trace((t) => {
  const x = t.input("x", "float32", ["B", "T"]);
  return { y: x.mul(2).slice(1, 0, "T-1").reshape(["B*T-B"]) };
});

describe("substitute", () => {
  it("puts sizes in the place of symbols, and leaves others", () => {
    expect(substitute("2*T-B", { T: "P+S" })).toBe("-B+2*P+2*S");
    expect(substitute("B*T", { B: 3, T: "S" })).toBe("3*S");
    expect(substitute("B*T", { B: "T", T: "B" })).toBe("B*T");
    expect(substitute(7, { B: 1 })).toBe(7);
  });
});

describe("inline", () => {
  it("computes in another trace, at the sizes found there", async () => {
    const outer = trace((t) => ({ z: inline(twice, t, { x: t.input("a", "float32", ["R", "P+1"]) })["y"]!.add(1) }));
    expect(outer.output("z").shape).toEqual(["P*R"]);
    const sessions = new Sessions(1);
    const { z } = await program(sessions, outer).run(new Map([["a", floats([1, 2, 3, 4, 5, 6], [2, 3])]]), { P: 2 });
    expect([...z!.data]).toEqual([3, 5, 9, 11]);
    await sessions.release();
  });
  it("refuses a missing input and a shape that does not fit", () => {
    expect(() => trace((t) => ({ z: inline(twice, t, {})["y"]!, w: t.constant(1, "float32") }))).toThrow(/input "x" is missing/);
    expect(() => trace((t) => ({ z: inline(twice, t, { x: t.input("a", "float32", ["R"]) })["y"]! }))).toThrow(/\[B, T\]/);
  });
});

describe("graphs as data", () => {
  it("come back as they were", () => expect(graphOf(JSON.parse(JSON.stringify(graphData(twice))) as GraphData).hash).toBe(twice.hash));
  it.each([
    ["an operation that is not there", (d: GraphData) => ({ ...d, nodes: [...d.nodes, ["nonesuch", [], {}]] })],
    ["a node that comes later", (d: GraphData) => ({ ...d, nodes: [["neg", [[5, 0]], {}]] })],
    [
      "shapes that do not fit",
      (d: GraphData) => ({
        ...d,
        nodes: [
          ...d.nodes,
          [
            "add",
            [
              [0, 0],
              [d.nodes.length - 1, 0],
            ],
            {},
          ],
        ],
      }),
    ],
    ["an output of nothing", (d: GraphData) => ({ ...d, outputs: { y: [99, 0] } })],
  ])("refuse %s", (_, spoil) => expect(() => graphOf(spoil(graphData(twice)) as unknown as GraphData)).toThrow(/graph|add|node/));
});
