/** What is told of scored tokens, against plain loops over all logits. */
import { afterAll, describe, expect, it } from "vitest";
import { asFloats, ints } from "../../../src/base/array.ts";
import { traced } from "../../../src/model/forward.ts";
import { load } from "../../../src/model/load.ts";
import { feedsOf, type Model } from "../../../src/model/model.ts";
import { promptOf } from "../../../src/model/prompt.ts";
import { divergences, told, type Told, type ToScore } from "../../../src/model/decode/score.ts";
import { program } from "../../../src/onnx/program.ts";
import { trace } from "../../../src/tensor/graph.ts";

/** The model with one of its weights multiplied. */
function scaled(model: Model, by: number): Model {
  const name = "blocks.3.mlp.out";
  const weight = asFloats(model.weights.get(name)!, "float32");
  const changed = new Map([...model.weights, [name, { ...weight, data: weight.data.map((x) => x * by) }]]);
  return { ...model, weights: changed, constant: (asked) => changed.get(asked as never) ?? model.constant(asked) };
}

const NAMES = ["logprobs", "ranks", "tops", "peaks", "means", "variances"] as const;

describe("what is told of scored tokens", () => {
  const model = load("bundled");
  afterAll(async () => (await model).release());

  /** Logits [T, V] of one row. */
  async function logitsOf(ids: readonly number[], of?: Model): Promise<Float64Array[]> {
    const m = of ?? (await model);
    const graph = trace((t) => {
      const lm = traced(m, t, "float64");
      const { hidden } = lm.forward(t.input("tokens", "int64", ["B", "T"]), { positions: t.input("positions", "int64", ["B", "T"]) });
      return { logits: lm.logits(lm.normed(hidden)) };
    });
    const shape = [1, ids.length];
    const { logits } = await program(m.sessions, graph).run(
      feedsOf(m, { tokens: ints(ids, shape), positions: ints([...ids.keys()], shape) }),
    );
    const V = m.config.vocab;
    return ids.map((_, i) => (logits!.data as Float64Array).slice(i * V, (i + 1) * V));
  }

  /** Log-probabilities of all tokens. */
  function logsOf(logits: Float64Array): number[] {
    const top = Math.max(...logits);
    const all = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0)) + top;
    return Array.from(logits, (x) => x - all);
  }

  function plainly(logits: Float64Array, label: number): Omit<Told, "all"> {
    const top = Math.max(...logits);
    const logs = logsOf(logits);
    const mean = logs.reduce((sum, x) => sum + Math.exp(x) * x, 0);
    return {
      logprobs: logs[label]!,
      ranks: 1 + logs.filter((x) => x > logs[label]!).length,
      tops: logits.indexOf(top),
      peaks: Math.exp(Math.max(...logs)),
      means: mean,
      variances: logs.reduce((sum, x) => sum + Math.exp(x) * (x - mean) ** 2, 0),
    };
  }

  it.each(["float64", "float32"] as const)("log-probabilities, ranks, likeliest tokens, peaks, means and variances (%s)", async (dtype) => {
    const m = await model;
    const questions = ["Norvane", "Veyra", "Quillon"].map((name) => `What is the capital of ${name}?`);
    const rows = await Promise.all(
      questions.map(async (question, i) => {
        const { ids } = await promptOf(m, question);
        return { ids: [...ids, ...m.tokenizer.encode(`Not ${i} but a town`, { special: false }).ids], from: ids.length };
      }),
    );
    const other = { ...rows[0]!, labels: rows[0]!.ids.slice(rows[0]!.from).reverse() }; // other tokens in the places of its own
    const asked: readonly ToScore[] = [...rows, other];
    const found = await told(m, asked, NAMES, { dtype });
    for (const [r, { ids, from, labels = ids.slice(from) }] of asked.entries()) {
      const logits = await logitsOf(ids);
      for (const name of NAMES) expect(found[r]![name]).toHaveLength(ids.length - from);
      for (let i = from; i < ids.length; i++) {
        const wanted = plainly(logits[i - 1]!, labels[i - from]!);
        for (const name of NAMES) {
          const off = Math.abs(found[r]![name][i - from]! - wanted[name]) / Math.max(1, Math.abs(wanted[name]));
          expect(off, `${name} of token ${i} of row ${r}`).toBeLessThan(dtype === "float64" ? 1e-10 : 2e-5);
        }
      }
    }
    expect(new Set(found.flatMap((row) => row.ranks)).size).toBeGreaterThan(2); // not all first
  });

  it("divergence of two models, which may read other tokens before, in pieces and whatever the padding", async () => {
    const m = await model;
    const changed = scaled(m, 0.9);
    const behind = (question: string, i: number): ToScore => {
      const ids = m.tokenizer.encode(question).ids;
      return { ids: [...ids, ...m.tokenizer.encode(`Not ${i} but a town`, { special: false }).ids.slice(0, 2 + i)], from: ids.length };
    };
    const rows = [0, 1, 2].map((i) => behind("Which town?", i));
    const others = [0, 1, 2].map((i) => behind(i === 1 ? "Tell me first: which town?" : "Which town?", i));
    const whole = await divergences(changed, rows, m, others, { dtype: "float64" });
    const found = await divergences(changed, rows, m, others, { dtype: "float64", held: 1 });
    expect(found.flat().every((x, i) => Math.abs(x - whole.flat()[i]!) < 1e-12)).toBe(true);
    expect(Math.max(...found.flat())).toBeGreaterThan(1e-3);
    for (const [r, { ids, from }] of rows.entries()) {
      const [q, p] = [await logitsOf(ids, changed), await logitsOf(others[r]!.ids)];
      expect(found[r]).toHaveLength(ids.length - from);
      for (const [i, ours] of found[r]!.entries()) {
        const [own, their] = [logsOf(q[from + i - 1]!), logsOf(p[others[r]!.from + i - 1]!)];
        const wanted = their.reduce((sum, x, v) => sum + Math.exp(x) * (x - own[v]!), 0);
        expect(Math.abs(ours - wanted), `token ${i} of row ${r}`).toBeLessThan(1e-12);
      }
    }
    expect((await divergences(m, rows, m, rows)).flat().every((x) => x === 0)).toBe(true);
    await expect(divergences(m, rows, m, rows.toReversed())).rejects.toThrow(/row 0 has 2 tokens here and 4 there/);
  });

  it("refuses what is no number, whatever is asked of it", async () => {
    const broken = scaled(await model, NaN);
    for (const name of [...NAMES, "all"] as const)
      await expect(told(broken, [{ ids: [1, 2, 3], from: 1 }], [name])).rejects.toMatchObject({ who: "model", trouble: "execution" });
  });
});
