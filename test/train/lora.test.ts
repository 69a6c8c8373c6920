/** LoRA: what is added beside a weight is what its edit adds to it, its gradients are right, and the blocks of a model share sessions. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { asFloats, floats, type NdArray } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { apply } from "../../src/edit/apply.ts";
import { type Edit, sign } from "../../src/edit/edit.ts";
import { loadLora, saveLora } from "../../src/edit/lora.ts";
import { linearMaps } from "../../src/model/arch/arch.ts";
import { traced } from "../../src/model/forward.ts";
import { feedsOf, type Model, type Precision, withWeights } from "../../src/model/model.ts";
import { type Executor, program } from "../../src/onnx/program.ts";
import { type Graph, trace } from "../../src/tensor/graph.ts";
import { lowRank } from "../../src/tensor/nn.ts";
import { cut } from "../../src/tensor/split.ts";
import { dropoutFeeds } from "../../src/train/dropout.ts";
import { factorName, type Lora, loraOf, type LoraParams } from "../../src/train/lora.ts";
import { type Recipe, train, type Trained } from "../../src/train/loop.ts";
import { nll } from "../../src/train/objective.ts";
import { RECIPE, tinyModel, tinyRows } from "./tiny.ts";

const PARAMS: LoraParams = { rank: 3, alpha: 6, dropout: 0, targets: [] };
const ctx = defaultContext();
const EXECUTORS: readonly Executor[] = ["graph", "blocks"];
const model = tinyModel(0, { attention_bias: true, mlp_bias: true });
const rows = tinyRows(model).slice(0, 3);
const folder = mkdtempSync(join(tmpdir(), "lethe-lora-train-"));
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await model.release();
});

/** Factors neither of which is zero. */
const drawn = (lora: Lora, dtype: Precision): Map<string, NdArray> =>
  new Map(
    [...lora.start("factors", dtype)].map(([name, { shape, data }]) => {
      const chance = rng(name);
      return [
        name,
        floats(
          Array.from({ length: data.length }, () => chance.normal() / 20),
          shape,
          dtype,
        ),
      ];
    }),
  );

interface Variant {
  readonly dtype?: Precision;
  readonly training?: boolean;
}

/** The loss and the logits at the labels with factors in the trace, or without. */
const lossGraph = (m: Model, lora: Lora | undefined, { dtype = "float64", training = false }: Variant = {}): Graph =>
  trace((t) => {
    const lm = traced(m, t, dtype, {}, lora?.added(t, { training, dtype }) ?? {});
    const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), {
      positions: t.input("positions", "int64", ["B", "T"]),
      real: t.input("real", "bool", ["B", "T"]),
    });
    const normed = lm.normed(hidden, t.input("rows", "int64", ["M"]));
    const loss = normed
      .labelLogProbs(lm.head(), t.input("labels", "int64", ["M"]))
      .picked.mean()
      .neg();
    return { loss, logits: lm.logits(normed) };
  });

const batch = (m: Model): Record<string, NdArray> => {
  let feeds: Readonly<Record<string, NdArray>> = {};
  trace((t) => {
    const lm = traced(m, t);
    const { outputs, feed } = nll.build(lm, () => lm);
    feeds = feed({ model: m, rows, step: rows, dtype: "float32" });
    return outputs;
  });
  const { shares: _, ...rest } = feeds;
  return rest;
};
const sizes = { B: 3, T: batch(model)["tokens"]!.shape[1]! };

async function logits(m: Model, executor: Executor, dtype: Precision, lora?: Lora, factors: ReadonlyMap<string, NdArray> = new Map()) {
  const feeds = feedsOf(m, new Map([...Object.entries(batch(m)), ...factors]));
  return (await program(m.sessions, lossGraph(m, lora, { dtype }), { executor }).run(feeds))["logits"]!;
}

/** The largest difference, relative to the largest number. */
const apart = (a: NdArray, b: NdArray): number => {
  const [x, y] = [asFloats(a, "float64").data, asFloats(b, "float64").data];
  const size = Math.max(...Array.from(y, Math.abs));
  return Math.max(...Array.from(x, (v, i) => Math.abs(v - y[i]!))) / size;
};
const edited = (lora: Lora, factors: ReadonlyMap<string, NdArray>): Edit =>
  sign(
    { change: { kind: "delta", weights: lora.deltas(factors) } },
    {
      base: model.id,
      on: [],
      format: "chat",
      by: { method: "x", params: {}, compat: [], seed: 0, departures: [], requests: [], code: "" },
    },
  );

