/** studies/facts.jsonl against the factual set: subjects stand in the questions, rephrases ask the same and give nothing away. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { factual } from "../src/data/sets/factual.ts";
import { tokenize } from "../src/eval/rouge.ts";

const shared = new URL("../../shared/", import.meta.url);
const present = existsSync(new URL("data/pistol/factual_data.json", shared));
const read = (path: string): string => readFileSync(new URL(path, shared), "utf8");

describe.skipIf(!present)("studies/facts.jsonl (skipped where ../shared is absent)", () => {
  const questions = present ? (JSON.parse(read("data/pistol/factual_data.json")) as { question: string; answer: string }[]) : [];
  const golden = present ? (JSON.parse(read("golden/facts/facts.json")) as { rows: { rouge1_recall: number }[] }).rows : [];
  const lines = readFileSync(new URL("../studies/facts.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { row: number; subject: string; rephrase: string });

  test("every row known so far, and every row of which nothing is known yet", () => {
    const wanted = questions.map((_, row) => row).filter((row) => golden[row] === undefined || golden[row].rouge1_recall === 1);
    expect(lines.map(({ row }) => row)).toEqual(wanted);
  });

  test.each(lines)("row $row: $subject", ({ row, subject, rephrase }) => {
    const { question, answer } = questions[row]!;
    for (const text of [question, rephrase]) expect(text.split(subject)).toHaveLength(2);
    expect(rephrase).not.toBe(question);
    const [asked, said] = [new Set(tokenize(question)), new Set(tokenize(rephrase))];
    expect(tokenize(answer).filter((word) => said.has(word) && !asked.has(word))).toEqual([]);
  });

  test("the dataset reads with these subjects; the other rows' are guessed, and nearly all are found", () => {
    const { requests, guessed } = factual.read({
      path: fileURLToPath(new URL("data/pistol/factual_data.json", shared)),
      subjects: fileURLToPath(new URL("../studies/facts.jsonl", import.meta.url)),
    });
    expect(requests).toHaveLength(217);
    expect(guessed).toHaveLength(217 - lines.length);
    for (const { row, subject, rephrase } of lines) expect(requests[row]).toMatchObject({ subject, paraphrases: [rephrase] });
    for (const { prompt, subject } of requests) expect(prompt).toContain(subject);
    expect(requests.filter(({ subject }) => subject === "").length).toBeLessThanOrEqual(3);
  });
});
