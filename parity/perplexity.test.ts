/** Perplexity against recorded means: running text and whole answers on SmolLM2, and recorded log-probabilities to the last digits. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { perplexity } from "../src/eval/metrics/perplexity.ts";
import { measureText } from "../src/eval/text.ts";
import { loadFrom } from "../src/model/load.ts";
import { score } from "../src/model/decode/score.ts";
import { absent, readJson, readTensors, shared } from "./shared.ts";

const TEXTS = absent ? [] : readJson<{ name: string; mean_nll: number }[]>("golden/smollm2/texts.json");
/** What float32 may be off by, relative: that of the mean loss (golden/eval), and the library's own on log-probabilities (golden/smollm2). */
const [ANSWERS, TEXT] = [2e-5, 1e-4];

const off = (got: number, meanNll: number): number => Math.abs(got - Math.exp(meanNll)) / Math.exp(meanNll);
const scored = (...rows: (readonly number[])[]): number =>
  perplexity.score({ rows: rows.map((answerLogprobs, i) => ({ id: `${i}`, answerLogprobs })), scores: {} }).value;

describe.skipIf(absent)(`perplexity${absent && ` (skipped: ${absent})`}`, () => {
  const model = absent ? undefined! : loadFrom(shared("models/smollm2-135m-instruct"));
  const golden = absent ? undefined! : readTensors("golden/smollm2/texts.safetensors");
  const folder = mkdtempSync(join(tmpdir(), "lethe-perplexity-"));
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await model?.release();
  });

  test.each(TEXTS)("$name: recorded log-probabilities", ({ name, mean_nll }) => {
    const logprobs = Array.from(golden.get(`${name}.logprobs`)!.data, Number);
    expect(off(scored(logprobs), mean_nll)).toBeLessThan(1e-12);
    // mutations: one token fewer, and a logarithm of another base
    expect(off(scored(logprobs.slice(1)), mean_nll)).toBeGreaterThan(1e-6);
    expect(off(scored(logprobs.map((p) => p / Math.LN2)), mean_nll)).toBeGreaterThan(1e-6);
  });

  const running = TEXTS.find(({ name }) => name === "wikitext_300")?.mean_nll ?? NaN;
  const text = async (tokens: number, length: number): Promise<number> => {
    const path = join(folder, "text.txt");
    writeFileSync(path, readFileSync(shared("data/wikitext-2/valid.txt"), "utf8").slice(0, 6000));
    return perplexity.score({ rows: await measureText(model, path, { tokens, length }), scores: {} }).value;
  };

  test("300 tokens of a file", async () => {
    expect(off(await text(300, 300), running)).toBeLessThan(TEXT);
  });

  test("mutation: the same text in rows of half the length is seen", async () => {
    expect(off(await text(300, 150), running)).toBeGreaterThan(1e-3);
  });

  test("answers of TOFU with their end token, and a mutation without it", async () => {
    interface Logged {
      data: string;
      rows: { avg_gt_loss: number; num_token_gt: number }[];
    }
    const { variants } = readJson<{ variants: Record<string, { files: Record<string, Logged> }> }>("golden/eval/tofu.json");
    const { data, rows } = variants["plain_answer_only"]!.files["eval_log_forget.json"]!;
    const lines = readFileSync(shared(data), "utf8").split("\n").slice(0, rows.length);
    const asked = lines.map((line) => {
      const { question, answer } = JSON.parse(line) as { question: string; answer: string };
      const idsOf = (content: string): number[] => model.tokenizer.encode(content).ids;
      return {
        ids: [...idsOf(`Question: ${question}\nAnswer: ${answer}`), 2],
        from: idsOf(`Question: ${question}\nAnswer:`).length,
      };
    });
    const logprobs = await score(model, asked);
    for (const [i, { avg_gt_loss, num_token_gt }] of rows.entries()) {
      expect(logprobs[i]).toHaveLength(num_token_gt);
      expect(off(scored(logprobs[i]!), avg_gt_loss)).toBeLessThan(ANSWERS);
      expect(off(scored(logprobs[i]!.slice(0, -1)), avg_gt_loss)).toBeGreaterThan(ANSWERS);
    }
    const all = rows.reduce((sum, row) => sum + row.avg_gt_loss * row.num_token_gt, 0) / rows.reduce((n, row) => n + row.num_token_gt, 0);
    expect(off(scored(...logprobs), all)).toBeLessThan(ANSWERS);
  });
});