describe("the declaration", () => {
  test("adapts every linear map of the blocks, or those named by the ends of their names", () => {
    const all = loraOf(model, PARAMS);
    expect([...all.maps.keys()].filter((name) => name.startsWith("blocks.1."))).toEqual(
      ["attn.q", "attn.k", "attn.v", "attn.o", "mlp.gate", "mlp.in", "mlp.out"].map((name) => `blocks.1.${name}`),
    );
    expect(all.maps.size).toBe(14);
    const some = loraOf(model, { ...PARAMS, targets: ["q", "blocks.1.mlp.out"] });
    expect([...some.maps]).toEqual([
      ["blocks.0.attn.q", [32, 32]],
      ["blocks.1.attn.q", [32, 32]],
      ["blocks.1.mlp.out", [32, 48]],
    ]);
  });

  test.each([
    [{ targets: ["attn.qq"] }, /there is no linear map "attn\.qq"; wanted one of attn\.q, attn\.k, .*Did you mean "attn\.q"\?/],
    [{ targets: ["ln1"] }, /there is no linear map "ln1"/],
    [{ targets: ["embed"] }, /there is no linear map "embed"/],
    [{ targets: ["blocks.2.attn.q"] }, /Did you mean "blocks\.0\.attn\.q"\?/],
    [{ rank: 0 }, /a rank of 0/],
    [{ rank: 1.5 }, /a rank of 1\.5/],
    [{ dropout: 1 }, /a dropout of 1/],
  ])("refuses %j", (over, complaint) => {
    expect(() => loraOf(model, { ...PARAMS, ...over })).toThrow(complaint);
  });

  test("begins with A uniform within 1/√in and B zero, each map from a stream of its own", () => {
    const start = loraOf(model, { ...PARAMS, rank: 40 }).start(7);
    const a = start.get(factorName("blocks.0.mlp.out", "a"))!;
    expect(a).toMatchObject({ dtype: "float32", shape: [40, 48] });
    const bound = 1 / Math.sqrt(48);
    const numbers = Array.from(a.data as Float32Array);
    expect(Math.max(...numbers.map(Math.abs))).toBeLessThanOrEqual(bound);
    expect(Math.max(...numbers)).toBeGreaterThan(0.99 * bound);
    const variance = numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length;
    expect(variance / (bound ** 2 / 3)).toBeCloseTo(1, 1);
    expect(start.get(factorName("blocks.0.mlp.out", "b"))!.data).toEqual(new Float32Array(32 * 40));
    const [q, k] = ["q", "k"].map((name) => start.get(factorName(`blocks.0.attn.${name}`, "a"))!.data);
    expect(q).not.toEqual(k);
    expect(
      loraOf(model, { ...PARAMS, rank: 40, targets: ["attn.k"] })
        .start(7)
        .get(factorName("blocks.0.attn.k", "a"))!.data,
    ).toEqual(k);
    expect(
      loraOf(model, { ...PARAMS, rank: 40 })
        .start(8)
        .get(factorName("blocks.0.attn.k", "a"))!.data,
    ).not.toEqual(k);
  });
});

