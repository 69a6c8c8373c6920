/** MUSE's questions about what was learnt from news or books (knowmem). */
import { z } from "zod";
import { checkRow, defineSet, rowsOf, fromQuestions } from "./set.ts";

const rowSchema = z.strictObject({ question: z.string().min(1), answer: z.string().min(1) });

export const muse = defineSet({
  name: "muse",
  doc: "100 questions about texts to forget and as many about texts to retain (knowmem); texts to complete (verbmem) are no questions and are not read",
  source: "muse-bench/MUSE-News, muse-bench/MUSE-Books: knowmem/forget_qa.json, retain_qa.json",
  licence: "CC BY 4.0",
  splits: ["forget_qa", "retain_qa"],
  read: (options) =>
    fromQuestions(rowsOf(options), options, (record, row) => {
      const { question, answer } = checkRow(rowSchema, record);
      return { id: `muse/${row}`, prompt: question, answer };
    }),
});
