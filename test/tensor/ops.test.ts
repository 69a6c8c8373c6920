/** Every operation of the table, against finite differences, in float64; and a table entry without a case fails. */
import { afterAll, describe, expect, it } from "vitest";
import { floats, ints } from "../../src/base/array.ts";
import { grad } from "../../src/tensor/grad.ts";
import { ops } from "../../src/tensor/ops/table.ts";
import type { OpName } from "../../src/tensor/ops/names.ts";
import { Trace } from "../../src/tensor/trace.ts";
import { type Case, gradientError, sessions } from "../conformance/op.ts";

const two = { a: [2, 3], b: [2, 3] };
const labels = ints([1, 0, 3]);
const table = (offset: number): ReturnType<typeof floats> =>
  floats(
    Array.from({ length: 12 }, (_, i) => Math.cos(i + offset)),
    [6, 2],
    "float64",
  );

const cases: Partial<Record<OpName, Case>> = {
  add: { inputs: { a: [2, 3], b: [3] }, build: ({ a, b }) => a!.add(b!) },
  sub: { inputs: { a: [2, 1, 3], b: [4, 1] }, build: ({ a, b }) => a!.sub(b!) },
  mul: { inputs: { a: [2, 3], b: [2, 1] }, build: ({ a, b }) => a!.mul(b!) },
  div: { inputs: two, offset: 4, build: ({ a, b }) => a!.div(b!) },
  maximum: { inputs: two, build: ({ a, b }) => a!.maximum(b!) },
  neg: { inputs: { a: [3] }, build: ({ a }) => a!.neg() },
  exp: { inputs: { a: [3] }, build: ({ a }) => a!.exp() },
  log: { inputs: { a: [3] }, offset: 4, build: ({ a }) => a!.log() },
  sqrt: { inputs: { a: [3] }, offset: 4, build: ({ a }) => a!.sqrt() },
  sigmoid: { inputs: { a: [3] }, build: ({ a }) => a!.sigmoid() },
  tanh: { inputs: { a: [3] }, build: ({ a }) => a!.tanh() },
  erf: { inputs: { a: [5] }, build: ({ a }) => a!.erf() },
  relu: { inputs: { a: [7] }, build: ({ a }) => a!.relu() },
  silu: { inputs: { a: [3] }, build: ({ a }) => a!.silu() },
  where: { inputs: two, build: ({ a, b }) => a!.less(b!).where(a!.mul(2), b!) },
  cast: { inputs: { a: [3] }, build: ({ a }) => a!.cast("float64").mul(a!) },
  size: { inputs: { a: [2, 3] }, shapes: { a: ["B", 3] }, build: ({ a }) => a!.mean() },
  boundary: { inputs: { a: [3] }, build: ({ a }) => a!.exp().boundary("cut").mul(a!) },
  sum: { inputs: { a: [2, 3, 2] }, build: ({ a }) => a!.sum([0, 2]) },
  mean: { inputs: { a: [2, 3, 2] }, shapes: { a: ["B", "T", 2] }, build: ({ a }) => a!.mean(1, true) },
  max: { inputs: { a: [2, 5] }, build: ({ a }) => a!.max(-1) },
  softmax: { inputs: { a: [2, 4] }, build: ({ a }) => a!.softmax() },
  logSoftmax: { inputs: { a: [2, 4] }, build: ({ a }) => a!.logSoftmax() },
  rmsNorm: { inputs: { x: [2, 3, 4], w: [4] }, build: ({ x, w }) => x!.rmsNorm(w!, 1e-5) },
  reshape: { inputs: { a: [2, 6] }, shapes: { a: ["B", 6] }, build: ({ a }) => a!.reshape(["B", 3, 2]) },
  transpose: { inputs: { a: [2, 3, 4] }, build: ({ a }) => a!.transpose(2, 0, 1) },
  expand: { inputs: { a: [2, 1] }, build: ({ a }) => a!.expand([3, 2, 4]) },
  slice: { inputs: { a: [2, 5] }, shapes: { a: [2, "T"] }, build: ({ a }) => a!.slice(1, 1, "T").mul(a!.slice(1, 0, "T-1")) },
  concat: { inputs: { a: [2, 2], b: [2, 3] }, shapes: { a: [2, "P"], b: [2, "T"] }, build: ({ a, b }) => a!.concat([b!], 1) },
  rows: { inputs: { a: [4, 3] }, fixed: { i: ints([1, 1, 3, 0], [2, 2]) }, build: ({ a, i }) => a!.rows(i!) },
  addRows: { inputs: { a: [4, 2], b: [3, 2] }, fixed: { i: ints([1, 1, 3]) }, build: ({ a, b, i }) => a!.addRows(i!, b!) },
  pick: { inputs: { a: [3, 4] }, fixed: { i: labels }, build: ({ a, i }) => a!.pick(i!) },
  place: { inputs: { a: [3] }, fixed: { i: labels }, build: ({ a, i }) => a!.place(i!, 5) },
  matmul: { inputs: { a: [2, 3, 4], b: [5, 4] }, shapes: { a: ["B", "T", 4] }, build: ({ a, b }) => a!.matmul(b!, { transB: true }) },
  rope: {
    inputs: { x: [2, 2, 3, 4] },
    fixed: { p: ints([0, 1, 2, 3, 4, 5], [2, 3]), cos: table(0), sin: table(1) },
    build: ({ x, p, cos, sin }) => x!.rope(p!, cos!, sin!),
  },
  labelLogProbs: {
    inputs: { h: [3, 4], head: [6, 4] },
    fixed: { i: labels },
    build: ({ h, head, i }) => h!.labelLogProbs(head!, i!).picked,
  },
};