describe("what is added beside a weight", () => {
  const lora = loraOf(model, PARAMS);

  test.each(EXECUTORS)("is what the edit adds to the weight (%s)", async (executor) => {
    const wide = drawn(lora, "float64");
    const edit = edited(lora, wide);
    const merged = await logits(apply(model, edit), executor, "float64");
    expect(apart(await logits(model, executor, "float64", lora, wide), merged)).toBeLessThan(1e-12);
    expect(apart(await logits(model, executor, "float64"), merged)).toBeGreaterThan(0.05);
    const single = drawn(lora, "float32");
    const thin = await logits(model, executor, "float32", lora, single);
    expect(apart(await logits(apply(model, edited(lora, single)), executor, "float32"), thin)).toBeLessThan(1e-5);
    expect(apart(thin, merged)).toBeLessThan(1e-5);
  });

  test("every linear map of a block is asked for by its name", async () => {
    const plain = await logits(model, "graph", "float64");
    for (const name of linearMaps(model).keys()) {
      const one = loraOf(model, { ...PARAMS, targets: [name] });
      expect(apart(await logits(model, "graph", "float64", one, drawn(one, "float64")), plain), name).toBeGreaterThan(1e-6);
    }
  });

  test("with B zero is nothing, to the bit", async () => {
    for (const executor of EXECUTORS)
      expect((await logits(model, executor, "float32", lora, lora.start(0))).data).toEqual((await logits(model, executor, "float32")).data);
  });

  test("to what is no linear map of a block: refused", () => {
    const factors = (name: string, size: number) => () =>
      trace((t) => {
        const added = { [name]: { a: t.input("a", "float32", [2, size]), b: t.input("b", "float32", [size, 2]), scale: 1 } };
        return { y: traced(model, t, "float32", {}, added).head() };
      });
    expect(factors("embed", 32)).toThrow(/an addition to "embed"; wanted a linear map/);
    expect(factors("blocks.0.attn.q", 31)).toThrow(/factors \[31, 2\] · \[2, 31\] for "blocks\.0\.attn\.q"; wanted \[32, 32\]/);
    expect(factors("blocks.0.attn.q", 32)).not.toThrow();
  });

  test.each(EXECUTORS)("has the gradients of finite differences, through dropout too (%s)", async (executor) => {
    const dropping = loraOf(model, { ...PARAMS, dropout: 0.3 });
    const graph = lossGraph(model, dropping, { training: true });
    const factors = drawn(dropping, "float64");
    const wrt = [...factors.keys()];
    const feeds = feedsOf(
      model,
      new Map([...Object.entries(batch(model)), ...factors, ...Object.entries(dropoutFeeds(graph, { seed: 0, step: 1, pass: 0 }, sizes))]),
    );
    const analytic = await program(model.sessions, graph, { executor, grad: { of: "loss", wrt } }).run(feeds);
    const forward = program(model.sessions, graph);
    const lossAt = async (): Promise<number> => Number((await forward.run(feeds))["loss"]!.data[0]);
    const chance = rng("places");
    for (const name of wrt) {
      const [data, g] = [factors.get(name)!.data as Float64Array, analytic[`grad:${name}`]!.data as Float64Array];
      const scale = Math.max(...g.map(Math.abs));
      expect(scale, name).toBeGreaterThan(1e-6);
      for (let i = 0; i < 4; i++) {
        const [at, h] = [chance.below(data.length), 1e-4];
        const keep = data[at]!;
        data[at] = keep + h;
        const up = await lossAt();
        data[at] = keep - h;
        const down = await lossAt();
        data[at] = keep;
        expect(Math.abs((up - down) / (2 * h) - g[at]!) / scale, `${name} ${at}`).toBeLessThan(1e-6);
      }
    }
  });
});

describe("blocks", () => {
  /** Distinct programs of a cut graph, and of the sessions that a pass with gradients asks for. */
  async function programs(layers: number, over?: Partial<LoraParams>): Promise<[segments: number, sessions: number]> {
    const m = tinyModel(0, { num_hidden_layers: layers });
    const lora = loraOf(m, { ...PARAMS, ...over });
    const graph = lossGraph(m, lora, { dtype: "float32", training: true });
    const segments = cut(graph).map((s) => s.graph.hash);
    expect(segments).toHaveLength(layers + 2);
    const asked = vi.spyOn(m.sessions, "use");
    const factors = drawn(lora, "float32");
    const feeds = new Map([
      ...Object.entries(batch(m)),
      ...factors,
      ...Object.entries(dropoutFeeds(graph, { seed: 0, step: 1, pass: 0 }, sizes)),
    ]);
    await program(m.sessions, graph, { executor: "blocks", grad: { of: "loss", wrt: [...factors.keys()] } }).run(feedsOf(m, feeds));
    const sessions = new Set(asked.mock.calls.map(([g]) => g.hash));
    await m.release();
    return [new Set(segments).size, sessions.size];
  }

  test.each([{}, { dropout: 0.1 }, { targets: ["attn.q", "mlp.out"], dropout: 0.1 }])(
    "of a model share their sessions, forward and backward, with %j",
    async (over) => {
      const few = await programs(3, over);
      expect(await programs(6, over)).toEqual(few);
      expect(few[0]).toBe(3); // what is before the blocks, they, the head
    },
  );

  test("that are adapted and that are not are two programs", async () => {
    const [segments] = await programs(6, { targets: ["blocks.2.attn.q", "blocks.3.attn.q"] });
    expect(segments).toBe((await programs(6))[0] + 1);
  });
});

