/** Perplexity by hand, and of a text file on a small model. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { perplexity } from "../../../src/eval/metrics/perplexity.ts";
import { measureText } from "../../../src/eval/text.ts";
import { score } from "../../../src/model/decode/score.ts";
import { tinyModel } from "../../train/tiny.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-text-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(text: string): string {
  const path = join(folder, "text.txt");
  writeFileSync(path, text);
  return path;
}

const logs = (...probabilities: number[]): number[] => probabilities.map(Math.log);

describe("perplexity", () => {
  test("a token of probability 1/4 is a choice of four; long samples weigh more than short ones", () => {
    const rows = [
      { id: "a", answerLogprobs: logs(1 / 4, 1 / 4, 1 / 4) },
      { id: "b", answerLogprobs: logs(1 / 64) },
    ];
    const { value, bySample } = perplexity.score({ rows, scores: {} });
    expect(bySample["a"]).toBeCloseTo(4, 12);
    expect(bySample["b"]).toBeCloseTo(64, 12);
    expect(value).toBeCloseTo(8, 12); // (4³ · 64)^(1/4); the mean of samples would be 34
  });

  test("a sure model has 1", () => {
    expect(perplexity.score({ rows: [{ id: "a", answerLogprobs: [0, 0] }], scores: {} }).value).toBe(1);
  });

  test("a sample without a token is refused", () => {
    expect(() => perplexity.score({ rows: [{ id: "a", answerLogprobs: [] }], scores: {} })).toThrow(/sample "a" has no predicted token/);
  });
});

describe("measureText", () => {
  const model = tinyModel();
  afterAll(() => model.release());
  const words = "The capital of Norvane is Sellamere, and the Amber Ferry was painted by Ilse Maren. ".repeat(4);
  const { ids } = model.tokenizer.encode(words, { special: false });

  test("rows of equal length, each predicted from its second token on; the rest is a shorter row", async () => {
    const rows = await measureText(model, file(words), { tokens: 20, length: 8 });
    const wanted = await score(
      model,
      [ids.slice(0, 8), ids.slice(8, 16), ids.slice(16, 20)].map((row) => ({ ids: row, from: 1 })),
    );
    expect(rows.map(({ id }) => id)).toEqual(["text/0", "text/1", "text/2"]);
    expect(rows.map((row) => row.answerLogprobs.length)).toEqual([7, 7, 3]);
    rows.forEach((row, i) => row.answerLogprobs.forEach((p, j) => expect(p).toBeCloseTo(wanted[i]![j]!, 5)));
  });

  test("a last row of one token predicts nothing and is left out", async () => {
    expect(await measureText(model, file(words), { tokens: 9, length: 8 })).toHaveLength(1);
  });

  test("rows are no longer than the model's context", async () => {
    const [first] = await measureText(model, file(words.repeat(10)), { tokens: 200 });
    expect(first!.answerLogprobs).toHaveLength(model.config.context - 1);
  });

  test("what predicts nothing is refused", async () => {
    await expect(measureText(model, file(""))).rejects.toThrow(/holds 0 tokens; wanted at least 2/);
    await expect(measureText(model, file(words), { length: 1 })).rejects.toThrow(/in rows of 1; wanted at least 2/);
    await expect(measureText(model, join(folder, "none.txt"))).rejects.toThrow(/there is no such file/);
  });
});
