/** Linear maps of blocks: what goes in and comes out is read, differentiated and rewritten by the name of the weight. */
import { afterAll, describe, expect, test } from "vitest";
import { asFloats, floats, ints, type NdArray, zeros } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { linearMaps } from "../../src/model/arch/arch.ts";
import { type Given, type Maps, traced, type TracedModel } from "../../src/model/forward.ts";
import { load } from "../../src/model/load.ts";
import { feedsOf, type Model, withWeights } from "../../src/model/model.ts";
import { type ActivationName, siteName } from "../../src/model/names.ts";
import { type Executor, program } from "../../src/onnx/program.ts";
import type { Shape } from "../../src/tensor/dim.ts";
import { type Graph, trace } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Trace } from "../../src/tensor/trace.ts";
import { tinyModel } from "../train/tiny.ts";

const bundled = await load("bundled", defaultContext());
const random = rng("maps");
const drawn = (shape: readonly number[], scale = 0.1): NdArray =>
  floats(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    shape,
    "float64",
  );
/** A model with a bias on every linear map, drawn, since training begins with zeros. */
const biased = ((): Model => {
  const plain = tinyModel(0, { attention_bias: true, mlp_bias: true });
  const biases = [...plain.weights].filter(([name]) => name.endsWith(".bias"));
  return withWeights(plain, new Map(biases.map(([name, { shape }]) => [name, asFloats(drawn(shape), "float32")])));
})();
afterAll(() => Promise.all([bundled.release(), biased.release()]));

const IDS = [
  [5, 9, 20, 31, 7],
  [8, 3, 50, 2, 44],
];
const [B, T] = [IDS.length, IDS[0]!.length];
const TOKENS = {
  tokens: ints(IDS.flat(), [B, T]),
  positions: ints(
    IDS.flatMap((row) => [...row.keys()]),
    [B, T],
  ),
};

/** A pass in float64 over the whole model with taps on maps. */
function passed(
  model: Model,
  maps: (t: Trace) => Maps,
  outputs: (lm: TracedModel, hidden: Tensor) => Record<string, Tensor>,
  given: Partial<Given> = {},
): Graph {
  return trace((t) => {
    const lm = traced(model, t, "float64");
    const positions = t.input("positions", "int64", ["B", "T"]);
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { ...given, positions, maps: maps(t) });
    return outputs(lm, hidden);
  });
}
const logitsOf = (lm: TracedModel, hidden: Tensor): Record<string, Tensor> => ({ logits: lm.logits(lm.normed(hidden)) });

/** Taps that note inputs as "x:NAME" and outputs as "y:NAME". */
function noting(names: readonly string[]): { readonly maps: Maps; readonly seen: Record<string, Tensor> } {
  const seen: Record<string, Tensor> = {};
  const maps = names.map((name) => [
    name,
    { input: (x: Tensor) => (seen[`x:${name}`] = x), output: (y: Tensor) => (seen[`y:${name}`] = y) },
  ]);
  return { maps: Object.fromEntries(maps) as Maps, seen };
}

const run = (model: Model, graph: Graph, more: Record<string, NdArray> = {}, executor: Executor = "graph") =>
  program(model.sessions, graph, { executor }).run(feedsOf(model, { ...TOKENS, ...more }));

const worst = (a: NdArray, b: NdArray): number =>
  Math.max(...Array.from(a.data as Float64Array, (x, i) => Math.abs(x - Number(b.data[i]))));

/** x [..., in] · Wᵀ + bias, one product after the other. */
function product(x: NdArray, weight: NdArray, bias: NdArray | undefined): NdArray {
  const [out, width] = weight.shape as [number, number];
  const rows = x.data.length / width;
  const y = new Float64Array(rows * out);
  for (let r = 0; r < rows; r++)
    for (let o = 0; o < out; o++) {
      let sum = bias ? Number(bias.data[o]) : 0;
      for (let i = 0; i < width; i++) sum += Number(x.data[r * width + i]) * Number(weight.data[o * width + i]);
      y[r * out + o] = sum;
    }
  return floats(y, [...x.shape.slice(0, -1), out], "float64");
}

