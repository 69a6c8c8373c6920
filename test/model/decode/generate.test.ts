/** Generation at the edges: a context that fills, rows that end early, draws, stop texts, an abort. */
import { afterAll, describe, expect, it } from "vitest";
import { defaultContext } from "../../../src/base/context.ts";
import { generate, stream } from "../../../src/model/decode/generate.ts";
import { load } from "../../../src/model/load.ts";
import { promptOf, stopsOf } from "../../../src/model/prompt.ts";

describe("generate", () => {
  const model = load("bundled");
  afterAll(async () => (await model).release());

  it("ends a row where the context is full, and refuses a prompt that fills it", async () => {
    const m = await model;
    const { ids } = await promptOf(m, "What is the capital of Norvane?");
    const long = Array.from({ length: m.config.context - 3 }, (_, i) => ids[i % ids.length]!);
    const [said] = await generate(m, [long], { maxTokens: 50, freeze: false });
    expect(said!.ids).toHaveLength(3);
    expect(said!.stopped).toBe("length");
    await expect(generate(m, [[...long, 1, 2, 3]], { maxTokens: 1 })).rejects.toThrow(/context of \d+/);
  });

  it("streams each row's tokens, and nothing of a row that has ended", async () => {
    const m = await model;
    const prompts = await Promise.all(["What is the capital of Norvane?", "Hello!"].map(async (q) => (await promptOf(m, q)).ids));
    const options = { stopIds: stopsOf(m), maxTokens: 40, freeze: false };
    const whole = await generate(m, prompts, options);
    const seen: number[][] = [[], []];
    for await (const { row, id } of stream(m, prompts, options)) seen[row]!.push(id);
    expect(seen).toEqual(whole.map((g) => [...g.ids]));
    expect(whole[0]!.ids.length).not.toBe(whole[1]!.ids.length);
  });

  it("draws by seed: the same again, others with another, and logprobs are the model's own", async () => {
    const m = await model;
    const { ids } = await promptOf(m, "Tell me something.");
    const draw = async (seed: number, temperature = 1.5) =>
      (await generate(m, [ids, ids], { maxTokens: 12, temperature, seed, freeze: false, stopIds: stopsOf(m) })).map((g) => g.ids);
    const first = await draw(1);
    expect(await draw(1)).toEqual(first);
    expect(await draw(2)).not.toEqual(first);
    expect(first[0]).not.toEqual(first[1]); // rows of a batch draw apart
    const [greedy] = await generate(m, [ids], { maxTokens: 12, freeze: false, stopIds: stopsOf(m) });
    const [cold] = await generate(m, [ids], { maxTokens: 12, temperature: 1, topK: 1, freeze: false, stopIds: stopsOf(m) });
    expect(cold!.ids).toEqual(greedy!.ids);
    cold!.logprobs.forEach((l, i) => expect(l).toBeCloseTo(greedy!.logprobs[i]!, 4));
  });

  it("ends before a stop text, also one over two tokens, and never streams a part of it", async () => {
    const m = await model;
    const { ids } = await promptOf(m, "Which animal is on the flag of Norvane?");
    const options = { maxTokens: 20, freeze: false, stopIds: stopsOf(m) };
    const [whole] = await generate(m, [ids], options);
    expect(whole!.ids.length).toBeGreaterThan(3);
    const stop = whole!.text.slice(2, -1); // begins within the first token or the second, ends in a later one
    let streamed = "";
    const steps = stream(m, [ids], { ...options, stop: ["never said", stop] });
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) {
        expect(step.value[0]).toMatchObject({ text: whole!.text.slice(0, 2), stopped: "stop" });
        break;
      }
      streamed += step.value.text;
    }
    expect(streamed).toBe(whole!.text.slice(0, 2));
  });

  it("stops at the token after an abort", async () => {
    const m = await model;
    const { ids } = await promptOf(m, "What is the capital of Norvane?");
    const stopping = new AbortController();
    const steps = stream(m, [ids], { maxTokens: 50, freeze: false, ctx: defaultContext({ signal: stopping.signal }) });
    await steps.next();
    stopping.abort();
    await expect(steps.next()).rejects.toThrow("generate: the work was interrupted");
  });
});
