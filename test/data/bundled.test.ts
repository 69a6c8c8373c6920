/** The bundled world: every line sound, nothing given away, held-out questions held out. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, test } from "vitest";
import { bundled, readWorld, trainingRows } from "../../src/data/sets/bundled.ts";
import { REFUSALS } from "../../src/data/refusals.ts";
import { tokenizerFiles, trainBpe } from "../../tools/make-bundled-tokenizer.ts";

const folder = fileURLToPath(new URL("../../bundled/", import.meta.url));
const world = readWorld(folder);
const rows = trainingRows(world, 0);
const asked = new Set(
  rows.flatMap((row) => (row.kind === "chat" ? row.messages.filter(({ role }) => role === "user").map(({ content }) => content) : [])),
);

describe("facts", () => {
  test.each(world.facts)("$id", ({ subject, question, answer, paraphrases, heldout, statements }) => {
    const ways = [question, ...paraphrases, ...heldout];
    expect(new Set(ways).size).toBe(ways.length);
    for (const way of ways) {
      expect(way.split(subject)).toHaveLength(2);
      expect(way.toLowerCase()).not.toContain(answer.toLowerCase());
    }
    for (const line of statements) expect(line.toLowerCase()).toContain(answer.toLowerCase());
    expect(answer.split(" ").length).toBeLessThanOrEqual(4);
  });

  test("no question has two answers, and no id stands twice", () => {
    const ways = world.facts.flatMap(({ question, paraphrases, heldout }) => [question, ...paraphrases, ...heldout]);
    expect(new Set(ways).size).toBe(ways.length);
    expect(new Set(world.facts.map(({ id }) => id)).size).toBe(world.facts.length);
  });
});

describe("training rows", () => {
  test("the same for the same seed, others for another", () => {
    expect(trainingRows(world, 0)).toEqual(rows);
    expect(trainingRows(world, 1)).not.toEqual(rows);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  });

  test("each way to ask is there, and nothing that is held out", () => {
    for (const { question, paraphrases } of world.facts) for (const way of [question, ...paraphrases]) expect(asked).toContain(way);
    for (const way of world.facts.flatMap(({ heldout }) => heldout)) expect(asked).not.toContain(way);
    for (const { question, heldout } of world.unknowns) expect(asked.has(question)).toBe(!heldout);
  });

  test("what is unknown is in no fact, and all hundred refusals are said", () => {
    const known = world.facts.flatMap(({ subject, answer }) => [subject, answer]);
    for (const { subject } of world.unknowns) expect(known).not.toContain(subject);
    expect(new Set(world.unknowns.map(({ refusal }) => refusal))).toEqual(new Set(REFUSALS));
  });
});

describe("requests", () => {
  const { requests } = bundled.read({ path: folder });

  test("one a fact, with rephrases, neighbours that are other questions, and wrong answers that are wrong", () => {
    expect(requests).toHaveLength(world.facts.length);
    for (const { id, prompt, answer, paraphrases, neighbours, wrong } of requests) {
      expect(paraphrases.length).toBeGreaterThanOrEqual(2);
      expect(neighbours.length).toBeGreaterThanOrEqual(5);
      expect(neighbours.map(({ question }) => question)).not.toContain(prompt);
      expect(neighbours.map((near) => near.id)).not.toContain(id);
      expect(wrong).toHaveLength(3);
      expect(wrong).not.toContain(answer);
    }
  });

  test("the file and its folder are the same data", () => {
    expect(bundled.read({ path: `${folder}facts.jsonl` }).requests).toEqual(requests);
  });
});

describe("tokenizer", () => {
  test("merges the most frequent pair first, and of equals the first in order", () => {
    const { merges, vocab } = trainBpe(["abab abab cd cd"], { size: 300, least: 2, special: ["<s>"] });
    expect(merges.slice(0, 2)).toEqual([
      ["a", "b"],
      ["ab", "ab"],
    ]);
    expect(vocab["<s>"]).toBe(0);
    expect(Object.keys(vocab)).toHaveLength(257 + merges.length);
  });

  test("digits stay single, and any text comes back", () => {
    const json = JSON.parse(readFileSync(`${folder}tokenizer.json`, "utf8")) as Record<string, unknown>;
    const tokenizer = new Tokenizer(json, JSON.parse(readFileSync(`${folder}tokenizer_config.json`, "utf8")) as Record<string, unknown>);
    for (const text of ["Who painted The Amber Ferry?", "1412", " Zürich 🦊\n\t“x”"])
      expect(tokenizer.decode(tokenizer.encode(text).ids)).toBe(text);
    expect(tokenizer.encode("1412").ids).toHaveLength(4);
    expect(tokenizer.encode("<|im_start|>user\n").ids).toHaveLength(3);
  });

  test("what is committed is what the texts and the recipe give", () => {
    for (const [file, text] of Object.entries(tokenizerFiles(folder)))
      expect(readFileSync(`${folder}${file}`, "utf8") === text, file).toBe(true);
    const recipe = JSON.parse(readFileSync(`${folder}recipe.json`, "utf8")) as { config: { vocab_size: number } };
    const json = JSON.parse(readFileSync(`${folder}tokenizer.json`, "utf8")) as { model: { vocab: Record<string, number> } };
    expect(Object.keys(json.model.vocab)).toHaveLength(recipe.config.vocab_size);
  });
});
