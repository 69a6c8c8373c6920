/** Losses of an answer's tokens under noise against single traces of each token, and what a trace then watches. */
import { afterAll, describe, expect, it } from "vitest";
import { mean } from "../../src/base/array.ts";
import { defaultContext } from "../../src/base/context.ts";
import { rng } from "../../src/base/rng.ts";
import { lossesUnderNoise } from "../../src/causal/dependence.ts";
import { drawNoise, traceCells } from "../../src/causal/effects.ts";
import { traceOne } from "../../src/causal/trace.ts";
import { requestOf } from "../../src/data/request.ts";
import { load } from "../../src/model/load.ts";
import { tinyModel } from "../train/tiny.ts";

const RUNNING = { dtype: "float64", executor: "graph" } as const;
const ctx = defaultContext();

describe("losses under noise", () => {
  const model = tinyModel(0, { num_hidden_layers: 2 });
  afterAll(() => model.release());

  it("are those of each token traced alone, and the subject is hidden in the answer too", async () => {
    const { ids } = model.tokenizer.encode("What is the capital of Norvane? It is Norvane so");
    const [first, subject] = [ids.length - 4, [3, 4, ids.length - 3]];
    const noise = drawNoise(rng("losses"), 3, subject.length * model.config.width, 2);
    const losses = await lossesUnderNoise(model, { ids, first, subject }, noise, RUNNING);
    expect(losses).toHaveLength(4);
    for (const [i, loss] of losses.entries()) {
      const at = first + i;
      const drowned = subject.filter((one) => one < at);
      const own = noise.map((one) => one.subarray(0, drowned.length * model.config.width));
      const text = { ids: ids.slice(0, at), subject: drowned, label: ids[at]! };
      const { clean, corrupted } = await traceCells(model, text, [], { ...RUNNING, kind: "hidden", window: 1, noise: own, ctx });
      expect(loss).toBeCloseTo(clean - mean(corrupted), 9);
    }
  });
});

describe("what a trace watches where no words are asked for", () => {
  it("a word of its own answer that names no subject and loses at least as much as the others", async () => {
    const model = await load("bundled", ctx);
    try {
      const request = requestOf({ id: "a", prompt: "Tell me about Norvane.", subject: "Norvane" });
      const options = { samples: 2, kind: "mlp", window: 1 } as const;
      const { answer } = await traceOne(model, request, options, ctx);
      expect(answer.isChosen).toBe(true);
      expect(answer.token).toMatch(/[\p{L}\p{N}]/u);
      expect("Norvane").not.toContain(answer.token.trim());
      expect(answer.said.startsWith((answer.lead + answer.token).trim())).toBe(true);
      expect(answer.clean - answer.corrupted).toBeGreaterThan(0.2);
      for (const words of answer.said
        .split(/\s+/)
        .filter((word) => !word.includes("Norvane"))
        .slice(0, 4)) {
        const other = (await traceOne(model, { ...request, answer: words.replace(/\W+$/, "") }, options, ctx)).answer;
        expect(other.isChosen).toBe(false);
        expect(answer.clean - answer.corrupted).toBeGreaterThan(other.clean - other.corrupted - 0.15); // other noises
      }
    } finally {
      await model.release();
    }
  });
});
