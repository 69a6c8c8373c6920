/** ROUGE against rouge_score (every recorded pair) and against the published logs of six TOFU runs (every logged generation). */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { registry } from "../src/eval/metrics/registry.ts";
import { type Rouge, rougeL, rougeLsum, rougeN, tokenize } from "../src/eval/rouge.ts";
import { stem, STEM_RULES } from "../src/eval/stem.ts";

const shared = new URL("../../shared/", import.meta.url);
const pairsFile = new URL("golden/eval/rouge.json", shared);
const logsFolder = new URL("parity/tofu-logs/", shared);
const factsFile = new URL("golden/facts/facts.json", shared);

type Triple = [precision: number, recall: number, f1: number];
type Scores = { rouge1: Triple; rouge2: Triple; rougeL: Triple; rougeLsum: Triple };
interface Pair {
  id: number;
  reference: string;
  prediction: string;
  stem: Scores;
  plain: Scores;
}
interface Log {
  generated_text: Record<string, [prompt: string, generation: string, gold: string]>;
  rouge1_recall: Record<string, number>;
  rougeL_recall: Record<string, number>;
}
type Stemmer = (word: string) => string;

const asTriple = ({ precision, recall, f1 }: Rouge): Triple => [precision, recall, f1];
const same = (a: Triple, b: Triple): boolean => a.every((x, i) => Math.abs(x - b[i]!) <= 1e-12);

/** Ids and scores of the pairs that differ. */
function wrongPairs(pairs: readonly Pair[], kind: "stem" | "plain", stemmer: Stemmer): string[] {
  return pairs.flatMap(({ id, reference, prediction, [kind]: wanted }) => {
    const words = (text: string): string[] => tokenize(text, stemmer);
    const lines = (text: string): string[][] =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .map(words);
    const [gold, generated] = [words(reference), words(prediction)];
    const got: Scores = {
      rouge1: asTriple(rougeN(gold, generated, 1)),
      rouge2: asTriple(rougeN(gold, generated, 2)),
      rougeL: asTriple(rougeL(gold, generated)),
      rougeLsum: asTriple(rougeLsum(lines(reference), lines(prediction))),
    };
    return (Object.keys(got) as (keyof Scores)[]).filter((name) => !same(got[name], wanted[name])).map((name) => `${id} ${name}`);
  });
}

/** How many logged generations there are, and which of them score differently; the logs hold bare NaN, which JSON.parse refuses. */
function judgeLogs(stemmer: Stemmer): { seen: number; wrong: string[] } {
  const wrong: string[] = [];
  let seen = 0;
  for (const file of readdirSync(logsFolder).filter((name) => name.endsWith(".json"))) {
    const text = readFileSync(new URL(file, logsFolder), "utf8").replace(/([:,[]\s*)(NaN|-?Infinity)(?=\s*[,\]}])/g, "$1null");
    for (const [part, log] of Object.entries(JSON.parse(text) as Record<string, Log>))
      for (const [row, [, generation, gold]] of Object.entries(log.generated_text)) {
        const [a, b] = [tokenize(gold, stemmer), tokenize(generation, stemmer)];
        seen++;
        if (rougeN(a, b, 1).recall !== log.rouge1_recall[row] || rougeL(a, b).recall !== log.rougeL_recall[row])
          wrong.push(`${file} ${part} ${row}`);
      }
  }
  return { seen, wrong };
}

/** The stemmer with one rule of one step changed. */
function without(step: keyof typeof STEM_RULES, suffix: string): Stemmer {
  const rules = { ...STEM_RULES, [step]: STEM_RULES[step].filter(([s]) => s !== suffix) };
  return (word) => stem(word, rules);
}

describe.skipIf(!existsSync(pairsFile))("recorded pairs (skipped where ../shared is absent)", () => {
  const pairs = existsSync(pairsFile) ? (JSON.parse(readFileSync(pairsFile, "utf8")) as Pair[]) : [];

  test("precision, recall and F1 of every pair, with and without the stemmer", () => {
    expect(pairs.length).toBeGreaterThanOrEqual(200);
    expect(wrongPairs(pairs, "stem", stem)).toEqual([]);
    expect(wrongPairs(pairs, "plain", (word) => word)).toEqual([]);
  });

  test("mutations: a missing stemmer, and one where none belongs, are seen", () => {
    expect(wrongPairs(pairs, "stem", (word) => word)).not.toEqual([]);
    expect(wrongPairs(pairs, "plain", stem)).not.toEqual([]);
  });
});

describe.skipIf(!existsSync(logsFolder))("published logs (skipped where ../shared is absent)", () => {
  test("ROUGE-1 and ROUGE-L recall of every logged generation, to the last bit", () => {
    const { seen, wrong } = judgeLogs(stem);
    expect(seen).toBeGreaterThan(4000);
    expect(wrong).toEqual([]);
  });

  test("mutations: each of three perturbed stemmers is seen", () => {
    expect(judgeLogs((word) => word).wrong).not.toEqual([]);
    expect(judgeLogs(without("step4", "er")).wrong).not.toEqual([]);
    expect(judgeLogs(without("step2", "ation")).wrong).not.toEqual([]);
  });
});

describe.skipIf(!existsSync(factsFile))("factual set on SmolLM2 (skipped where ../shared is absent)", () => {
  test("the metrics reproduce every recorded recall", () => {
    interface Fact {
      id: number;
      question: string;
      answer: string;
      generated_text: string;
      rouge1_recall: number;
      rougeL_recall: number;
    }
    const facts = (JSON.parse(readFileSync(factsFile, "utf8")) as { rows: Fact[] }).rows;
    const rows = facts.map(({ id, question, answer, generated_text }) => ({
      id: `factual/${id}`,
      question,
      answer,
      generation: generated_text,
    }));
    const one = registry.rouge1.score({ rows, scores: {} });
    const longest = registry.rougel.score({ rows, scores: {} });
    for (const fact of facts) {
      expect(one.bySample[`factual/${fact.id}`]).toBe(fact.rouge1_recall);
      expect(longest.bySample[`factual/${fact.id}`]).toBe(fact.rougeL_recall);
    }
    expect(one.value).toBeCloseTo(0.36, 12);
    expect(longest.value).toBeCloseTo(0.355556, 6);
  });
});
