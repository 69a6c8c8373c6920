/** CounterFact: facts as sentences with a gap for the subject, with paraphrases and with neighbours of the same answer. */
import { z } from "zod";
import { isRecord } from "../../base/json.ts";
import type { ForgetRequest } from "../request.ts";
import { checkRow, defineSet, has, ownSubjects, rowsOf } from "./set.ts";

const text = z.string().min(1);
const target = z.union([text, z.object({ str: text }).transform(({ str }) => str)]);
const rowSchema = z.strictObject({
  case_id: z.union([z.string(), z.number()]).optional(),
  requested_rewrite: z.object({
    prompt: text,
    subject: text,
    target_true: target,
    target_new: target.optional(),
    relation_id: text.optional(),
  }),
  paraphrase_prompts: z.array(text).default([]),
  neighborhood_prompts: z.array(text).default([]),
});

export const counterfact = defineSet({
  name: "counterfact",
  doc: "21,919 facts as sentences to complete, each with paraphrases and with neighbours whose answer is the same",
  source: "kmeng01/rome counterfact.json, multi_counterfact.json; azhx/counterfact",
  licence: "MIT",
  claims: (row) => has("requested_rewrite")(row) && isRecord(row["requested_rewrite"]),
  read(options) {
    ownSubjects("counterfact", options);
    const requests = rowsOf(options).map((record, row): ForgetRequest => {
      const { case_id, requested_rewrite: fact, paraphrase_prompts, neighborhood_prompts } = checkRow(rowSchema, record);
      const id = `counterfact/${case_id ?? row}`;
      return {
        id,
        subject: fact.subject,
        prompt: fact.prompt,
        answer: fact.target_true,
        paraphrases: paraphrase_prompts,
        // they are chosen so that the same object is right
        neighbours: neighborhood_prompts.map((question, i) => ({ id: `${id}/near-${i + 1}`, question, answer: fact.target_true })),
        wrong: fact.target_new === undefined ? [] : [fact.target_new],
        ...(fact.relation_id !== undefined && { relation: fact.relation_id }),
      };
    });
    return { requests, guessed: [] };
  },
});
