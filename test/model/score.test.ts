/** What is told of scored tokens, against plain loops over all logits. */
import { afterAll, describe, expect, it } from "vitest";
import { ints } from "../../src/base/array.ts";
import { traced } from "../../src/model/forward.ts";
import { load } from "../../src/model/load.ts";
import { feedsOf } from "../../src/model/model.ts";
import { promptOf } from "../../src/model/prompt.ts";
import { told, type Told, type ToScore } from "../../src/model/score.ts";
import { program } from "../../src/onnx/program.ts";
import { trace } from "../../src/tensor/graph.ts";

const NAMES = ["logprobs", "ranks", "tops", "peaks", "means", "variances"] as const;

describe("what is told of scored tokens", () => {
  const model = load("bundled");
  afterAll(async () => (await model).release());

  /** Logits [T, V] of one row. */
  async function logitsOf(ids: readonly number[]): Promise<Float64Array[]> {
    const m = await model;
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

  function plainly(logits: Float64Array, label: number): Told {
    const top = Math.max(...logits);
    const all = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0)) + top;
    const logs = Array.from(logits, (x) => x - all);
    const mean = logs.reduce((sum, x) => sum + Math.exp(x) * x, 0);
    return {
      logprobs: logs[label]!,
      ranks: 1 + logs.filter((x) => x > logs[label]!).length,
      tops: logits.indexOf(top),
      peaks: Math.exp(top - all),
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
});
