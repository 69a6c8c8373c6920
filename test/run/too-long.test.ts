/**
 * What is longer than a model's context: the same words name it, whatever the method, the suite or the command, before anything costs time.
 */
import { afterAll, describe, expect, test } from "vitest";
import { defaultContext } from "../../src/base/context.ts";
import { LetheError } from "../../src/base/fail.ts";
import { traceOne } from "../../src/causal/trace.ts";
import { measure } from "../../src/eval/measure.ts";
import { activations } from "../../src/locate/keys.ts";
import { tokenizeRequest } from "../../src/locate/tokenized-requests.ts";
import { score } from "../../src/model/decode/score.ts";
import { load } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { promptWithoutEdits } from "../../src/model/prompt.ts";
import { findEdit } from "../../src/run/edit.ts";
import { FACT, SAY } from "../conformance/method.ts";

const ctx = defaultContext({ threads: 1 });
const loaded = load("bundled", ctx);
afterAll(async () => (await loaded).release());

/** The fact's question behind so many words that the whole prompt has this many tokens. */
function ofLength(model: Model, tokens: number): typeof FACT {
  const lengthOf = (words: number): number => promptWithoutEdits(model, "the ".repeat(words) + FACT.prompt).ids.length;
  const words = 1 + tokens - lengthOf(1);
  expect(lengthOf(words)).toBe(tokens);
  return { ...FACT, id: "long", prompt: "the ".repeat(words) + FACT.prompt };
}

async function refusal(work: () => Promise<unknown>): Promise<LetheError> {
  const error = await work().then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(LetheError);
  return error as LetheError;
}

describe("a request that does not fit with what it is to say", () => {
  test.each(["rome", "memit", "alphaedit", "ft", "grace", "hush", "wise", "ike", "rmu", "npo"])("%s", async (method) => {
    const model = await loaded;
    const began = performance.now();
    const request = ofLength(model, model.config.context - 1);
    const error = await refusal(() => findEdit(model, request, { method, say: SAY, ctx, seed: 0 }));
    expect(error).toMatchObject({ who: "forget", trouble: "usage", hint: "Shorten or split it." });
    expect(error.message).toMatch(/request "long" of \d+ tokens; wanted at most the model's context length of 512/);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test("behind what stands before it: a context template, and demonstrations", async () => {
    const model = await loaded;
    const request = ofLength(model, model.config.context - 40);
    const template = `${"old ".repeat(60)}{}`;
    const asked = { ...request, target: SAY };
    expect(() => tokenizeRequest(model, asked, ["{}", template], { end: true })).toThrow(
      /request "long" behind a context template of \d+ tokens; wanted at most/,
    );
    const error = await refusal(() => findEdit(model, request, { method: "ike", say: SAY, params: { k: 0 }, ctx, seed: 0 }));
    expect(error.message).toMatch(/ike: .*request "long" of \d+ tokens with the new fact before it; wanted at most 448/);
  });
});

describe("what is measured, traced and read", () => {
  const measured = async (
    model: Model,
    tokens: number,
    field: "generation" | "answerLoss" | "wrongLosses" | "paraphraseLoss" | "generationRanks" | "leadingPeak",
  ) => {
    const sample = { id: "long", group: "g", question: ofLength(model, tokens).prompt, answer: SAY, wrong: [`${SAY} ${SAY}`] };
    for await (const _ of measure(model, [sample], [field], { maxTokens: 2, ctx }));
  };

  test.each(["answerLoss", "wrongLosses", "paraphraseLoss", "generationRanks"] as const)(
    "%s of an answer that does not fit",
    async (field) => {
      const model = await loaded;
      const error = await refusal(() => measured(model, model.config.context - 2, field));
      expect(error.message).toMatch(/^measure: "long" with an answer of \d+ tokens; wanted at most the model's context length of 512/);
    },
  );

  test.each(["generation", "answerLoss"] as const)("%s of a question that fills the context", async (field) => {
    const model = await loaded;
    const error = await refusal(() => measured(model, model.config.context, field));
    expect(error.message).toMatch(/^measure: the question of "long" with a token of an answer of 513 tokens; wanted at most/);
  });

  test("a question to be traced", async () => {
    const model = await loaded;
    const error = await refusal(() => traceOne(model, ofLength(model, model.config.context) as never, {}, ctx));
    expect(error.message).toMatch(/^trace: the question of "long" .* of 513 tokens; wanted at most/);
  });

  test("any row of tokens, as far as the context goes and no further", async () => {
    const model = await loaded;
    const ids = (n: number): number[] => Array.from({ length: n }, (_, i) => 20 + (i % 50));
    const { context } = model.config;
    const running = { dtype: "float32", executor: "graph" } as const;
    await activations(model, [{ ids: ids(context), at: [context - 1] }], ["blocks.0.mlp_out"], running);
    const texts = [
      () => activations(model, [{ ids: ids(context + 1), at: [context] }], ["blocks.0.mlp_out"], running),
      () => score(model, [{ ids: ids(context + 1), from: 1 }]),
      () =>
        score(model, [
          { ids: ids(context + 1), from: 1 },
          { ids: [...ids(context), 7], from: context },
        ]),
    ];
    for (const work of texts) expect((await refusal(work)).message).toMatch(/^model: a text of 513 tokens; wanted at most/);
  });
});
