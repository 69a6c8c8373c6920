/** Rows added at repeated indices, by several threads and to fetched gradients: every one counts, and twice the same bytes. */
import { afterAll, expect, test } from "vitest";
import { floats, ints } from "../../src/base/array.ts";
import { rng } from "../../src/base/rng.ts";
import { program } from "../../src/onnx/program.ts";
import { Sessions } from "../../src/onnx/session.ts";
import { trace } from "../../src/tensor/graph.ts";

const sessions = new Sessions(4);
afterAll(() => sessions.release());

test.each([
  [[9], []],
  [[9, 192], [192]],
  [
    [9, 12, 16],
    [12, 16],
  ],
] as const)("into %j", async (shape, rest) => {
  const M = 1200;
  const chance = rng("add rows");
  const at = Array.from({ length: M }, () => chance.below(6));
  const width = rest.reduce((a: number, b) => a * b, 1);
  const updates = floats(
    Array.from({ length: M * width }, () => chance.below(64) - 32),
    [M, ...rest],
  ); // whole numbers: sums are exact
  const exact = new Float32Array(9 * width);
  at.forEach((row, m) => {
    for (let d = 0; d < width; d++) exact[row * width + d]! += updates.data[m * width + d] as number;
  });
  const graph = trace((t) => ({
    y: t.zeros(shape, "float32").addRows(t.input("at", "int64", ["M"]), t.input("updates", "float32", ["M", ...rest])),
  }));
  const adding = program(sessions, graph);
  for (let run = 0; run < 20; run++)
    expect(
      (
        await adding.run(
          new Map([
            ["at", ints(at)],
            ["updates", updates],
          ]),
        )
      )["y"]!.data,
    ).toEqual(exact);
});

test("a table that is looked up and multiplied has one gradient, whole or block by block", async () => {
  const [N, D, M] = [5, 3, 4];
  const graph = trace((t) => {
    const table = t.input("table", "float64", [N, D], "weight");
    const looked = table.rows(t.input("at", "int64", ["M"])).boundary("start");
    return {
      loss: looked
        .mul(t.input("c", "float64", ["M", D]))
        .sum()
        .add(table.mul(table).sum()),
    };
  });
  const chance = rng("table");
  const draw = (count: number): number[] => Array.from({ length: count }, () => chance.uniform() - 0.5);
  const [table, c, at] = [draw(N * D), draw(M * D), [4, 0, 4, 2]];
  const feeds = new Map([
    ["table", floats(table, [N, D], "float64")],
    ["c", floats(c, [M, D], "float64")],
    ["at", ints(at)],
  ]);
  const expected = table.map((x, i) => {
    const [row, column] = [Math.floor(i / D), i % D];
    return at.reduce((sum, to, m) => sum + (to === row ? c[m * D + column]! : 0), 2 * x);
  });
  for (const executor of ["graph", "blocks"] as const) {
    const found = await program(sessions, graph, { executor, grad: { of: "loss", wrt: ["table"] } }).run(feeds);
    expect(Object.keys(found).sort()).toEqual(["grad:table", "loss"]);
    expected.forEach((x, i) => expect(found["grad:table"]!.data[i]).toBeCloseTo(x, 12));
  }
});
