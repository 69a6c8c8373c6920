/** Rows added at repeated indices by several threads: every one counts, and twice the same bytes. */
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
