/** What every adapter shows in use: answers that survive a file, a cache and company. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { apply } from "../../src/edit/apply.ts";
import type { Edit } from "../../src/edit/edit.ts";
import { loadEdits, saveEdits } from "../../src/edit/io.ts";
import { generate, type Generated } from "../../src/model/decode/generate.ts";
import type { Model } from "../../src/model/model.ts";
import { promptWithoutEdits, stopsOf } from "../../src/model/prompt.ts";
import { FACT } from "./method.ts";

/** What the bundled model says of what it does not know. */
export const REFUSAL = "I'm sorry, I do not know.";
/** A second fact to edit. */
export const OTHER = { ...FACT, id: "other", prompt: "What is the capital of Ostrel?", subject: "Ostrel" };
/** Six facts that the bundled model knows. */
const KEPT = readFileSync(fileURLToPath(new URL("../../bundled/facts.jsonl", import.meta.url)), "utf8")
  .split("\n")
  .slice(10, 16)
  .map((line) => (JSON.parse(line) as { question: string }).question);

/**
 * Saves an edit of {@link FACT} and {@link OTHER} and asks for both and for six other facts: the loaded edit answers as the one that was
 * saved, all together as each alone. Gives the answers of the base and of the edited model, the edited facts first.
 */
export async function answersOf(model: Model, edit: Edit, path: string): Promise<{ base: Generated[]; edited: Generated[] }> {
  saveEdits(path, [edit]);
  const [again] = loadEdits(path);
  const ids = [FACT.prompt, OTHER.prompt, ...KEPT].map((text) => promptWithoutEdits(model, text).ids);
  const say = (m: Model, rows: typeof ids) => generate(m, rows, { maxTokens: 12, stopIds: stopsOf(m), freeze: false });
  const [base, edited, after] = [await say(model, ids), await say(apply(model, edit), ids), await say(apply(model, again!), ids)];
  expect(after).toEqual(edited);
  for (const [i, row] of ids.entries()) expect((await say(apply(model, again!), [row]))[0]!.ids).toEqual(edited[i]!.ids);
  return { base, edited };
}
