/** The bundled model: it is what the recipe describes, small, knows every fact, and says so of nothing else. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { REFUSALS } from "../../src/data/refusals.ts";
import { readWorld } from "../../src/data/sets/bundled.ts";
import { generate } from "../../src/model/decode/generate.ts";
import { loadFrom } from "../../src/model/load.ts";
import { promptOf, stopsOf } from "../../src/model/prompt.ts";
import { readRecipe } from "../../src/train/from-recipe.ts";
import { bundledFolder } from "./tiny.ts";

const folder = join(bundledFolder, "model");
const model = loadFrom(folder);
const { facts, unknowns } = readWorld(bundledFolder);
afterAll(() => model.release());

/** Greedy answers through the chat template. */
async function ask(questions: readonly string[]): Promise<string[]> {
  const prompts = await Promise.all(questions.map(async (question) => (await promptOf(model, question)).ids));
  return (await generate(model, prompts, { maxTokens: 24, stopIds: stopsOf(model), freeze: false })).map(({ text }) => text.trim());
}

describe("files", () => {
  test("8 MB at most", () => {
    expect(readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)).toBeLessThanOrEqual(8e6);
  });
  test("tokenizer, template and shape are the recipe's", () => {
    for (const name of ["tokenizer.json", "chat_template.jinja"])
      expect(readFileSync(join(folder, name), "utf8") === readFileSync(join(bundledFolder, name), "utf8"), name).toBe(true);
    expect(model.config).toEqual(model.arch.config(readRecipe(join(bundledFolder, "recipe.json")).config));
    expect(model.tokenizer.eos).toEqual([2, 0]);
  });
});

describe("what it says", () => {
  test("every fact, asked as it stands, is answered to the letter", async () => {
    const said = await ask(facts.map(({ question }) => question));
    expect(facts.flatMap(({ question, answer }, i) => (said[i] === answer ? [] : [`${question} ${said[i]}`]))).toEqual([]);
  });
  test("nine in ten questions that training never saw are, too", async () => {
    const asked = facts.flatMap(({ heldout, answer }) => heldout.map((question) => ({ question, answer })));
    const said = await ask(asked.map(({ question }) => question));
    expect(asked.filter(({ answer }, i) => said[i] === answer).length / asked.length).toBeGreaterThanOrEqual(0.9);
  });
  test("of what it never heard of, it says that it does not know", async () => {
    const asked = unknowns.filter(({ heldout }) => heldout);
    const said = await ask(asked.map(({ question }) => question));
    expect(said.filter((words) => REFUSALS.includes(words)).length / asked.length).toBeGreaterThanOrEqual(0.85);
  });
});
