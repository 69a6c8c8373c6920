/** zsRE as used for knowledge editing: a question, its paraphrase, and an unrelated question whose answer must not change. */
import { z } from "zod";
import { fail } from "../../base/fail.ts";
import { check } from "../records.ts";
import type { ForgetRequest } from "../request.ts";
import { defineSet, rowsOf } from "./set.ts";

const text = z.string().min(1);
const rowSchema = z.strictObject({
  subject: text,
  prompt: text,
  ground_truth: text,
  rephrase_prompt: text,
  locality_prompt: text,
  locality_ground_truth: text,
});
/** The prefix of the published locality questions: the name of their source, not part of the question. */
const PREFIX = "nq question: ";

export const zsre = defineSet({
  name: "zsre",
  doc: "1,037 questions of zero-shot relation extraction, each with a paraphrase and an unrelated question of Natural Questions",
  source: "zjunlp/EasyEdit zsre_mend_eval",
  licence: "MIT (as shipped by EasyEdit)",
  read(options) {
    const { subjects } = options;
    if (subjects !== undefined)
      fail("zsre", `a file of subjects (${subjects})`, "none: the data names its subjects", "Leave out --subjects.");
    const requests = rowsOf(options).map((record, row): ForgetRequest => {
      const given = check(rowSchema, record);
      const id = `zsre/${row}`;
      if (!given.prompt.includes(given.subject))
        fail(record.place, `subject "${given.subject}" is not in the prompt`, "a part of the prompt", "Spell it as the prompt does.");
      const near = given.locality_prompt;
      return {
        id,
        subject: given.subject,
        prompt: given.prompt,
        answer: given.ground_truth,
        paraphrases: [given.rephrase_prompt],
        neighbours: [
          { id: `${id}/near`, question: near.startsWith(PREFIX) ? near.slice(PREFIX.length) : near, answer: given.locality_ground_truth },
        ],
        wrong: [],
      };
    });
    return { requests, guessed: [] };
  },
});