describe("dropout", () => {
  const hash = (over: Partial<LoraParams>, training: boolean): string =>
    lossGraph(model, loraOf(model, { ...PARAMS, ...over }), { training }).hash;

  test("of 0 builds no mask, nor does any rate outside training", () => {
    expect(hash({ dropout: 0 }, true)).toBe(hash({ dropout: 0 }, false));
    expect(hash({ dropout: 0.2 }, false)).toBe(hash({ dropout: 0 }, false));
    expect(hash({ dropout: 0.2 }, true)).not.toBe(hash({ dropout: 0 }, true));
  });

  test("lets through what it keeps, divided by 1 − rate", async () => {
    const lora = loraOf(model, { rank: 32, alpha: 16, dropout: 0.25, targets: ["blocks.0.attn.q"] });
    const name = "blocks.0.attn.q";
    const graph = trace((t) => ({
      y: lowRank(t.input("x", "float64", ["B", "T", 32]), lora.added(t, { training: true, dtype: "float64" })[name]!),
    }));
    const identity = floats(
      Array.from({ length: 32 * 32 }, (_, i) => Number(i % 33 === 0)),
      [32, 32],
      "float64",
    );
    const x = floats(
      Array.from({ length: 2 * 25 * 32 }, (_, i) => i + 1),
      [2, 25, 32],
      "float64",
    );
    const masks = dropoutFeeds(graph, { seed: 0, step: 0, pass: 0 }, { B: 2, T: 25 });
    const factors = [factorName(name, "a"), factorName(name, "b")].map((key) => [key, identity] as const);
    const { y } = await program(model.sessions, graph).run(new Map([["x", x], ...factors, ...Object.entries(masks)]));
    const ratios = Array.from(y!.data as Float64Array, (v, i) => v / (i + 1));
    const kept = ratios.filter((r) => r !== 0);
    for (const r of kept) expect(r).toBeCloseTo(16 / 32 / 0.75, 12);
    expect(Math.abs(kept.length / ratios.length - 0.75)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / ratios.length));
  });
});

describe("trained", () => {
  const recipe = (executor: Executor): Recipe => ({
    ...RECIPE,
    steps: 16,
    executor,
    budget: 40,
    schedule: { lr: 0.02, warmup: 0, shape: "constant", floor: 0 },
    lora: { ...PARAMS, dropout: 0.1 },
  });

  async function finish(events: ReturnType<typeof train>): Promise<Trained> {
    for (;;) {
      const { value, done } = await events.next();
      if (done) return value;
    }
  }

  test.each(EXECUTORS)("the loss falls, and a run that was cut ends in the same bits (%s)", async (executor) => {
    const whole = await finish(train(model, rows, recipe(executor), ctx));
    expect(whole.losses.at(-1)).toBeLessThan(whole.losses[0]! - 0.3);
    const at = join(folder, `cut-${executor}`);
    const first = train(model, rows, recipe(executor), ctx, { folder: at, every: 7 });
    for (;;) {
      const { value, done } = await first.next();
      if (done || value.kind === "checkpoint") break;
    }
    await first.return(whole);
    const rest = await finish(train(model, rows, recipe(executor), ctx, { folder: at, every: 7 }));
    expect(rest.losses).toEqual(whole.losses);
    expect([...rest.numbers]).toEqual([...whole.numbers]);
  });

  test("without dropout both executors and every cut into passes agree", async () => {
    const plain = (executor: Executor, budget: number): Recipe => ({ ...recipe(executor), budget, lora: { ...PARAMS, dropout: 0 } });
    const [one, other] = await Promise.all([
      finish(train(model, rows, plain("graph", 4096), ctx)),
      finish(train(model, rows, plain("blocks", 40), ctx)),
    ]);
    one.losses.forEach((loss, i) => expect(Math.abs(loss - other.losses[i]!)).toBeLessThan(2e-4));
  });

  test("it is an edit, which goes to PEFT's format and back with the same logits", async () => {
    const lora = loraOf(model, { ...PARAMS, dropout: 0.1 });
    const { numbers, weights } = await finish(train(model, rows, recipe("graph"), ctx));
    const edit = edited(lora, new Map(numbers));
    const beside = await logits(model, "graph", "float32", lora, numbers);
    const merged = await logits(apply(model, edit), "graph", "float32");
    expect(apart(merged, beside)).toBeLessThan(1e-5);
    expect(await logits(withWeights(model, weights), "graph", "float32")).toEqual(merged);
    expect(apart(merged, await logits(model, "graph", "float32"))).toBeGreaterThan(0.05);
    saveLora(folder, model, [edit]);
    expect(await logits(apply(model, loadLora(folder, model)), "graph", "float32")).toEqual(merged);
  });
});
