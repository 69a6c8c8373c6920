/** Generation at the edges: a context that fills, rows that end early. */
import { afterAll, describe, expect, it } from "vitest";
import { generate, stream } from "../../src/model/generate.ts";
import { load } from "../../src/model/load.ts";
import { promptOf, stopsOf } from "../../src/model/prompt.ts";

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
});