const WITHOUT: Partial<Record<OpName, string>> = {
  less: "a comparison",
  lessOrEqual: "a comparison",
  equal: "a comparison",
  and: "logic",
  constant: "has no inputs",
  argmax: "an index",
  detach: "stops gradients on purpose",
};

describe("gradients in float64", () => {
  afterAll(() => sessions.release());
  it("covers the whole table", () => {
    expect(Object.keys(ops).filter((op) => !cases[op as OpName] && !WITHOUT[op as OpName])).toEqual([]);
  });
  for (const [name, c] of Object.entries(cases))
    for (const executor of ["graph", "blocks"] as const)
      it(`${name} (${executor})`, async () => {
        expect(await gradientError(c, executor)).toBeLessThan(1e-7);
      });
  it("matmul in every orientation", async () => {
    const shapes = { false: { a: [2, 3, 4], b: [2, 4, 5] }, true: { a: [2, 4, 3], b: [2, 5, 4] } };
    for (const transA of [false, true])
      for (const transB of [false, true]) {
        const inputs = { a: shapes[`${transA}`].a, b: shapes[`${transB}`].b };
        expect(await gradientError({ inputs, build: ({ a, b }) => a!.matmul(b!, { transA, transB }) })).toBeLessThan(1e-7);
      }
  });
  // as an embedding that is also the head: whichever gradient comes first, and both being rows
  it.each<[string, Case["build"]]>([
    ["rows, then used whole", ({ a, b, i }) => b!.matmul(a!.rows(i!).concat([a!], 0), { transB: true })],
    ["used whole, then rows", ({ a, b, i }) => b!.matmul(a!, { transB: true }).exp().sum(0).add(a!.rows(i!).sum())],
    [
      "rows twice",
      ({ a, b, i }) =>
        a!
          .rows(i!)
          .mul(a!.rows(i!.add(i!.trace.constant(1, "int64"))).exp())
          .mul(b!),
    ],
  ])("a table: %s", async (_name, build) => {
    const c: Case = { inputs: { a: [4, 2], b: [3, 2] }, fixed: { i: ints([1, 1, 2]) }, build };
    expect(await gradientError(c)).toBeLessThan(1e-7);
    expect(await gradientError(c, "blocks")).toBeLessThan(1e-7);
  });
  it("of a table used whole and by rows, only the rows are added", () => {
    const t = new Trace();
    const table = t.input("table", "float32", [4, 2], "weight");
    const rows = table.rows(t.input("i", "int64", ["M"])).exp();
    const [slope] = grad(rows.sum().add(table.exp().sum()), [table]);
    expect(slope!.node.op).toBe("addRows");
    expect(slope!.node.inputs[0]!.node.op).toBe("mul");
  });
  it("goes red when a gradient is wrong", async () => {
    const broken: Case = { inputs: { a: [3] }, build: ({ a }) => a!.mul(a!.detach()) };
    expect(await gradientError(broken)).toBeGreaterThan(0.1);
  });
});
