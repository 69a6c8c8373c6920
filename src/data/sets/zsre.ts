/** zsRE as used for knowledge editing: a question, its paraphrase, and an unrelated question whose answer must not change. */
import { z } from "zod";
import { fail } from "../../base/fail.ts";
import type { ForgetRequest } from "../request.ts";
import { checkRow, defineSet, has, ownSubjects, rowsOf } from "./set.ts";

const text = z.string().min(1);
/** A text, or a list whose first text is meant. */
const first = z.union([
  text,
  z
    .array(text)
    .min(1)
    .transform((list) => list[0]!),
]);
const rowSchema = z.strictObject({
  subject: text,
  prompt: text,
  ground_truth: first,
  rephrase_prompt: first.optional(),
  target_new: first.optional(),
  locality_prompt: first.optional(),
  locality_ground_truth: first.optional(),
});
/** MEND's names for the same. */
const MEND: Readonly<Record<string, string>> = {
  src: "prompt",
  answers: "ground_truth",
  rephrase: "rephrase_prompt",
  alt: "target_new",
  loc: "locality_prompt",
  loc_ans: "locality_ground_truth",
};
/** The prefix of the published locality questions: the name of their source, not part of the question. */
const PREFIX = "nq question: ";

const inOneLayout = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "src" in value
    ? Object.fromEntries(Object.entries(value).map(([key, of]) => [Object.hasOwn(MEND, key) ? MEND[key]! : key, of as unknown]))
    : value;

export const zsre = defineSet({
  name: "zsre",
  doc: "1,037 questions of zero-shot relation extraction, each with a paraphrase and an unrelated question; EasyEdit's other files in that layout",
  source: "zjunlp/EasyEdit zsre_mend_eval, zsre_mend_edit, counterfact-edit; MEND's zsRE",
  licence: "MIT (as shipped by EasyEdit)",
  claims: (row) => has("subject", "prompt", "ground_truth", "locality_prompt")(row) || has("subject", "src", "answers", "loc")(row),
  read(options) {
    ownSubjects("zsre", options);
    const requests = rowsOf(options).map((record, row): ForgetRequest => {
      const given = checkRow(rowSchema, { ...record, value: inOneLayout(record.value) });
      const id = `zsre/${row}`;
      if (!given.prompt.includes(given.subject) && !given.prompt.includes("{}"))
        fail(record.place, `subject "${given.subject}" is not in the prompt`, "a part of the prompt", "Spell it as the prompt does.");
      const near = given.locality_prompt;
      return {
        id,
        subject: given.subject,
        prompt: given.prompt,
        answer: given.ground_truth,
        paraphrases: given.rephrase_prompt === undefined ? [] : [given.rephrase_prompt],
        neighbours:
          near === undefined
            ? []
            : [
                {
                  id: `${id}/near`,
                  question: near.startsWith(PREFIX) ? near.slice(PREFIX.length) : near,
                  answer: given.locality_ground_truth ?? "",
                },
              ],
        wrong: given.target_new === undefined ? [] : [given.target_new],
      };
    });
    return { requests, guessed: [] };
  },
});
