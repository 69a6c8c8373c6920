/** Operations that graphs from files may have: every dtype that one takes has a kernel, and no value of it ends the process. */
import { afterAll, describe, expect, it } from "vitest";
import { type Dtype, ndarray, type NdArray, zeros } from "../../src/base/array.ts";
import { program } from "../../src/onnx/program.ts";
import { Sessions } from "../../src/onnx/session.ts";
import { graphOf, type NodeData } from "../../src/tensor/inline.ts";
import { FORMS } from "../../src/tensor/untrusted.ts";

const sessions = new Sessions(1);
afterAll(() => sessions.close());

/** Shapes of the inputs where they are not [2, 3], and attributes. */
const SHAPES: Readonly<Record<string, readonly (readonly number[])[]>> = {
  where: [
    [2, 3],
    [2, 3],
    [2, 3],
  ],
  rows: [[2, 3], [2]],
  addRows: [[2, 3], [2], [2, 3]],
  pick: [[2, 3], [2]],
  place: [[2], [2]],
  matmul: [
    [2, 3],
    [3, 2],
  ],
  rmsNorm: [[2, 3], [3]],
  labelLogProbs: [[2, 3], [4, 3], [2]],
};
const ATTRS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  boundary: { name: "x" },
  cast: { to: "float32" },
  constant: { value: 1, dtype: "float32" },
  size: { dim: 3, dtype: "int64" },
  sum: { axes: [1], keep: false },
  mean: { axes: [1], keep: false },
  max: { axes: [1], keep: false },
  rmsNorm: { eps: 1e-5 },
  reshape: { shape: [3, 2] },
  transpose: { perm: [1, 0] },
  expand: { shape: [2, 2, 3] },
  slice: { axis: 1, start: 1, end: 3 },
  concat: { axis: 1 },
  place: { size: 4 },
  matmul: { transA: false, transB: false },
};

const cases = Object.entries(FORMS).flatMap(([op, { inputs = 2, takes }]) => {
  const places = Array.from({ length: inputs }, (_, i) => (takes.length === 1 ? takes[0]! : takes[i]!));
  const all = [...new Set(places.filter((own) => own.length > 1).flat())];
  const dtypes = all.length > 0 ? all : [undefined];
  return dtypes.map((dtype) => [op, dtype, places.map((own): Dtype => (own.length === 1 ? own[0]! : dtype!))] as const);
});

async function run(
  op: string,
  dtypes: readonly Dtype[],
  attrs: Readonly<Record<string, unknown>>,
  feeds: readonly NdArray[],
): Promise<NdArray> {
  const inputs = dtypes.map((dtype, i): NodeData => ["input", [], { name: `x.${i}`, dtype, shape: feeds[i]!.shape, role: "input" }]);
  const node: NodeData = [op, dtypes.map((_, i) => [i, 0]), attrs];
  const graph = graphOf({ nodes: [...inputs, node], outputs: { y: [inputs.length, 0] } });
  const out = await program(sessions, graph).run(new Map(feeds.map((array, i) => [`x.${i}`, array])));
  return out["y"]!;
}

describe("operations in files", () => {
  it.each(cases)("%s takes %s", async (op, _, dtypes) => {
    const feeds = dtypes.map((dtype, i) => zeros(dtype, SHAPES[op]?.[i] ?? [2, 3]));
    const y = await run(op, dtypes, ATTRS[op] ?? {}, feeds);
    expect(y.data.length).toBeGreaterThan(0);
  });

  it.each(["rows", "pick", "place", "addRows"] as const)("%s complains of an index outside, and the process goes on", async (op) => {
    const shapes = SHAPES[op]!;
    for (const at of [99n, -99n, 2n ** 62n]) {
      const feeds = shapes.map((shape, i) => (i === 1 ? ndarray("int64", shape, BigInt64Array.of(0n, at)) : zeros("float32", shape)));
      const dtypes = feeds.map(({ dtype }) => dtype);
      await expect(run(op, dtypes, ATTRS[op] ?? {}, feeds)).rejects.toMatchObject({ trouble: "execution" });
    }
  });
});
