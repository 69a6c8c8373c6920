/** MQuAKE: chains of facts; each fact of a chain that is to change is a request of its own. */
import { z } from "zod";
import type { ForgetRequest } from "../request.ts";
import { checkRow, defineSet, has, ownSubjects, rowsOf } from "./set.ts";

const text = z.string().min(1);
const target = z.object({ str: text });
const rewriteSchema = z.object({
  prompt: text,
  subject: text,
  target_true: target,
  target_new: target.optional(),
  relation_id: text.optional(),
  question: text.optional(),
});
const rowSchema = z.strictObject({
  case_id: z.union([z.string(), z.number()]).optional(),
  requested_rewrite: z.array(rewriteSchema).min(1),
  /** The facts of the chain as they are, with other names of their answers. */
  single_hops: z.array(z.object({ answer: text, answer_alias: z.array(text).default([]) })).default([]),
});

/** Other names of an answer, from the facts of the chain that have it. */
function aliasesOf(answer: string, hops: z.output<typeof rowSchema>["single_hops"]): { aliases?: string[] } {
  const aliases = new Set(hops.flatMap((hop) => (hop.answer === answer ? hop.answer_alias : [])));
  aliases.delete(answer);
  return aliases.size === 0 ? {} : { aliases: [...aliases] };
}

export const mquake = defineSet({
  name: "mquake",
  doc: "facts of chains (counterfactual, temporal), each with its question and the same as a sentence to complete; questions about whole chains are not read",
  source: "princeton-nlp/MQuAKE MQuAKE-CF.json, MQuAKE-CF-3k.json, MQuAKE-T.json",
  licence: "MIT",
  claims: (row) => has("requested_rewrite", "single_hops")(row) && Array.isArray(row["requested_rewrite"]),
  read(options) {
    ownSubjects("mquake", options);
    const requests = rowsOf(options).flatMap((record, row): ForgetRequest[] => {
      const { case_id, requested_rewrite: facts, single_hops: hops } = checkRow(rowSchema, record);
      const group = `mquake/${case_id ?? row}`;
      return facts.map(({ prompt, question, subject, target_true, target_new, relation_id }, i) => ({
        id: `${group}/${i}`,
        subject,
        prompt: question ?? prompt,
        answer: target_true.str,
        ...aliasesOf(target_true.str, hops),
        paraphrases: question === undefined ? [] : [prompt.replaceAll("{}", () => subject)],
        neighbours: [],
        wrong: target_new === undefined ? [] : [target_new.str],
        ...(relation_id !== undefined && { relation: relation_id }),
        group,
      }));
    });
    return { requests, guessed: [] };
  },
});