describe.each([
  ["bundled", bundled],
  ["with biases", biased],
] as const)("a linear map of the model %s", (_, model) => {
  const names = [...linearMaps(model).keys()];
  const wide = (name: string): NdArray | undefined => {
    const stored = model.weights.get(name);
    return stored && asFloats(stored, "float64");
  };

  test.each(["graph", "blocks"] as const)("gives its input times its weight, plus its bias (%s)", async (executor) => {
    const { maps, seen } = noting(names);
    const graph = passed(
      model,
      () => maps,
      () => seen,
    );
    const out = await run(model, graph, {}, executor);
    expect(Object.keys(out)).toHaveLength(2 * names.length);
    for (const name of names) {
      const wanted = product(out[`x:${name}`]!, wide(name)!, wide(`${name}.bias`));
      expect(out[`y:${name}`]!.shape).toEqual(wanted.shape);
      expect(worst(out[`y:${name}`]!, wanted), name).toBeLessThan(1e-11);
    }
  });

  test("that is only read leaves the program as it is", () => {
    const { maps } = noting(names);
    const [read, plain] = [maps, {}].map((of) => passed(model, () => of, logitsOf).hash);
    expect(read).toBe(plain);
  });

  /** Taps that add an input "add:NAME" to each output, and what feeds them: zeros but for one. */
  const adding = (some: readonly string[], rank: "output" | "weight") => ({
    maps: (t: Trace): Maps =>
      Object.fromEntries(
        some.map((name) => {
          const input = (shape: Shape): Tensor => t.input(`add:${name}`, "float64", shape);
          const output = (y: Tensor, x: Tensor): Tensor =>
            y.add(rank === "output" ? input(y.shape) : x.matmul(input(linearMaps(model).get(name)!), { transB: true }));
          return [name, { output }];
        }),
      ),
    feeds: (one: string, array: NdArray): Record<string, NdArray> =>
      Object.fromEntries(
        some.map((name) => {
          const [out, width] = linearMaps(model).get(name)!;
          return [`add:${name}`, name === one ? array : zeros("float64", rank === "output" ? [B, T, out] : [out, width])];
        }),
      ),
  });

  test.each(["graph", "blocks"] as const)("has the gradient of finite differences at its output (%s)", async (executor) => {
    // several at once, of which one depends on another
    const some = names.filter((name) => /^blocks\.[01]\./.test(name));
    const { maps, seen } = noting(some);
    const loss = (lm: TracedModel, hidden: Tensor): Record<string, Tensor> => ({
      loss: lm.logits(lm.normed(hidden)).logSoftmax().slice(1, 17, 18).sum().neg(),
    });
    const graph = passed(
      model,
      () => maps,
      (lm, hidden) => ({ ...loss(lm, hidden), ...seen }),
    );
    const wrt = some.map((name) => `y:${name}`);
    const slopes = await program(model.sessions, graph, { executor, grad: { of: "loss", wrt } }).run(feedsOf(model, TOKENS));
    const shifts = adding(some, "output");
    const shifted = passed(model, shifts.maps, loss);
    for (const name of some) {
      const slope = slopes[`grad:y:${name}`]!;
      expect(slope.shape).toEqual(slopes[`y:${name}`]!.shape);
      const direction = drawn(slope.shape, 1);
      const at = async (h: number): Promise<number> => {
        const shift = { ...direction, data: (direction.data as Float64Array).map((x) => h * x) };
        return Number((await run(model, shifted, shifts.feeds(name, shift)))["loss"]!.data[0]);
      };
      const h = 1e-4;
      const numeric = ((await at(h)) - (await at(-h))) / (2 * h);
      const analytic = (slope.data as Float64Array).reduce((sum, x, i) => sum + x * Number(direction.data[i]), 0);
      expect(Math.abs(analytic), name).toBeGreaterThan(1e-6);
      expect(Math.abs(numeric - analytic) / Math.abs(analytic), name).toBeLessThan(1e-5);
    }
  });

  test("whose output is rewritten changes what follows as another weight does", async () => {
    const some = names.filter((name) => name.startsWith("blocks.1."));
    const deltas = adding(some, "weight");
    const rewriting = passed(model, deltas.maps, logitsOf);
    const plain = passed(model, () => ({}), logitsOf);
    const before = (await run(model, plain))["logits"]!;
    for (const name of some) {
      const delta = drawn(linearMaps(model).get(name)!);
      const after = (await run(model, rewriting, deltas.feeds(name, delta)))["logits"]!;
      const { data } = wide(name)!;
      const weight = floats(
        (delta.data as Float64Array).map((x, i) => x + Number(data[i])),
        delta.shape,
        "float64",
      );
      const changed = withWeights(model, new Map([[name, weight]]));
      const wanted = (
        await run(
          changed,
          passed(changed, () => ({}), logitsOf),
        )
      )["logits"]!;
      expect(worst(after, wanted), name).toBeLessThan(1e-10);
      expect(worst(after, before), name).toBeGreaterThan(1e-6);
    }
  });

  test("whose input is rewritten sees another input, and no other map does", async () => {
    const [q, k] = ["blocks.1.attn.q", "blocks.1.attn.k"] as const;
    const { maps, seen } = noting([k]);
    const halved = passed(
      model,
      () => ({ ...maps, [q]: { input: (x) => x.mul(0.5), output: (y, x) => ((seen[`x:${q}`] = x), (seen[`y:${q}`] = y)) } }),
      () => seen,
    );
    const out = await run(model, halved);
    const half = { ...out[`x:${k}`]!, data: (out[`x:${k}`]!.data as Float64Array).map((x) => x / 2) };
    expect(worst(out[`x:${q}`]!, half)).toBe(0);
    expect(worst(out[`y:${q}`]!, product(half, wide(q)!, wide(`${q}.bias`)))).toBeLessThan(1e-11);
  });

  test("is read with what is added beside its weight", async () => {
    const name = "blocks.0.mlp.in";
    const [rows, columns] = linearMaps(model).get(name)!;
    const factors = { a: drawn([2, columns]), b: drawn([rows, 2]) };
    const graph = trace((t) => {
      const { maps, seen } = noting([name]);
      const [a, b] = [t.input("a", "float64", [2, columns]), t.input("b", "float64", [rows, 2])];
      const lm = traced(model, t, "float64", {}, { [name]: { a, b, scale: 3 } });
      lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]), maps });
      return seen;
    });
    const out = await run(model, graph, factors);
    const [plain, low] = [
      product(out[`x:${name}`]!, wide(name)!, wide(`${name}.bias`)),
      product(product(out[`x:${name}`]!, factors.a, undefined), factors.b, undefined),
    ];
    const wanted = { ...plain, data: (plain.data as Float64Array).map((x, i) => x + 3 * Number(low.data[i])) };
    expect(worst(out[`y:${name}`]!, wanted)).toBeLessThan(1e-11);
  });
});

