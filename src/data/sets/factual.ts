/** The factual set of PISTOL's second paper: 217 questions about authors and the world. */
import { z } from "zod";
import { checkRow, defineSet, rowsOf, fromQuestions } from "./set.ts";

const rowSchema = z.strictObject({ question: z.string().min(1), answer: z.string().min(1) });

export const factual = defineSet({
  name: "factual",
  doc: "217 short questions that a small model may know: 100 about authors, 117 about the world",
  source: "bill-shen-BS/PISTOL data/factual_data.json",
  licence: "ODC-By (dataset card xinchiqiu/PISTOL)",
  read: (options) =>
    fromQuestions(rowsOf(options), options, (record, row) => {
      const { question, answer } = checkRow(rowSchema, record);
      return { id: `factual/${row}`, prompt: question, answer };
    }),
});
