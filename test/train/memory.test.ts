/** Where a store puts its arrays, what it refuses, and that ONNX Runtime reads them there. */
import { afterAll, expect, test } from "vitest";
import { floats } from "../../src/base/array.ts";
import { type LetheError } from "../../src/base/fail.ts";
import { program } from "../../src/onnx/program.ts";
import { Sessions } from "../../src/onnx/session.ts";
import { trace } from "../../src/tensor/graph.ts";
import { type Parameter, parameterStore } from "../../src/train/parameter-store.ts";
import { sgd } from "../../src/train/optim.ts";

const sessions = new Sessions(1);
afterAll(() => sessions.release());

const arraysOf = ({ weight, gradient, moments }: Parameter): (Float32Array | Float64Array)[] => [
  weight,
  gradient,
  ...Object.values(moments),
];

const NAMES = [
  ["head", [5, 7]],
  ["norm", [3]],
  ["empty", [0, 4]],
  ["layer", [64, 64]],
] as const;

test("arrays are zeros of their shape, at multiples of 16 bytes, apart from each other and from the scratch", () => {
  const store = parameterStore(NAMES, { moments: ["first", "second"] });
  expect([...store.keys()]).toEqual(NAMES.map(([name]) => name));
  const kernels = store.get("head")!.kernels!;
  const taken = new Uint8Array(kernels.buffer.byteLength);
  for (const array of [kernels.scratch, ...[...store.values()].flatMap(arraysOf)]) {
    expect(array.buffer).toBe(kernels.buffer);
    expect(array.byteOffset % 16).toBe(0);
    expect(array.every((x) => x === 0)).toBe(true);
    const range = taken.subarray(array.byteOffset, array.byteOffset + array.byteLength);
    expect(range.includes(1)).toBe(false);
    range.fill(1);
  }
  const { weight, moments, array } = store.get("layer")!;
  expect(Object.keys(moments)).toEqual(["first", "second"]);
  expect(array).toEqual({ dtype: "float32", shape: [64, 64], data: weight });
  expect(array.data).toBe(weight);
});

test("a memory that is full is followed by another; what belongs together stays together", () => {
  const names = Array.from({ length: 7 }, (_, i) => [`w${i}`, [1000, 9 + i]] as const);
  const store = parameterStore(names, { moments: ["first"], most: 400_000 });
  const buffers = [...store.values()].map((parameter) => {
    const own = new Set(arraysOf(parameter).map(({ buffer }) => buffer));
    expect([...own]).toEqual([parameter.kernels!.buffer]);
    return parameter.kernels!.buffer;
  });
  // 64 KiB of scratch and 12,000 bytes a column: 27 columns a memory
  expect(buffers.map((buffer) => buffers.indexOf(buffer))).toEqual([0, 0, 2, 2, 4, 4, 6]);
});

test("what is too large for a memory, and float64, lies in plain arrays without kernels", () => {
  const store = parameterStore(
    [
      ["small", [10]],
      ["large", [40_000]],
    ],
    { moments: ["first"], most: 400_000 },
  );
  expect([...store].map(([name, { kernels }]) => [name, kernels !== undefined])).toEqual([
    ["small", true],
    ["large", false],
  ]);
  expect(store.get("large")!.weight).toEqual(new Float32Array(40_000));
  const { weight, moments, kernels, array } = parameterStore(NAMES, { moments: ["first"], dtype: "float64" }).get("head")!;
  expect([weight, moments["first"], kernels, array.dtype]).toEqual([new Float64Array(35), new Float64Array(35), undefined, "float64"]);
});

test("a refusal says how much was asked for", () => {
  const ask = (most: number) => () => parameterStore([["huge", [2 ** 18, 2 ** 13]]], { moments: [], most });
  expect(ask(2 ** 36)).toThrow(/parameters: the system refuses 16\.00 GiB \(.+\); wanted memory for weights/);
  expect(ask(2 ** 36)).toThrow(expect.objectContaining({ trouble: "memory" }) as LetheError);
  expect(() => parameterStore([["huge", [2 ** 40, 2 ** 12]]], { moments: [] })).toThrow(/the system refuses/);
});

test("ONNX Runtime reads a weight where it lies, at an offset, and sees what a kernel writes", async () => {
  const store = parameterStore(NAMES, { moments: [] });
  const { weight, gradient, kernels, array } = store.get("head")!;
  expect(weight.byteOffset).toBeGreaterThan(0);
  weight.forEach((_, i) => (weight[i] = i));
  gradient.fill(1);
  const graph = trace((t) => ({ y: t.input("x", "float32", ["B", 7]).matmul(t.input("head", "float32", [5, 7]).transpose(1, 0)) }));
  const run = program(sessions, graph);
  const feeds = new Map([
    ["x", floats([1, 0, 0, 0, 0, 0, 2], [1, 7])],
    ["head", array],
  ]);
  expect([...(await run.run(feeds))["y"]!.data]).toEqual([12, 33, 54, 75, 96]);
  sgd({ momentum: 0, decay: 0 }).update({ weight, gradient, moments: {}, kernels, step: 1, lr: 1, scale: 1, decays: false });
  expect([...(await run.run(feeds))["y"]!.data]).toEqual([9, 30, 51, 72, 93]);
});