test.each(["graph", "blocks"] as const)("an activation that leaves its block has a gradient too (%s)", async (executor) => {
  const [below, between] = [0, 1].map((layer) => siteName(layer, "resid_post")) as [ActivationName, ActivationName];
  const graph = (isShifted: boolean): Graph =>
    trace((t) => {
      const lm = traced(bundled, t, "float64");
      const seen: Record<string, Tensor> = {};
      const tap =
        (name: string) =>
        (h: Tensor): Tensor =>
          (seen[name] = isShifted && name === below ? h.add(t.input("shift", "float64", h.shape)) : h);
      const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
        positions: t.input("positions", "int64", ["B", "T"]),
        taps: { [below]: tap(below), [between]: tap(between) },
      });
      return { loss: lm.normed(hidden).square().sum().add(seen[below]!.square().sum()), ...seen };
    });
  const wrt = [below, between];
  const out = await program(bundled.sessions, graph(false), { executor, grad: { of: "loss", wrt } }).run(feedsOf(bundled, TOKENS));
  const slope = out[`grad:${below}`]!;
  const shifted = graph(true);
  const direction = drawn(slope.shape, 1);
  const at = async (h: number): Promise<number> => {
    const shift = { ...direction, data: (direction.data as Float64Array).map((x) => h * x) };
    return Number((await run(bundled, shifted, { shift }))["loss"]!.data[0]);
  };
  const numeric = ((await at(1e-4)) - (await at(-1e-4))) / 2e-4;
  const analytic = (slope.data as Float64Array).reduce((sum, x, i) => sum + x * Number(direction.data[i]), 0);
  expect(Math.abs(numeric - analytic) / Math.abs(analytic)).toBeLessThan(1e-6);
  expect(out[`grad:${between}`]!.shape).toEqual(slope.shape);
});

describe("refused is", () => {
  const passOver =
    (name: string, from = 0, to = 2) =>
    (): Graph =>
      trace((t) => {
        const lm = traced(bundled, t);
        const positions = t.input("positions", "int64", ["B", "T"]);
        return {
          x: lm.blocks(t.input("x", "float32", ["B", "T", bundled.config.width]), from, to, { positions, maps: { [name]: {} } }).hidden,
        };
      });

  test.each([
    ["blocks.1.attn.qq", /a tap on "blocks\.1\.attn\.qq"; wanted a linear map of a block\. Did you mean "blocks\.1\.attn\.q"\?/],
    ["blocks.1.ln1", /a tap on "blocks\.1\.ln1"; wanted a linear map of a block\. Did you mean/],
    ["embed", /a tap on "embed"; wanted a linear map of a block/],
    ["blocks.9.attn.q", /a tap on "blocks\.9\.attn\.q"; wanted a linear map of a block\. Did you mean "blocks\.\d\.attn\.q"\?/],
    ["blocks.2.attn.q", /a tap on "blocks\.2\.attn\.q"; wanted a linear map of blocks 0 to 1\. This pass goes through no other block/],
  ])("%s", (name, complaint) => {
    expect(passOver(name)).toThrow(complaint);
  });

  test("nothing of the blocks that a pass goes through", () => {
    expect(passOver("blocks.2.attn.q", 2, 3)).not.toThrow();
    expect(passOver("blocks.1.attn.q", 2, 3)).toThrow(/blocks 2 to 2/);
  });
});
