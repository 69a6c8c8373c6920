/** The fields of steps that take requests: one in words, or a file of them. */
import * as field from "../fields.ts";

export const REQUEST_FIELDS = {
  prompt: field.text("the question whose answer the model must forget", { isInput: true }),
  subject: field.text("the subject of the prompt, spelled as in the prompt (guessed if absent)", { isInput: true }),
  answer: field.text("the answer that the unedited model gives, if you know it", { isInput: true }),
  data: field.reference(
    "requests (JSONL, CSV, parquet) with the field prompt and, if known, subject, answer, paraphrases and neighbours; SET:PLACE for a published dataset, where PLACE may be a hub id",
    { flag: { value: "<file>" } },
  ),
  columns: field.text("which column of --data holds which field, as FIELD=COLUMN: prompt=question,answer=reply", {
    isInput: true,
    flag: { value: "<list>" },
  }),
  subjects: field.text("a JSONL file with the subjects of --data: row, subject and, optionally, rephrase (a paraphrase of the question)", {
    isInput: true,
    flag: { value: "<file>" },
  }),
  limit: field.number("the largest number of requests taken from --data", { isInput: true, min: 1, whole: true }),
} as const;
