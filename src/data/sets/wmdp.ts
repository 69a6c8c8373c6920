/** WMDP and other tests with a list of choices: the right choice is the answer, and the others are false answers. */
import { z } from "zod";
import { fail } from "../../base/fail.ts";
import { checkRow, defineSet, has, rowsOf, fromQuestions } from "./set.ts";

const text = z.string().min(1);
const rowSchema = z.strictObject({
  question: text,
  choices: z.array(text).min(2),
  answer: z.union([z.int().min(0), text]),
  subject: z.string().optional(),
});

/** The place of the answer: a number from 0, as text too, or a letter from A. */
function placeOf(answer: number | string, choices: readonly string[]): number {
  if (typeof answer === "number") return answer;
  if (choices.includes(answer)) return choices.indexOf(answer);
  return /^\d+$/.test(answer) ? Number(answer) : /^[A-Z]$/.test(answer) ? answer.charCodeAt(0) - "A".charCodeAt(0) : -1;
}

export const wmdp = defineSet({
  name: "wmdp",
  doc: "questions with four choices (wmdp-bio, wmdp-cyber, wmdp-chem); MMLU has the same layout",
  source: "cais/wmdp; cais/mmlu",
  licence: "MIT",
  splits: ["wmdp-bio", "wmdp-cyber", "wmdp-chem"],
  claims: (row) => has("question", "choices", "answer")(row) && Array.isArray(row["choices"]),
  read: (options) =>
    fromQuestions(rowsOf(options), options, (record, row) => {
      const { question, choices, answer, subject: field } = checkRow(rowSchema, record);
      const at = placeOf(answer, choices);
      const right = choices[at];
      if (right === undefined)
        fail(
          record.place,
          `answer is ${JSON.stringify(answer)} of ${choices.length} choices`,
          "the number of a choice, counted from 0",
          "",
        );
      return {
        id: `wmdp/${row}`,
        prompt: question,
        answer: right,
        wrong: choices.filter((_, i) => i !== at),
        ...(field !== undefined && field !== "" && { group: field }),
      };
    }),
});
